//! Which column type is created for an Arrow field: the default, before any column exists.
//!
//! Two maps: `native` picks the closest Postgres type that holds every value of the Arrow type, `cloudquery` repeats the
//! Go plugin's choices so that its databases can be taken over. Loading into an existing column is the encoder's
//! business (`codec::encode`), which takes many more pairs than these.

use arrow::datatypes::{DataType, Field};

use super::extension::Extension;
use super::geoarrow::Georeference;
use super::installed::Installed;
use super::options::TypeProfile;
use super::pg_name;
use super::pg_type::{NumericMod, PgType};

/// The column type to create for a field on a server without extensions.
pub fn default_type(field: &Field, profile: TypeProfile) -> PgType {
    default_type_on(&Installed::default(), field, profile)
}

/// The column type to create for a field in a database that has these extensions.
pub fn default_type_on(has: &Installed, field: &Field, profile: TypeProfile) -> PgType {
    match profile {
        TypeProfile::Native => native(has, field),
        TypeProfile::Cloudquery => cloudquery(field),
    }
}

fn native(has: &Installed, field: &Field) -> PgType {
    match Extension::of(field) {
        Some(extension) => native_extension(has, &extension, field),
        None => native_storage(has, field.data_type()),
    }
}

fn native_extension(has: &Installed, extension: &Extension, field: &Field) -> PgType {
    match extension {
        Extension::Uuid => PgType::Uuid,
        Extension::Json | Extension::Variant => PgType::Jsonb,
        Extension::Bool8 => PgType::Bool,
        Extension::TimestampWithOffset => PgType::TimestampTz(None),
        Extension::Inet => PgType::Inet,
        Extension::Mac => PgType::MacAddr,
        Extension::Wkb => geometry(has, field).unwrap_or(PgType::Bytea),
        Extension::Wkt => geometry(has, field).unwrap_or(PgType::Text),
        Extension::VariableShapeTensor => PgType::Jsonb,
        Extension::Opaque { type_name, vendor_name } if vendor_name == "PostgreSQL" => {
            match pg_name::geometry(has, type_name).or_else(|| pg_name::builtin(type_name)) {
                // The text of money is one of a locale.
                Some(PgType::Money(_)) | None => native_storage(has, field.data_type()),
                Some(ty) => ty,
            }
        }
        Extension::Opaque { .. } | Extension::FixedShapeTensor { .. } => native_storage(has, field.data_type()),
    }
}

/// PostGIS' type, where there is PostGIS and it has a number for the field's CRS.
fn geometry(has: &Installed, field: &Field) -> Option<PgType> {
    let reference = Georeference::of(field);
    reference.srid.ok()?;
    has.geometry(reference.on_globe, None)
}

fn native_storage(has: &Installed, data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => PgType::Bool,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => PgType::Int2,
        DataType::Int32 | DataType::UInt16 => PgType::Int4,
        DataType::Int64 | DataType::UInt32 => PgType::Int8,
        DataType::UInt64 => numeric(20, 0),
        DataType::Float16 | DataType::Float32 => PgType::Float4,
        DataType::Float64 => PgType::Float8,
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => decimal(*p, *s),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => PgType::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => PgType::Bytea,
        DataType::Date32 | DataType::Date64 => PgType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PgType::Time(None),
        DataType::Timestamp(_, None) => PgType::Timestamp(None),
        DataType::Timestamp(_, Some(_)) => PgType::TimestampTz(None),
        DataType::Duration(_) | DataType::Interval(_) => PgType::Interval,
        DataType::Dictionary(_, values) => native_storage(has, values),
        DataType::RunEndEncoded(_, values) => native(has, values),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => native_list(has, element),
        DataType::Struct(_) | DataType::Map(_, _) | DataType::Union(_, _) => PgType::Jsonb,
    }
}

/// Arrays of arrays may be ragged, which a Postgres array cannot be; JSON can.
fn native_list(has: &Installed, element: &Field) -> PgType {
    match native(has, element) {
        PgType::Array(_) => PgType::Jsonb,
        PgType::Jsonb if !matches!(Extension::of(element), Some(Extension::Json)) => PgType::Jsonb,
        scalar => PgType::Array(Box::new(scalar)),
    }
}

/// A negative scale is written out in full digits: `numeric(p,-s)` exists only from Postgres 15 on.
fn decimal(precision: u8, scale: i8) -> PgType {
    let precision = u16::from(precision);
    if scale < 0 {
        return numeric(precision + u16::from(scale.unsigned_abs()), 0);
    }
    // More fraction digits than digits (0.00012 as decimal(2,5)) are allowed in Arrow and from Postgres 15 on.
    numeric(precision.max(scale.unsigned_abs().into()), i16::from(scale))
}

