//! Which Arrow field a column of each Postgres type is read as when the reader asks for nothing else. Pure.
//!
//! The fields are chosen so that writing what was read creates columns from which the same is read again. Where the Arrow
//! type alone would create another column type, the field carries the type's name under [`PG_TYPE`]; where the storage is
//! not the value (a number as text, the payload of a type that Arrow lacks), it is an `arrow.opaque` of that name.
//! `docs/reading.md` has the whole table, and a test holds it to this file.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};

use crate::model::extension::{METADATA, NAME, PG_TYPE_KEYS};
use crate::model::options::TypeProfile;
use crate::model::pg_type::{CompositeType, NumericMod, PgType};
use crate::model::type_map::default_type;

/// Field metadata key of the Postgres type's name, as the ADBC driver for PostgreSQL writes it.
pub const PG_TYPE: &str = PG_TYPE_KEYS[0];
/// Name of the system in `arrow.opaque` fields, as the ADBC driver writes it.
pub const VENDOR: &str = "PostgreSQL";

/// The field that a column is read as.
pub fn field(name: &str, ty: &PgType, nullable: bool) -> Field {
    let (data_type, extension) = storage(ty);
    let mut field = Field::new(name, data_type, nullable);
    let mut metadata = field.metadata().clone();
    match extension {
        Meaning::Plain => {}
        Meaning::Canonical(extension) => {
            metadata.insert(NAME, extension);
            metadata.insert(METADATA, "");
        }
        Meaning::Opaque => {
            metadata.insert(NAME, "arrow.opaque");
            let parameters = serde_json::json!({"type_name": bare_name(ty), "vendor_name": VENDOR});
            metadata.insert(METADATA, parameters.to_string());
        }
    }
    field.set_metadata(metadata.clone());
    if &default_type(&field, TypeProfile::Native) != ty {
        metadata.insert(PG_TYPE, type_name(ty));
        field.set_metadata(metadata);
    }
    field
}

