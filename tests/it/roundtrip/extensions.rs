//! Extension types: the canonical ones, CloudQuery's, and types of Postgres that Arrow knows by name only.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use fastrand::Rng;

use super::column::{Column, Draw, primitive};
use super::documents::Shape;
use super::layouts::{fixed, hex};
use super::temporal;

fn dashed(bytes: &[u8; 16]) -> String {
    [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]]
        .map(hex)
        .join("-")
}

pub(super) fn uuids(draw: &mut Draw, rows: usize) -> Column {
    let (array, values) = fixed::<16>(draw, rows);
    Column::texts_of(Arc::new(array), &values, dashed).extended("arrow.uuid", "")
}

pub(super) fn bool8s(draw: &mut Draw, rows: usize) -> Column {
    // Every byte but 0 is true, and true is read as 1.
    let column = primitive::<Int8Type>(
        draw,
        rows,
        DataType::Int8,
        &[0, 1, -1, i8::MIN],
        |random| random.i8(..),
        |byte| (byte != 0).to_string(),
    );
    let bytes = column
        .array
        .as_primitive::<Int8Type>()
        .unary::<_, Int8Type>(|byte| i8::from(byte != 0));
    let column = column.extended("arrow.bool8", "");
    let field = column.field.clone();
    column.asked_as(field, Arc::new(bytes))
}

/// JSON as text. Postgres writes it in its own way, so what is asked for is compared there.
pub(super) fn json(draw: &mut Draw, rows: usize, layout: &DataType) -> Column {
    let seed = draw.random.u64(..);
    let texts = Shape::of(seed).make(draw, rows).texts;
    let array = cast(&StringArray::from(texts.clone()), layout).expect("text has every layout");
    Column::new(array, texts).extended("arrow.json", "").unasked()
}

/// An instant and where its clock stood, which Postgres does not keep.
pub(super) fn instants_with_offset(draw: &mut Draw, rows: usize) -> Column {
    let instants = temporal::instants::<TimestampMicrosecondType>(draw, rows, 1_000, Some("UTC"));
    let nulls = instants.array.nulls().cloned();
    let offsets: Int16Array = (0..rows).map(|_| Some(draw.random.i16(-839..=839))).collect();
    let fields = vec![
        Field::new("timestamp", instants.array.data_type().clone(), false),
        Field::new("offset_minutes", DataType::Int16, false),
    ];
    let parts = instants.array.as_primitive::<TimestampMicrosecondType>();
    let parts = TimestampMicrosecondArray::new(parts.values().clone(), None).with_timezone("UTC");
    let arrays: Vec<ArrayRef> = vec![Arc::new(parts), Arc::new(offsets)];
    let array = StructArray::try_new_with_length(fields.into(), arrays, nulls, rows).expect("one length");
    let column = Column::new(Arc::new(array), instants.texts).extended("arrow.timestamp_with_offset", "");
    column.asked_as(instants.field, instants.array)
}

/// The text of a type of Postgres.
pub(super) fn opaque_texts(
    draw: &mut Draw,
    rows: usize,
    type_name: &str,
    extremes: &[&str],
    any: impl Fn(&mut Rng) -> String,
) -> Column {
    let extremes: Vec<String> = extremes.iter().map(|text| (*text).to_owned()).collect();
    let texts = draw.values(rows, &extremes, any);
    Column::new(Arc::new(StringArray::from(texts.clone())), texts).extended("arrow.opaque", &parameters(type_name))
}

fn parameters(type_name: &str) -> String {
    serde_json::json!({"type_name": type_name, "vendor_name": "PostgreSQL"}).to_string()
}

pub(super) fn address(random: &mut Rng) -> String {
    if random.bool() {
        format!("{}/{}", Ipv4Addr::from_bits(random.u32(..)), random.u8(..32))
    } else {
        format!("{}/{}", Ipv6Addr::from_bits(random.u128(..)), random.u8(..128))
    }
}

/// The payload of a point, two doubles.
pub(super) fn opaque_points(draw: &mut Draw, rows: usize) -> Column {
    let extremes = [(0.0, -0.0), (f64::MAX, f64::MIN), (f64::INFINITY, f64::NAN)];
    let values = draw.values(rows, &extremes, |random| (random.f64(), -random.f64()));
    let payload = |(x, y): &(f64, f64)| [x.to_be_bytes(), y.to_be_bytes()].concat();
    let array = BinaryArray::from_iter(values.iter().map(|value| value.as_ref().map(payload)));
    Column::texts_of(Arc::new(array), &values, |(x, y)| format!("({x:?},{y:?})"))
        .extended("arrow.opaque", &parameters("point"))
}

/// CloudQuery's address: text in bytes, always with a mask.
pub(super) fn cloudquery_addresses(draw: &mut Draw, rows: usize) -> Column {
    let extremes = ["0.0.0.0/0", "255.255.255.255/32", "::/0", "::1/128"].map(str::to_owned);
    let texts = draw.values(rows, &extremes, address);
    let array = BinaryArray::from_iter(texts.iter().map(Option::as_ref));
    Column::new(Arc::new(array), texts).extended("inet", "inet-serialized")
}

pub(super) fn cloudquery_macs(draw: &mut Draw, rows: usize) -> Column {
    let (array, values) = fixed::<6>(draw, rows);
    let array = cast(&array, &DataType::Binary).expect("bytes have every layout");
    Column::texts_of(array, &values, |bytes| hex(bytes)).extended("mac", "mac-serialized")
}

pub(super) fn cloudquery_uuids(draw: &mut Draw, rows: usize) -> Column {
    let (array, values) = fixed::<16>(draw, rows);
    Column::texts_of(Arc::new(array), &values, dashed).extended("uuid", "uuid-serialized")
}

/// CloudQuery's JSON: text in bytes.
pub(super) fn cloudquery_json(draw: &mut Draw, rows: usize) -> Column {
    let column = json(draw, rows, &DataType::Utf8);
    let array = cast(&column.array, &DataType::Binary).expect("text is bytes");
    Column::new(array, column.texts)
        .extended("json", "json-serialized")
        .unasked()
}
