//! Which rule encodes a pair of types. One line per Postgres type; a pair without a rule is refused before any row.

use arrow::datatypes::DataType;

use super::EncodeOptions;
use super::column::Planned;
use super::error::Refused;
use super::rules::Rules;
use super::source::Source;
use super::types;
use crate::model::extension::Extension;
use crate::model::pg_type::PgType;

/// Plans one column.
pub(crate) fn plan(source: &Source<'_>, target: &PgType, options: &EncodeOptions) -> Planned {
    rule(source, target, &Rules::new(rule, options))
}

/// Plans one column, list element or attribute.
fn rule(source: &Source<'_>, target: &PgType, rules: &Rules<'_>) -> Planned {
    let options = rules.options;
    match source.data_type {
        DataType::Null => return types::null::plan(),
        DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) => {
            return types::indexed::plan(source, target, rules);
        }
        _ => {}
    }
    if let Some(Extension::TimestampWithOffset) = source.extension
        && matches!(target, PgType::Timestamp(_) | PgType::TimestampTz(_))
    {
        return types::timestamp::plan_with_offset(source, target, rules);
    }
    if !keeps_meaning(source.extension.as_ref(), target) {
        return Err(Refused::NoRule);
    }
    keeps_shape(source, target)?;
    if let Some(planned) = types::opaque::plan(source, target) {
        return planned;
    }
    match target {
        PgType::Bool => types::bool::plan(source),
        PgType::Int2 | PgType::Int4 | PgType::Int8 => types::int::plan(source, target),
        PgType::Money(form) => types::money::plan(source, form),
        PgType::Oid | PgType::Xid | PgType::Cid | PgType::Xid8 | PgType::PgLsn => types::int::plan(source, target),
        PgType::Float4 | PgType::Float8 => types::float::plan(source, target),
        PgType::Numeric(modifier) => types::numeric::plan(source, *modifier),
        PgType::Text | PgType::Varchar(_) | PgType::Bpchar(_) | PgType::Name | PgType::Xml | PgType::SingleChar => {
            types::text::plan(source, target, options)
        }
        PgType::Citext(_) | PgType::Enum(_) => types::text::plan(source, target, options),
        PgType::Ltree(_) | PgType::Lquery(_) => types::text::plan(source, target, options),
        PgType::Json | PgType::Jsonb | PgType::JsonPath => types::json::plan(source, target, options),
        PgType::TsVector | PgType::TsQuery => types::fulltext::plan(source, target),
        PgType::Bytea => types::bytea::plan(source),
        PgType::Uuid => types::uuid::plan(source),
        PgType::Date => types::date::plan(source),
        PgType::Time(digits) => types::time::plan(source, *digits, options),
        PgType::TimeTz(digits) => types::timetz::plan(source, *digits, options),
        PgType::Timestamp(digits) | PgType::TimestampTz(digits) => types::timestamp::plan(source, *digits, options),
        PgType::Interval => types::interval::plan(source, None, options),
        PgType::LimitedInterval(limit) => types::interval::plan(source, Some(*limit), options),
        PgType::Inet | PgType::Cidr | PgType::MacAddr | PgType::MacAddr8 => types::network::plan(source, target),
        PgType::Bit(_) | PgType::VarBit(_) => types::bits::plan(source, target),
        PgType::Vector(_, _) | PgType::HalfVec(_, _) | PgType::SparseVec(_, _) => types::vector::plan(source, target),
        PgType::Hstore(_) => types::hstore::plan(source, options),
        PgType::Geometry(_, _) | PgType::Geography(_, _) => types::geometry::plan(source, target),
        PgType::Point | PgType::Line | PgType::Lseg | PgType::Box | PgType::Path | PgType::Polygon | PgType::Circle => {
            types::geometric::plan(source, target)
        }
        PgType::Range(range) => types::range::plan(source, range, rules),
        PgType::Multirange(range) => types::multirange::plan(source, range, rules),
        PgType::Composite(composite) => types::composite::plan(source, composite, rules),
        PgType::Array(element) => types::array::plan(source, element, rules),
        PgType::Domain(domain) => rule(source, &domain.base, rules),
        PgType::Other(other) => types::system::plan(source, other, options),
    }
}

/// Refuses tensors of several dimensions for a type that takes a whole list as one value without dimensions.
fn keeps_shape(source: &Source<'_>, target: &PgType) -> Result<(), Refused> {
    let is_flat = matches!(
        target,
        PgType::Vector(_, _)
            | PgType::HalfVec(_, _)
            | PgType::SparseVec(_, _)
            | PgType::Bit(_)
            | PgType::VarBit(_)
            | PgType::Point
    );
    match &source.extension {
        Some(Extension::FixedShapeTensor { shape }) if is_flat && shape.len() > 1 => Err(Refused::Because(format!(
            "the tensors have {} dimensions, the column has one",
            shape.len()
        ))),
        _ => Ok(()),
    }
}

/// Whether a column of type `target` may hold values of an extension: its storage alone would often fit a type that it
/// has nothing to do with, such as the text of an address in 16 bytes a `uuid`.
fn keeps_meaning(extension: Option<&Extension>, target: &PgType) -> bool {
    let as_document = matches!(target, PgType::Json | PgType::Jsonb);
    let as_text = as_document
        || matches!(
            target,
            PgType::Text | PgType::Varchar(_) | PgType::Bpchar(_) | PgType::Citext(_) | PgType::Domain(_)
        );
    match extension {
        Some(Extension::Json) => as_text,
        Some(Extension::Wkt) => as_text || matches!(target, PgType::Geometry(_, _) | PgType::Geography(_, _)),
        // As it is, a variant is a row of two binaries.
        Some(Extension::Variant) => as_text || matches!(target, PgType::Composite(_)),
        Some(Extension::Bool8) => as_text || target == &PgType::Bool,
        Some(Extension::Uuid) => as_text || matches!(target, PgType::Uuid | PgType::Bytea),
        Some(Extension::Inet) => as_text || matches!(target, PgType::Inet | PgType::Cidr),
        Some(Extension::Mac) => as_text || matches!(target, PgType::MacAddr | PgType::MacAddr8),
        Some(Extension::Wkb) => {
            as_document
                || matches!(
                    target,
                    PgType::Bytea | PgType::Geometry(_, _) | PgType::Geography(_, _) | PgType::Domain(_)
                )
        }
        _ => true,
    }
}
