//! The decoder against bytes that Postgres itself produced (`tests/golden`, captured by `scripts/golden`).

mod documented;
mod frames;
mod limits;
mod texts;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;

use super::fault::Refused;
use super::table::ReadColumn;
use super::{BatchLimits, DecodeError, Fault, TableDecoder, registry};
use crate::codec::decode::type_map;
use crate::model::ident::Ident;
use crate::model::interval_limit::IntervalLimit;
use crate::model::money::MoneyForm;
use crate::model::pg_type::{CompositeType, EnumType, NumericMod, OtherType, PgType, RangeType, TypeHome};

/// A case: name, the SQL literal between quotes where there is one, the field's bytes (`None` is NULL).
struct Golden {
    /// Cases of `array.sql`, which are named by their elements, start with `array.`.
    name: String,
    ty: Option<PgType>,
    literal: Option<&'static str>,
    payload: Option<Vec<u8>>,
}

macro_rules! golden_files {
    ($($name:literal),*) => {
        &[$((
            $name,
            include_str!(concat!("../../../../tests/golden/", $name, ".sql")),
            include_str!(concat!("../../../../tests/golden/", $name, ".hex")),
        )),*]
    };
}

const FILES: &[(&str, &str, &str)] = golden_files!(
    "array",
    "bool",
    "bytea",
    "date",
    "float",
    "int",
    "interval",
    "numeric",
    "read",
    "text",
    "time",
    "timestamp",
    "uuid"
);

/// Every captured field.
fn goldens() -> Vec<Golden> {
    let mut goldens = Vec::new();
    for (file, sql, hex) in FILES {
        let literals: BTreeMap<&str, &str> = sql
            .lines()
            .filter_map(|line| line.trim().trim_end_matches(',').rsplit_once(" as "))
            .filter_map(|(expression, name)| {
                let (literal, cast) = expression.strip_prefix('\'')?.rsplit_once("'::")?;
                (!literal.contains('\'') && !cast.contains('(')).then_some((name, literal))
            })
            .collect();
        for line in hex.lines() {
            let (name, hex) = line.split_once(' ').unwrap();
            let bytes = bytes_of(hex);
            let payload = (bytes[..4] != [0xff; 4]).then(|| bytes[4..].to_vec());
            let literal = literals.get(name).copied();
            // Other files write values in forms that Postgres reads but does not print.
            let is_plain = |text: &&str| {
                text.bytes().all(|byte| b"-.0123456789".contains(&byte))
                    && !text.starts_with('.')
                    && !text.ends_with('.')
            };
            let literal = literal.filter(|text| *file == "read" || is_plain(text));
            let (name, ty) = match *file {
                "array" => (format!("array.{name}"), type_of(name).map(array)),
                _ => (name.to_owned(), type_of(name)),
            };
            goldens.push(Golden {
                name,
                ty,
                literal,
                payload,
            });
        }
    }
    goldens
}

