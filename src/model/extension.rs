//! What an Arrow field means beyond its storage: the extension types that pgflight knows.
//!
//! An unknown extension, or a known one on a storage that its specification does not allow, is read as its storage, as
//! the Arrow specification asks for. Names are those of the Arrow specification, GeoArrow and the CloudQuery SDK.

use arrow::datatypes::{DataType, Field};

/// Field metadata key of an extension type's name.
pub const NAME: &str = "ARROW:extension:name";
/// Field metadata key of an extension type's parameters.
pub const METADATA: &str = "ARROW:extension:metadata";

/// Field metadata keys under which readers of Postgres (ours, the ADBC driver, and the driver before) note the type of the
/// column that a field was read from.
pub const PG_TYPE_KEYS: [&str; 2] = ["POSTGRESQL:type", "ADBC:postgresql:typname"];

/// A meaning of a field that its storage type does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// `arrow.uuid`, CloudQuery's `uuid`: 16 bytes in network order.
    Uuid,
    /// `arrow.json`, CloudQuery's `json`: JSON text.
    Json,
    /// `arrow.bool8`: a byte, 0 is false, anything else true.
    Bool8,
    /// `arrow.opaque`: a type of another system, by name.
    Opaque {
        /// Name of the type within the system.
        type_name: String,
        /// Name of the system.
        vendor_name: String,
    },
    /// `arrow.fixed_shape_tensor`: row-major elements of one shape.
    FixedShapeTensor {
        /// Physical lengths of the dimensions.
        shape: Vec<usize>,
    },
    /// `arrow.variable_shape_tensor`: elements and their shape in each row.
    VariableShapeTensor,
    /// `arrow.timestamp_with_offset`: an instant and the offset it was noted in.
    TimestampWithOffset,
    /// `arrow.parquet.variant`: Parquet's variant encoding.
    Variant,
    /// `geoarrow.wkb`: well-known binary.
    Wkb,
    /// `geoarrow.wkt`: well-known text.
    Wkt,
    /// CloudQuery's `inet`: an address as text, in binary storage.
    Inet,
    /// CloudQuery's `mac`: the raw bytes of a hardware address.
    Mac,
}

impl Extension {
    /// The extension of a field, where it is known and its storage allowed.
    pub fn of(field: &Field) -> Option<Self> {
        let Some(name) = field.metadata().get(NAME) else {
            return match field.data_type() {
                DataType::RunEndEncoded(_, values) => Self::of(values),
                _ => None,
            };
        };
        let metadata = field.metadata().get(METADATA).map_or("", String::as_str);
        Self::parse(name, metadata, unencoded(field.data_type()))
    }

    fn parse(name: &str, metadata: &str, storage: &DataType) -> Option<Self> {
        let extension = match name {
            "arrow.uuid" | "uuid" if matches!(storage, DataType::FixedSizeBinary(16)) => Self::Uuid,
            "arrow.json" if is_text(storage) => Self::Json,
            "json" if is_text(storage) || is_binary(storage) => Self::Json,
            "arrow.bool8" if matches!(storage, DataType::Int8) => Self::Bool8,
            "arrow.opaque" => opaque(metadata)?,
            "arrow.fixed_shape_tensor" => fixed_shape(metadata, storage)?,
            "arrow.variable_shape_tensor" if matches!(storage, DataType::Struct(_)) => Self::VariableShapeTensor,
            "arrow.timestamp_with_offset" if is_timestamp_with_offset(storage) => Self::TimestampWithOffset,
            "arrow.parquet.variant" if is_variant(storage) => Self::Variant,
            "geoarrow.wkb" if is_binary(storage) => Self::Wkb,
            "geoarrow.wkt" if is_text(storage) => Self::Wkt,
            "inet" if is_binary(storage) => Self::Inet,
            "mac" if is_binary(storage) => Self::Mac,
            _ => return None,
        };
        Some(extension)
    }
}

fn opaque(metadata: &str) -> Option<Extension> {
    let object: serde_json::Value = serde_json::from_str(metadata).ok()?;
    let text = |key: &str| object.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    Some(Extension::Opaque {
        type_name: text("type_name")?,
        vendor_name: text("vendor_name")?,
    })
}

fn fixed_shape(metadata: &str, storage: &DataType) -> Option<Extension> {
    let DataType::FixedSizeList(_, size) = storage else {
        return None;
    };
    let object: serde_json::Value = serde_json::from_str(metadata).ok()?;
    let mut shape = Vec::new();
    for length in object.get("shape")?.as_array()? {
        shape.push(usize::try_from(length.as_u64()?).ok()?);
    }
    let cells = shape
        .iter()
        .try_fold(1usize, |cells, length| cells.checked_mul(*length))?;
    // One of no dimensions is a list of one number.
    (!shape.is_empty() && cells == usize::try_from(*size).ok()?).then_some(Extension::FixedShapeTensor { shape })
}

fn is_timestamp_with_offset(storage: &DataType) -> bool {
    let DataType::Struct(fields) = storage else {
        return false;
    };
    fields.len() == 2
        && matches!(fields[0].data_type(), DataType::Timestamp(_, Some(_)))
        && matches!(unencoded(fields[1].data_type()), DataType::Int16)
}

/// Whether a struct has the parts of a variant: `metadata`, and `value` or `typed_value`, in any order.
fn is_variant(storage: &DataType) -> bool {
    let DataType::Struct(fields) = storage else {
        return false;
    };
    let is_bytes = |name: &str| {
        let found = fields.find(name);
        found.is_some_and(|(_, field)| is_binary(unencoded(field.data_type())))
    };
    is_bytes("metadata") && (is_bytes("value") || fields.find("typed_value").is_some())
}

/// A field that names its extension itself: runs may leave that to the field of their values.
pub fn meant(field: &Field) -> Field {
    let mut field = field.clone();
    if let DataType::RunEndEncoded(_, values) = field.data_type()
        && !field.metadata().contains_key(NAME)
    {
        let values = meant(values);
        for key in [NAME, METADATA] {
            if let Some(value) = values.metadata().get(key) {
                field.metadata_mut().insert(key.to_owned(), value.clone());
            }
        }
    }
    field
}

/// The type of the values behind a dictionary or runs.
pub fn unencoded(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        DataType::RunEndEncoded(_, values) => values.data_type(),
        plain => plain,
    }
}

/// Text in any layout.
pub fn is_text(storage: &DataType) -> bool {
    matches!(storage, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Bytes in any layout.
pub fn is_binary(storage: &DataType) -> bool {
    matches!(
        storage,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}
