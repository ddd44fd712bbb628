//! Which rule encodes a pair of types. One line per Postgres type; a pair without a rule is refused before any row.

use arrow::datatypes::DataType;

use super::EncodeOptions;
use super::column::Planned;
use super::error::Refused;
use super::source::Source;
use super::types;
use crate::model::pg_type::PgType;

/// Plans one column, list element or attribute.
pub(crate) fn plan(source: &Source<'_>, target: &PgType, options: &EncodeOptions) -> Planned {
    match source.data_type {
        DataType::Null => return types::null::plan(),
        DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) => {
            return types::indexed::plan(source, target, options);
        }
        _ => {}
    }
    match target {
        PgType::Bool => types::bool::plan(source),
        PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Money => types::int::plan(source, target),
        PgType::Oid | PgType::Xid | PgType::Cid | PgType::Xid8 | PgType::PgLsn => types::int::plan(source, target),
        PgType::Float4 | PgType::Float8 => types::float::plan(source, target),
        PgType::Numeric(modifier) => types::numeric::plan(source, *modifier),
        PgType::Text | PgType::Varchar(_) | PgType::Bpchar(_) | PgType::Name | PgType::Xml | PgType::SingleChar => {
            types::text::plan(source, target, options)
        }
        PgType::Citext(_) | PgType::Ltree(_) | PgType::Enum(_) => types::text::plan(source, target, options),
        PgType::Json | PgType::Jsonb | PgType::JsonPath => types::json::plan(source, target, options),
        PgType::Bytea => types::bytea::plan(source),
        PgType::Uuid => types::uuid::plan(source),
        PgType::Date => types::date::plan(source),
        PgType::Time(digits) => types::time::plan(source, *digits, options),
        PgType::Timestamp(digits) | PgType::TimestampTz(digits) => types::timestamp::plan(source, *digits, options),
        PgType::Interval => types::interval::plan(source, options),
        PgType::Array(element) => types::array::plan(source, element, options),
        PgType::Domain(domain) => plan(source, &domain.base, options),
        _ => Err(Refused::NoRule),
    }
}