/// What a field says beyond its storage.
enum Meaning {
    Plain,
    /// A canonical extension type without parameters.
    Canonical(&'static str),
    /// A type of Postgres, by name.
    Opaque,
}

fn storage(ty: &PgType) -> (DataType, Meaning) {
    match ty {
        PgType::Numeric(modifier) => match modifier.and_then(decimal) {
            Some(decimal) => (decimal, Meaning::Plain),
            None => (DataType::Utf8, Meaning::Opaque),
        },
        PgType::Uuid => (DataType::FixedSizeBinary(16), Meaning::Canonical("arrow.uuid")),
        PgType::Json | PgType::Jsonb => (DataType::Utf8, Meaning::Canonical("arrow.json")),
        PgType::Money(_) => (DataType::Int64, Meaning::Opaque),
        PgType::Domain(domain) => storage(&domain.base),
        PgType::Point | PgType::Line | PgType::Lseg | PgType::Box => (DataType::Binary, Meaning::Opaque),
        PgType::Path | PgType::Polygon | PgType::Circle => (DataType::Binary, Meaning::Opaque),
        PgType::Range(_) | PgType::Multirange(_) | PgType::SparseVec(..) => (DataType::Binary, Meaning::Opaque),
        PgType::Geometry(..) | PgType::Geography(..) => (DataType::Binary, Meaning::Opaque),
        PgType::TsVector | PgType::TsQuery | PgType::Other(_) => (DataType::Binary, Meaning::Opaque),
        _ => plain(ty),
    }
}

fn plain(ty: &PgType) -> (DataType, Meaning) {
    let data_type = match ty {
        PgType::Bool => DataType::Boolean,
        PgType::Int2 => DataType::Int16,
        PgType::Int4 => DataType::Int32,
        PgType::Int8 => DataType::Int64,
        PgType::Oid | PgType::Xid | PgType::Cid => DataType::UInt32,
        PgType::Xid8 | PgType::PgLsn => DataType::UInt64,
        PgType::Float4 => DataType::Float32,
        PgType::Float8 => DataType::Float64,
        PgType::Bytea => DataType::Binary,
        PgType::Date => DataType::Date32,
        PgType::Time(_) => DataType::Time64(TimeUnit::Microsecond),
        PgType::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
        PgType::TimestampTz(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PgType::Interval | PgType::LimitedInterval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        PgType::Array(element) => DataType::List(Arc::new(field("item", element, true))),
        PgType::Vector(n, _) => floats(DataType::Float32, *n),
        PgType::HalfVec(n, _) => floats(DataType::Float16, *n),
        PgType::Composite(composite) => DataType::Struct(attributes(composite)),
        PgType::Hstore(_) => texts_by_text(),
        _ => DataType::Utf8,
    };
    (data_type, Meaning::Plain)
}

/// Arrow has no negative scale everywhere: the digits that are always zero are written out. Nor has it more fraction
/// digits than digits.
fn decimal(modifier: NumericMod) -> Option<DataType> {
    let scale = u16::try_from(modifier.scale).unwrap_or(0);
    let zeros = u16::try_from(-i32::from(modifier.scale)).unwrap_or(0);
    let precision = u8::try_from((modifier.precision + zeros).max(scale)).ok()?;
    let scale = i8::try_from(scale).ok()?;
    match precision {
        ..=38 => Some(DataType::Decimal128(precision, scale)),
        39..=76 => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

fn floats(element: DataType, dimensions: Option<u32>) -> DataType {
    let item = Arc::new(Field::new("item", element, false));
    match dimensions.and_then(|dimensions| i32::try_from(dimensions).ok()) {
        Some(size) => DataType::FixedSizeList(item, size),
        None => DataType::List(item),
    }
}

fn attributes(ty: &CompositeType) -> Fields {
    ty.fields
        .iter()
        .map(|(name, ty)| field(name.as_str(), ty, true))
        .collect()
}

fn texts_by_text() -> DataType {
    let entries = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

/// The name without modifiers, as `pg_type` has it: what an opaque type is known by.
fn bare_name(ty: &PgType) -> String {
    match ty {
        PgType::Domain(domain) => bare_name(&domain.base),
        ty => {
            let name = type_name(ty);
            name.split_once('(').map_or(name.as_str(), |(name, _)| name).to_owned()
        }
    }
}

/// The name of a type with its modifier, without schema and quotes.
pub fn type_name(ty: &PgType) -> String {
    let with = |name: &str, modifier: &Option<u32>| match modifier {
        Some(modifier) => format!("{name}({modifier})"),
        None => name.to_owned(),
    };
    match ty {
        PgType::Array(element) => format!("{}[]", type_name(element)),
        PgType::Vector(n, _) => with("vector", n),
        PgType::HalfVec(n, _) => with("halfvec", n),
        PgType::SparseVec(n, _) => with("sparsevec", n),
        PgType::Hstore(_) => "hstore".to_owned(),
        PgType::Citext(_) => "citext".to_owned(),
        PgType::Ltree(_) => "ltree".to_owned(),
        PgType::Lquery(_) => "lquery".to_owned(),
        PgType::Geometry(modifier, _) | PgType::Geography(modifier, _) => {
            let name = if matches!(ty, PgType::Geometry(..)) {
                "geometry"
            } else {
                "geography"
            };
            modifier
                .as_ref()
                .map_or_else(|| name.to_owned(), |modifier| format!("{name}({modifier})"))
        }
        PgType::Range(range) | PgType::Multirange(range) => range.name.to_string(),
        PgType::Enum(ty) => ty.name.to_string(),
        PgType::Domain(ty) => ty.name.to_string(),
        PgType::Composite(ty) => ty.name.to_string(),
        PgType::Other(other) => other.name.to_string(),
        built_in => built_in.to_string(),
    }
}
