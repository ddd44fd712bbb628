//! Tables of every type that the plugin SDK's test suite writes, with values made from the row's number.
//!
//! The list of columns is the SDK's (without maps, as the Go destination's own run leaves them out); the values are ours:
//! signed integers negative, unsigned ones over their whole range, addresses with host bits, lists with a NULL inside.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::take;
use arrow::datatypes::*;

use super::client;

/// Microseconds of 2024-03-05 06:07:08.
const MOMENT: i64 = 1_709_618_828_000_000;

/// Every type once, in the suite's order, without `id`.
const SCALARS: [&str; 37] = [
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "binary",
    "string",
    "boolean",
    "uuid",
    "inet",
    "mac",
    "json",
    "date32",
    "date64",
    "duration_s",
    "duration_ms",
    "duration_us",
    "duration_ns",
    "interval_month",
    "interval_day_time",
    "interval_month_day_nano",
    "large_binary",
    "large_string",
    "time32_s",
    "time32_ms",
    "time64_us",
    "time64_ns",
    "timestamp_s",
    "timestamp_ms",
    "timestamp_us",
    "timestamp_ns",
    "decimal",
];

/// `id`, every scalar, a struct of them all, and a list of each but `json`: 77 columns.
pub(crate) fn test_table(name: &str) -> SchemaRef {
    client::schema(name, fields())
}

pub(crate) fn fields() -> Vec<Field> {
    let mut fields = vec![Field::new("id", DataType::Int64, false)];
    fields.extend(SCALARS.iter().map(|name| scalar_field(name, true)));
    let children: Vec<Field> = fields.iter().map(|field| field.clone().with_nullable(false)).collect();
    fields.push(Field::new("struct", DataType::Struct(children.into()), true));
    let listed: Vec<Field> = fields.iter().filter(|field| field.name() != "json").cloned().collect();
    for field in listed {
        let item = field.clone().with_name("item").with_nullable(true);
        fields.push(Field::new(
            format!("{}_list", field.name()),
            DataType::List(Arc::new(item)),
            true,
        ));
    }
    fields
}

/// Rows `ids` of a schema made of these fields; with `nulls`, everything nullable is NULL.
pub(crate) fn rows(schema: &SchemaRef, ids: std::ops::Range<i64>, nulls: bool) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match nulls && field.is_nullable() && !is_key(field) {
            true => new_null_array(field.data_type(), ids.len()),
            false => column(field, &ids),
        });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).expect("the columns fit the schema")
}

fn is_key(field: &Field) -> bool {
    field
        .metadata()
        .get("cq:extension:primary_key")
        .is_some_and(|value| value == "true")
}

fn column(field: &Field, ids: &[i64]) -> ArrayRef {
    match field.data_type() {
        DataType::List(item) => {
            let values = column(item, ids);
            // Each list is [v, null, v].
            let picks: UInt32Array = (0..ids.len() as u32)
                .flat_map(|row| [Some(row), None, Some(row)])
                .collect();
            let values = take(&values, &picks, None).expect("rows that exist");
            let offsets = OffsetBuffer::new(ScalarBuffer::from_iter((0..=ids.len() as i32).map(|row| row * 3)));
            Arc::new(ListArray::new(Arc::clone(item), offsets, values, None))
        }
        DataType::Struct(children) => {
            let columns = children.iter().map(|child| column(child, ids)).collect();
            Arc::new(StructArray::new(children.clone(), columns, None))
        }
        _ => scalars(field, ids),
    }
}