fn golden(name: &str) -> Vec<u8> {
    let found = goldens().into_iter().find(|golden| golden.name == name);
    found.unwrap_or_else(|| panic!("{name} is captured")).payload.unwrap()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .map(|digit| char::from(digit).to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

fn named(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

/// The type of a case, from its name.
fn type_of(name: &str) -> Option<PgType> {
    Some(match name.split('_').next().unwrap() {
        "bool" => PgType::Bool,
        "int2" => PgType::Int2,
        "int4" => PgType::Int4,
        "int8" => PgType::Int8,
        "float4" => PgType::Float4,
        "float8" => PgType::Float8,
        "numeric" => PgType::Numeric(None),
        "text" | "varchar" | "bpchar" | "name" => PgType::Text,
        "json" => PgType::Json,
        "jsonb" => PgType::Jsonb,
        "jsonpath" => PgType::JsonPath,
        "bytea" => PgType::Bytea,
        "uuid" => PgType::Uuid,
        "date" => PgType::Date,
        "time" => PgType::Time(None),
        "timetz" => PgType::TimeTz(None),
        "timestamp" | "timestamp3" => PgType::Timestamp(None),
        "timestamptz" => PgType::TimestampTz(None),
        "interval" => PgType::Interval,
        "inet" => PgType::Inet,
        "cidr" => PgType::Cidr,
        "macaddr" => PgType::MacAddr,
        "macaddr8" => PgType::MacAddr8,
        "bit" => PgType::Bit(Some(if name == "bit_three" { 3 } else { 10 })),
        "varbit" => PgType::VarBit(None),
        "oid" => PgType::Oid,
        "xid" => PgType::Xid,
        "xid8" => PgType::Xid8,
        "char" => PgType::SingleChar,
        "int4s" => array(PgType::Int4),
        "pair" => pair(),
        "int4range" => range(),
        _ => return None,
    })
}

fn array(element: PgType) -> PgType {
    PgType::Array(Box::new(element))
}

fn numeric(precision: u16, scale: i16) -> PgType {
    PgType::Numeric(Some(NumericMod { precision, scale }))
}

fn pair() -> PgType {
    PgType::Composite(Arc::new(CompositeType {
        name: named("golden_pair"),
        home: TypeHome::default(),
        fields: vec![(named("a"), PgType::Int4), (named("b"), PgType::Text)],
    }))
}

fn multirange() -> PgType {
    PgType::Multirange(Arc::new(RangeType {
        name: named("int4multirange"),
        home: TypeHome::default(),
        subtype: PgType::Int4,
    }))
}

fn mood() -> PgType {
    PgType::Enum(Arc::new(EnumType {
        name: named("golden_mood"),
        home: TypeHome::default(),
        labels: vec!["sad".to_owned()],
    }))
}

fn range() -> PgType {
    PgType::Range(Arc::new(RangeType {
        name: named("int4range"),
        home: TypeHome::default(),
        subtype: PgType::Int4,
    }))
}

/// Every kind of type, for rules that must cover all.
#[expect(clippy::too_many_lines, reason = "one line per type")]
fn every_type() -> Vec<PgType> {
    let home = TypeHome::default;
    let other = |name: &str| {
        PgType::Other(Arc::new(OtherType {
            name: named(name),
            home: home(),
            display: name.to_owned(),
        }))
    };
    vec![
        PgType::Bool,
        PgType::SingleChar,
        PgType::Int2,
        PgType::Int4,
        PgType::Int8,
        PgType::Float4,
        PgType::Float8,
        PgType::Numeric(None),
        numeric(10, 2),
        numeric(38, 38),
        numeric(76, 0),
        numeric(77, 0),
        numeric(20, 0),
        numeric(5, -2),
        numeric(2, 5),
        PgType::Money(MoneyForm::UNKNOWN),
        PgType::Oid,
        PgType::Xid,
        PgType::Cid,
        PgType::Xid8,
        PgType::PgLsn,
        PgType::Text,
        PgType::Varchar(None),
        PgType::Varchar(Some(5)),
        PgType::Bpchar(Some(5)),
        PgType::Name,
        PgType::Xml,
        PgType::Json,
        PgType::Jsonb,
        PgType::JsonPath,
        PgType::TsVector,
        PgType::TsQuery,
        PgType::Bytea,
        PgType::Uuid,
        PgType::Date,
        PgType::Time(None),
        PgType::Time(Some(3)),
        PgType::TimeTz(None),
        PgType::Timestamp(None),
        PgType::TimestampTz(Some(0)),
        PgType::Interval,
        PgType::LimitedInterval(IntervalLimit::parse("interval(2)").unwrap()),
        PgType::Inet,
        PgType::Cidr,
        PgType::MacAddr,
        PgType::MacAddr8,
        PgType::Bit(Some(3)),
        PgType::VarBit(None),
        PgType::Point,
        PgType::Line,
        PgType::Lseg,
        PgType::Box,
        PgType::Path,
        PgType::Polygon,
        PgType::Circle,
        array(PgType::Int4),
        array(PgType::Uuid),
        array(PgType::Numeric(None)),
        range(),
        multirange(),
        PgType::Vector(Some(3), home()),
        PgType::Vector(None, home()),
        PgType::HalfVec(Some(3), home()),
        PgType::SparseVec(None, home()),
        PgType::Hstore(home()),
        PgType::Citext(home()),
        PgType::Ltree(home()),
        PgType::Lquery(home()),
        PgType::Geometry(None, home()),
        PgType::Geography(None, home()),
        pair(),
        mood(),
        array(PgType::Int4),
        PgType::TimestampTz(None),
        other("cube"),
    ]
}

/// COPY BINARY of rows of fields.
fn copied(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
    let mut out = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        out.extend((row.len() as i16).to_be_bytes());
        for field in row {
            match field {
                Some(payload) => {
                    out.extend((payload.len() as i32).to_be_bytes());
                    out.extend(payload);
                }
                None => out.extend((-1i32).to_be_bytes()),
            }
        }
    }
    out.extend((-1i16).to_be_bytes());
    out
}

fn decoder(columns: &[(&PgType, Field)], limits: BatchLimits) -> TableDecoder {
    let fields: Vec<Field> = columns.iter().map(|(_, field)| field.clone()).collect();
    let columns = columns.iter().map(|(ty, field)| ReadColumn {
        pg: ty.to_string(),
        decoder: registry::plan(ty, field).unwrap_or_else(|refused| panic!("{ty} as {field}: {refused:?}")),
    });
    TableDecoder::new(Arc::new(Schema::new(fields)), columns.collect(), limits)
}

/// All batches of a stream that comes in the given pieces.
fn decode(mut decoder: TableDecoder, pieces: impl IntoIterator<Item = Bytes>) -> Result<Vec<RecordBatch>, DecodeError> {
    let mut batches = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(batch) = decoder.batch()? {
            batches.push(batch);
        }
    }
    batches.extend(decoder.finish()?);
    Ok(batches)
}

/// One value as one field, or why not.
fn one(ty: &PgType, field: Field, payload: &[u8]) -> Result<ArrayRef, Fault> {
    let stream = copied(&[vec![Some(payload.to_vec())]]);
    match decode(decoder(&[(ty, field)], BatchLimits::default()), [Bytes::from(stream)]) {
        Ok(batches) => Ok(batches[0].column(0).clone()),
        Err(DecodeError::Field { fault, .. }) => Err(fault),
        Err(error) => panic!("{ty}: {error}"),
    }
}

fn as_type(ty: &PgType, wanted: DataType, payload: &[u8]) -> Result<ArrayRef, Fault> {
    one(ty, Field::new("c", wanted, true), payload)
}

fn refused(ty: &PgType, wanted: DataType) -> bool {
    matches!(
        registry::plan(ty, &Field::new("c", wanted, true)),
        Err(Refused::NoRule | Refused::Because(_))
    )
}

fn default_field(ty: &PgType) -> Field {
    type_map::field("c", ty, true)
}