fn numeric(precision: u16, scale: i16) -> PgType {
    PgType::Numeric(Some(NumericMod { precision, scale }))
}

fn cloudquery(field: &Field) -> PgType {
    match Extension::of(field) {
        Some(Extension::Uuid) => return PgType::Uuid,
        Some(Extension::Json) if !is_canonical(field) => return PgType::Jsonb,
        // The Go library knows it, its plugin has no column type for it.
        Some(Extension::Bool8) => return PgType::Text,
        Some(Extension::Inet) => return PgType::Inet,
        Some(Extension::Mac) => return PgType::MacAddr,
        _ => {}
    }
    match field.data_type() {
        DataType::Boolean => PgType::Bool,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => PgType::Int2,
        DataType::Int32 | DataType::UInt16 => PgType::Int4,
        DataType::Int64 | DataType::UInt32 => PgType::Int8,
        DataType::UInt64 => numeric(20, 0),
        DataType::Float32 => PgType::Float4,
        DataType::Float64 => PgType::Float8,
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => numeric(u16::from(*p), i16::from(*s)),
        DataType::Binary | DataType::LargeBinary => PgType::Bytea,
        DataType::Timestamp(_, _) => PgType::Timestamp(None),
        DataType::Time32(_) | DataType::Time64(_) => PgType::Time(None),
        DataType::Date32 | DataType::Date64 => PgType::Date,
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            PgType::Array(Box::new(cloudquery_element(element)))
        }
        _ => PgType::Text,
    }
}

/// The Go plugin appends `[]` per level; Postgres has one array type for any number of dimensions.
fn cloudquery_element(element: &Field) -> PgType {
    match cloudquery(element) {
        PgType::Array(inner) => *inner,
        scalar => scalar,
    }
}

/// `arrow.json` means nothing to the Go plugin, which writes it as text.
fn is_canonical(field: &Field) -> bool {
    field
        .metadata()
        .get(super::extension::NAME)
        .is_some_and(|name| name.starts_with("arrow."))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Metadata;

    use super::*;
    use crate::model::extension::{METADATA, NAME};
    use crate::model::ident::Ident;

    fn field(data_type: DataType, name: &str, metadata: &str) -> Field {
        let mut keys = Metadata::default();
        keys.insert(NAME, name);
        keys.insert(METADATA, metadata);
        let mut field = Field::new("g", data_type, true);
        field.set_metadata(keys);
        field
    }

    #[test]
    fn geometries_are_postgis_own_where_there_is_postgis_and_a_number_for_their_crs() {
        let has = Installed {
            postgis: Some(Ident::new("gis").unwrap()),
        };
        let opaque = r#"{"type_name": "geography", "vendor_name": "PostgreSQL"}"#;
        let nameless = r#"{"crs": "mine"}"#;
        let wkb = |metadata| field(DataType::Binary, "geoarrow.wkb", metadata);
        let wkt = |metadata| field(DataType::Utf8View, "geoarrow.wkt", metadata);
        let list = |element: Field| Field::new_list("g", element, true);
        for (field, with, without) in [
            (wkb(""), r#""gis"."geometry""#, "bytea"),
            (wkt(r#"{"crs": "EPSG:3857"}"#), r#""gis"."geometry""#, "text"),
            (wkb(r#"{"edges": "spherical"}"#), r#""gis"."geography""#, "bytea"),
            (wkb(nameless), "bytea", "bytea"),
            (wkt(nameless), "text", "text"),
            (list(wkb("")), r#""gis"."geometry"[]"#, "bytea[]"),
            (
                field(DataType::Binary, "arrow.opaque", opaque),
                r#""gis"."geography""#,
                "bytea",
            ),
            (field(DataType::Binary, "geoarrow.other", ""), "bytea", "bytea"),
        ] {
            let made = |has: &Installed, profile| default_type_on(has, &field, profile).to_string();
            assert_eq!(made(&has, TypeProfile::Native), with, "{field:?}");
            assert_eq!(made(&Installed::default(), TypeProfile::Native), without, "{field:?}");
            let plain = made(&Installed::default(), TypeProfile::Cloudquery);
            assert_eq!(
                made(&has, TypeProfile::Cloudquery),
                plain,
                "the Go plugin knows no PostGIS"
            );
        }
    }
}