fn scalar_field(name: &str, nullable: bool) -> Field {
    use DataType as D;
    let utc = || Some(Arc::from("UTC"));
    let (data_type, extension) = match name {
        "int8" => (D::Int8, None),
        "int16" => (D::Int16, None),
        "int32" => (D::Int32, None),
        "int64" => (D::Int64, None),
        "uint8" => (D::UInt8, None),
        "uint16" => (D::UInt16, None),
        "uint32" => (D::UInt32, None),
        "uint64" => (D::UInt64, None),
        "float32" => (D::Float32, None),
        "float64" => (D::Float64, None),
        "binary" => (D::Binary, None),
        "boolean" => (D::Boolean, None),
        "uuid" => (D::FixedSizeBinary(16), Some("uuid")),
        "inet" | "mac" | "json" => (D::Binary, Some(name)),
        "date32" => (D::Date32, None),
        "date64" => (D::Date64, None),
        "duration_s" => (D::Duration(TimeUnit::Second), None),
        "duration_ms" => (D::Duration(TimeUnit::Millisecond), None),
        "duration_us" => (D::Duration(TimeUnit::Microsecond), None),
        "duration_ns" => (D::Duration(TimeUnit::Nanosecond), None),
        "interval_month" => (D::Interval(IntervalUnit::YearMonth), None),
        "interval_day_time" => (D::Interval(IntervalUnit::DayTime), None),
        "interval_month_day_nano" => (D::Interval(IntervalUnit::MonthDayNano), None),
        "large_binary" => (D::LargeBinary, None),
        "large_string" => (D::LargeUtf8, None),
        "time32_s" => (D::Time32(TimeUnit::Second), None),
        "time32_ms" => (D::Time32(TimeUnit::Millisecond), None),
        "time64_us" => (D::Time64(TimeUnit::Microsecond), None),
        "time64_ns" => (D::Time64(TimeUnit::Nanosecond), None),
        "timestamp_s" => (D::Timestamp(TimeUnit::Second, utc()), None),
        "timestamp_ms" => (D::Timestamp(TimeUnit::Millisecond, utc()), None),
        "timestamp_us" => (D::Timestamp(TimeUnit::Microsecond, utc()), None),
        "timestamp_ns" => (D::Timestamp(TimeUnit::Nanosecond, utc()), None),
        "decimal" => (D::Decimal128(19, 10), None),
        _ => (D::Utf8, None),
    };
    let field = Field::new(name, data_type, nullable);
    match extension {
        None => field,
        Some(extension) => extended(field, extension),
    }
}

/// The field with one of CloudQuery's extension types.
pub(crate) fn extended(field: Field, extension: &str) -> Field {
    field.with_metadata(HashMap::from([
        ("ARROW:extension:name".to_owned(), extension.to_owned()),
        ("ARROW:extension:metadata".to_owned(), format!("{extension}-serialized")),
    ]))
}

fn scalars(field: &Field, ids: &[i64]) -> ArrayRef {
    let extension = field
        .metadata()
        .get("ARROW:extension:name")
        .map_or("", |name| name.as_str());
    match (field.data_type(), extension) {
        (DataType::FixedSizeBinary(_), _) => {
            let values = ids.iter().map(|id| uuid(*id));
            Arc::new(FixedSizeBinaryArray::try_from_iter(values).expect("16 bytes each"))
        }
        (DataType::Binary, kind) => {
            let values: Vec<Vec<u8>> = ids.iter().map(|id| bytes(*id, kind)).collect();
            Arc::new(BinaryArray::from_iter_values(values))
        }
        (DataType::LargeBinary, _) => Arc::new(LargeBinaryArray::from_iter_values(ids.iter().map(|id| bytes(*id, "")))),
        (DataType::LargeUtf8, _) => Arc::new(LargeStringArray::from_iter_values(ids.iter().map(text))),
        (DataType::Utf8, _) => Arc::new(StringArray::from_iter_values(ids.iter().map(text))),
        (DataType::Boolean, _) => Arc::new(ids.iter().map(|id| Some(id % 2 == 0)).collect::<BooleanArray>()),
        (DataType::Int64, _) if field.name() == "id" || field.name() == "item" => {
            Arc::new(Int64Array::from(ids.to_vec()))
        }
        (DataType::Float32, _) => Arc::new(Float32Array::from_iter_values(ids.iter().map(|id| 100.25 + *id as f32))),
        (DataType::Float64, _) => Arc::new(Float64Array::from_iter_values(
            ids.iter().map(|id| 100.375 + *id as f64),
        )),
        (DataType::Decimal128(_, _), _) => {
            let values = ids.iter().map(|id| 123_456_789_012_345_678_i128 * 10 + i128::from(*id));
            let values = Decimal128Array::from_iter_values(values).with_precision_and_scale(19, 10);
            Arc::new(values.expect("19 digits"))
        }
        (data_type, _) => numbers(data_type, ids),
    }
}

