//! XdbcTypeInfo: the types of Postgres as JDBC and ODBC number them. Pure.

use arrow::array::RecordBatch;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{CommandGetXdbcTypeInfo, Nullable, Searchable, XdbcDataType};

use super::unencodable;
use crate::ingest::error::Error;

/// How a literal of a type is written.
#[derive(Clone, Copy)]
enum Written {
    Plain,
    Quoted,
}

/// Name, number, digits or bytes, how literals are written, and what may stand in brackets behind the name.
type Told = (
    &'static str,
    XdbcDataType,
    Option<i32>,
    Written,
    &'static [&'static str],
);

const TYPES: &[Told] = &[
    ("bool", XdbcDataType::XdbcBit, Some(1), Written::Plain, &[]),
    ("int2", XdbcDataType::XdbcSmallint, Some(5), Written::Plain, &[]),
    ("int4", XdbcDataType::XdbcInteger, Some(10), Written::Plain, &[]),
    ("int8", XdbcDataType::XdbcBigint, Some(19), Written::Plain, &[]),
    ("float4", XdbcDataType::XdbcReal, Some(7), Written::Plain, &[]),
    ("float8", XdbcDataType::XdbcDouble, Some(15), Written::Plain, &[]),
    (
        "numeric",
        XdbcDataType::XdbcNumeric,
        Some(1000),
        Written::Plain,
        &["precision", "scale"],
    ),
    (
        "bpchar",
        XdbcDataType::XdbcChar,
        Some(10_485_760),
        Written::Quoted,
        &["length"],
    ),
    (
        "varchar",
        XdbcDataType::XdbcVarchar,
        Some(10_485_760),
        Written::Quoted,
        &["length"],
    ),
    ("text", XdbcDataType::XdbcVarchar, None, Written::Quoted, &[]),
    ("bytea", XdbcDataType::XdbcVarbinary, None, Written::Quoted, &[]),
    ("date", XdbcDataType::XdbcDate, Some(13), Written::Quoted, &[]),
    (
        "time",
        XdbcDataType::XdbcTime,
        Some(15),
        Written::Quoted,
        &["precision"],
    ),
    (
        "timestamp",
        XdbcDataType::XdbcTimestamp,
        Some(29),
        Written::Quoted,
        &["precision"],
    ),
    (
        "timestamptz",
        XdbcDataType::XdbcTimestamp,
        Some(35),
        Written::Quoted,
        &["precision"],
    ),
    ("interval", XdbcDataType::XdbcInterval, Some(49), Written::Quoted, &[]),
    ("uuid", XdbcDataType::XdbcUnknownType, Some(36), Written::Quoted, &[]),
    ("json", XdbcDataType::XdbcUnknownType, None, Written::Quoted, &[]),
    ("jsonb", XdbcDataType::XdbcUnknownType, None, Written::Quoted, &[]),
];

/// The types, or those of the number that the command names.
///
/// # Errors
/// Only a fault of ours.
pub(super) fn batch(command: CommandGetXdbcTypeInfo) -> Result<RecordBatch, Error> {
    command.into_builder(&data()?).build().map_err(unencodable)
}

fn data() -> Result<XdbcTypeInfoData, Error> {
    let mut told = XdbcTypeInfoDataBuilder::new();
    for (name, number, size, written, parameters) in TYPES {
        let quote = matches!(written, Written::Quoted).then(|| "'".to_owned());
        let text = matches!(number, XdbcDataType::XdbcChar | XdbcDataType::XdbcVarchar);
        let radix = matches!(written, Written::Plain).then_some(10);
        told.append(XdbcTypeInfo {
            type_name: (*name).to_owned(),
            data_type: *number,
            column_size: *size,
            literal_prefix: quote.clone(),
            literal_suffix: quote,
            create_params: Some(parameters.iter().map(|parameter| (*parameter).to_owned()).collect()),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: text,
            searchable: Searchable::Full,
            unsigned_attribute: radix.map(|_| false),
            auto_increment: Some(false),
            local_type_name: Some((*name).to_owned()),
            sql_data_type: *number,
            num_prec_radix: radix,
            ..XdbcTypeInfo::default()
        });
    }
    told.build().map_err(unencodable)
}
