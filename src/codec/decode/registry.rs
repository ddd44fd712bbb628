//! Which rule reads a Postgres type as an Arrow field. One line per type; a pair without a rule is refused before any row.

use arrow::datatypes::Field;

use super::column::Planned;
use super::fault::Refused;
use super::types;
use crate::model::pg_type::PgType;

/// Plans one column, list element or attribute.
pub(crate) fn plan(ty: &PgType, field: &Field) -> Planned {
    match ty {
        PgType::Bool => types::bool::plan(field),
        PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Money(_) => types::int::plan(ty, field),
        PgType::Oid | PgType::Xid | PgType::Cid | PgType::Xid8 | PgType::PgLsn => types::int::plan(ty, field),
        PgType::Float4 | PgType::Float8 => types::float::plan(ty, field),
        PgType::Numeric(_) => types::numeric::plan(field),
        PgType::Text | PgType::Varchar(_) | PgType::Bpchar(_) | PgType::Name | PgType::Xml => types::text::plan(field),
        PgType::Citext(_) | PgType::Enum(_) => types::text::plan(field),
        PgType::SingleChar => types::text::plan_single(field),
        PgType::Json => types::text::plan_json(field),
        PgType::Jsonb | PgType::JsonPath => types::text::plan_versioned(field),
        PgType::Ltree(_) | PgType::Lquery(_) => types::text::plan_versioned(field),
        PgType::Bytea => types::bytea::plan(field),
        PgType::Uuid => types::uuid::plan(field),
        PgType::Date => types::date::plan(field),
        PgType::Time(_) => types::time::plan(field),
        PgType::TimeTz(_) => types::timetz::plan(field),
        PgType::Timestamp(_) | PgType::TimestampTz(_) => types::timestamp::plan(field),
        PgType::Interval | PgType::LimitedInterval(_) => types::interval::plan(field),
        PgType::Inet | PgType::Cidr | PgType::MacAddr | PgType::MacAddr8 => types::address::plan(ty, field),
        PgType::Bit(_) | PgType::VarBit(_) => types::bits::plan(field),
        PgType::Array(element) => types::array::plan(element, field, plan),
        PgType::Vector(..) | PgType::HalfVec(..) => types::vector::plan(ty, field),
        PgType::Hstore(_) => types::hstore::plan(field),
        PgType::Domain(domain) => plan(&domain.base, field),
        PgType::Composite(composite) => types::composite::plan(composite, field, plan),
        // Passed on as Postgres sends them, with the type's name in the field.
        PgType::Point | PgType::Line | PgType::Lseg | PgType::Box => types::bytea::plan(field),
        PgType::Path | PgType::Polygon | PgType::Circle => types::bytea::plan(field),
        PgType::Range(_) | PgType::Multirange(_) | PgType::SparseVec(..) => types::bytea::plan(field),
        PgType::Geometry(..) | PgType::Geography(..) => types::bytea::plan(field),
        PgType::TsVector | PgType::TsQuery | PgType::Other(_) => types::bytea::plan(field),
    }
}

/// For messages: what a refusal says.
pub(crate) fn because(refused: Refused) -> String {
    match refused {
        Refused::NoRule => String::new(),
        Refused::Because(reason) => format!(": {reason}"),
    }
}