fn numbers(data_type: &DataType, ids: &[i64]) -> ArrayRef {
    fn of<P: ArrowPrimitiveType>(ids: &[i64], make: impl Fn(i64) -> P::Native) -> ArrayRef {
        Arc::new(PrimitiveArray::<P>::from_iter_values(ids.iter().map(|id| make(*id))))
    }
    let day_ms = 86_400_000;
    let second = |id: i64| (3_661 + id) % 86_400;
    match data_type {
        DataType::Int8 => of::<Int8Type>(ids, |id| -((id % 100) as i8) - 1),
        DataType::Int16 => of::<Int16Type>(ids, |id| -(id as i16) - 1),
        DataType::Int32 => of::<Int32Type>(ids, |id| -(id as i32) - 1),
        DataType::Int64 => of::<Int64Type>(ids, |id| i64::MIN + id),
        DataType::UInt8 => of::<UInt8Type>(ids, |id| 255 - (id % 100) as u8),
        DataType::UInt16 => of::<UInt16Type>(ids, |id| u16::MAX - id as u16),
        DataType::UInt32 => of::<UInt32Type>(ids, |id| u32::MAX - id as u32),
        DataType::UInt64 => of::<UInt64Type>(ids, |id| u64::MAX - id as u64),
        DataType::Date32 => of::<Date32Type>(ids, |id| 19_500 + id as i32),
        DataType::Date64 => of::<Date64Type>(ids, |id| (19_500 + id) * day_ms),
        DataType::Duration(TimeUnit::Second) => of::<DurationSecondType>(ids, |id| id * 1_000),
        DataType::Duration(TimeUnit::Millisecond) => of::<DurationMillisecondType>(ids, |id| id * 1_001),
        DataType::Duration(TimeUnit::Microsecond) => of::<DurationMicrosecondType>(ids, |id| id * 1_002),
        DataType::Duration(TimeUnit::Nanosecond) => of::<DurationNanosecondType>(ids, |id| id * 1_003),
        DataType::Interval(IntervalUnit::YearMonth) => of::<IntervalYearMonthType>(ids, |_| 1),
        DataType::Interval(IntervalUnit::DayTime) => {
            of::<IntervalDayTimeType>(ids, |id| IntervalDayTime::new(id as i32, id as i32))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            of::<IntervalMonthDayNanoType>(ids, |id| IntervalMonthDayNano::new(id as i32, id as i32, id))
        }
        DataType::Time32(TimeUnit::Second) => of::<Time32SecondType>(ids, |id| second(id) as i32),
        DataType::Time32(_) => of::<Time32MillisecondType>(ids, |id| second(id) as i32 * 1_000 + 7),
        DataType::Time64(TimeUnit::Microsecond) => of::<Time64MicrosecondType>(ids, |id| second(id) * 1_000_000 + 123),
        DataType::Time64(_) => of::<Time64NanosecondType>(ids, |id| second(id) * 1_000_000_000 + 123_000),
        DataType::Timestamp(unit, zone) => timestamps(*unit, zone.clone(), ids),
        other => panic!("no values for {other}"),
    }
}

fn timestamps(unit: TimeUnit, zone: Option<Arc<str>>, ids: &[i64]) -> ArrayRef {
    let micros = |id: &i64| MOMENT + id * 1_000_000;
    match unit {
        TimeUnit::Second => {
            let values = ids.iter().map(|id| micros(id) / 1_000_000);
            Arc::new(TimestampSecondArray::from_iter_values(values).with_timezone_opt(zone))
        }
        TimeUnit::Millisecond => {
            let values = ids.iter().map(|id| micros(id) / 1_000 + 5);
            Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone_opt(zone))
        }
        TimeUnit::Microsecond => {
            let values = ids.iter().map(|id| micros(id) + 321);
            Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone_opt(zone))
        }
        TimeUnit::Nanosecond => {
            let values = ids.iter().map(|id| (micros(id) + 654) * 1_000);
            Arc::new(TimestampNanosecondArray::from_iter_values(values).with_timezone_opt(zone))
        }
    }
}

fn text(id: &i64) -> String {
    format!("AString{id}")
}

pub(crate) fn uuid(id: i64) -> [u8; 16] {
    let mut bytes = [0x50; 16];
    bytes[8..].copy_from_slice(&id.to_be_bytes());
    bytes
}

fn bytes(id: i64, extension: &str) -> Vec<u8> {
    match extension {
        "inet" => format!("10.{}.3.{}/24", id % 200, id % 250 + 1).into_bytes(),
        "mac" => vec![0x02, 0x1b, 0x63, 0x84, 0x45, (id % 256) as u8],
        "json" => format!(r#"{{"test":["a","b",{id}]}}"#).into_bytes(),
        _ => vec![0, 0xff, 7, (id % 256) as u8],
    }
}
