//! Values that CloudQuery's profile stores as text, back in the Arrow types that a Read asks for. Pure.
//!
//! Durations, intervals, structs and maps have no column type of their own in that profile. The texts are those of the Go
//! plugin: `123ms`, `{"days":1,"milliseconds":2}`, and JSON for nested values, where dates, times, decimals, durations and
//! addresses are strings and bytes are base64. A text that is not of its form is an error, never a NULL.

use std::fmt::Display;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::model::extension::Extension;

/// The field as it is asked for from the destination: text where the profile stores text.
pub(super) fn stored(field: &Field) -> Field {
    match field.data_type() {
        DataType::Duration(_) | DataType::Interval(_) | DataType::Struct(_) | DataType::Map(_, _) => {
            Field::new(field.name(), DataType::Utf8, field.is_nullable())
        }
        DataType::List(item) => {
            let item = stored(item);
            field.clone().with_data_type(DataType::List(Arc::new(item)))
        }
        _ => field.clone(),
    }
}

/// The column in the asked type.
///
/// # Errors
/// The row (from 0 in the batch) whose text is not of its form.
pub(super) fn restore(field: &Field, column: &ArrayRef) -> Result<ArrayRef, String> {
    if let (Some(Extension::Json), Some(texts)) = (Extension::of(field), column.as_any().downcast_ref::<BinaryArray>())
    {
        return Ok(Arc::new(
            texts.iter().map(|text| text.map(compact)).collect::<BinaryArray>(),
        ));
    }
    if stored(field).data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    match field.data_type() {
        DataType::List(item) => {
            let list = column
                .as_any()
                .downcast_ref::<ListArray>()
                .ok_or("a list is expected")?;
            let values = restore(item, list.values())?;
            let restored = ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned());
            restored
                .map(|list| Arc::new(list) as ArrayRef)
                .map_err(|error| error.to_string())
        }
        nested => {
            let texts = column
                .as_any()
                .downcast_ref::<StringArray>()
                .ok_or("text is expected")?;
            let parse = |text: &str| match nested {
                DataType::Duration(_) => Ok(Value::from(text)),
                _ => serde_json::from_str(text).map_err(|error| error.to_string()),
            };
            let values: Vec<Value> = texts
                .iter()
                .enumerate()
                .map(|(row, text)| text.map_or(Ok(Value::Null), |text| parse(text).map_err(|why| at(row, &why))))
                .collect::<Result<_, _>>()?;
            build(field, &values.iter().map(Some).collect::<Vec<_>>())
        }
    }
}

/// JSON without the spaces that `jsonb` puts between its parts, as the Go plugin gives it; nothing else is touched.
fn compact(text: &[u8]) -> Vec<u8> {
    let (mut inside, mut escaped) = (false, false);
    let keep = |byte: &u8| {
        let kept = inside || !byte.is_ascii_whitespace();
        inside ^= *byte == b'"' && !escaped;
        escaped = inside && *byte == b'\\' && !escaped;
        kept
    };
    text.iter().copied().filter(keep).collect()
}

fn at(row: usize, why: &str) -> String {
    format!("row {row}: {why}")
}

/// An array of JSON values; what is missing is NULL.
fn build(field: &Field, values: &[Option<&Value>]) -> Result<ArrayRef, String> {
    let values: Vec<Option<&Value>> = values
        .iter()
        .map(|value| value.filter(|value| !value.is_null()))
        .collect();
    match field.data_type() {
        DataType::Struct(children) => {
            let columns = children.iter().map(|child| {
                let inner: Vec<_> = values
                    .iter()
                    .map(|value| value.and_then(|value| value.get(child.name())))
                    .collect();
                // A child that cannot be NULL is not looked at where its parent is.
                build(&child.as_ref().clone().with_nullable(true), &inner)
            });
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let columns = children
                .iter()
                .zip(columns)
                .map(|(child, column)| filled(child, column))
                .collect();
            let present = NullBuffer::from_iter(values.iter().map(Option::is_some));
            let array = StructArray::try_new(
                children.clone(),
                columns,
                Some(present).filter(|it| it.null_count() > 0),
            );
            array
                .map(|array| Arc::new(array) as ArrayRef)
                .map_err(|error| error.to_string())
        }
        DataType::List(item) => list(item, &values),
        DataType::Map(entries, sorted) => map(entries, *sorted, &values),
        _ => scalars(field, &values),
    }
}

/// Non-nullable children of a NULL struct hold the default that nobody sees.
fn filled(child: &Field, column: ArrayRef) -> ArrayRef {
    match (child.is_nullable() || column.null_count() == 0, column.nulls()) {
        (false, Some(_)) => column
            .to_data()
            .into_builder()
            .nulls(None)
            .build()
            .map_or(column, make_array),
        _ => column,
    }
}

fn list(item: &FieldRef, values: &[Option<&Value>]) -> Result<ArrayRef, String> {
    let mut flat = Vec::new();
    let mut lengths = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        let items = match value {
            None => &[],
            Some(value) => value
                .as_array()
                .ok_or_else(|| at(row, "a JSON array is expected"))?
                .as_slice(),
        };
        flat.extend(items.iter().map(Some));
        lengths.push(items.len());
    }
    let present = NullBuffer::from_iter(values.iter().map(Option::is_some));
    let array = ListArray::try_new(
        Arc::clone(item),
        OffsetBuffer::from_lengths(lengths),
        build(item, &flat)?,
        Some(present),
    );
    array
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}

/// A map is stored as `[{"key": k, "value": v}, ...]`.
fn map(entries: &FieldRef, sorted: bool, values: &[Option<&Value>]) -> Result<ArrayRef, String> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Err("a map of pairs is expected".to_owned());
    };
    let named: Fields = pair
        .iter()
        .zip(["key", "value"])
        .map(|(field, name)| field.as_ref().clone().with_name(name))
        .collect();
    let item = Arc::new(Field::new("item", DataType::Struct(named), false));
    let lists = list(&item, values)?;
    let lists = lists.as_any().downcast_ref::<ListArray>().ok_or("a list is expected")?;
    let pairs = lists
        .values()
        .as_any()
        .downcast_ref::<StructArray>()
        .ok_or("pairs are expected")?;
    let pairs =
        StructArray::try_new(pair.clone(), pairs.columns().to_vec(), None).map_err(|error| error.to_string())?;
    let array = MapArray::try_new(
        Arc::clone(entries),
        lists.offsets().clone(),
        pairs,
        lists.nulls().cloned(),
        sorted,
    );
    array
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}

fn scalars(field: &Field, values: &[Option<&Value>]) -> Result<ArrayRef, String> {
    let ty = field.data_type();
    match (ty, Extension::of(field)) {
        (_, Some(Extension::Uuid)) => bytes(ty, values, |text| {
            let digits: String = text.chars().filter(|c| *c != '-').collect();
            from_hex(&digits)
        }),
        (_, Some(Extension::Mac)) => bytes(ty, values, |text| from_hex(&text.replace(':', ""))),
        (_, Some(Extension::Inet)) => bytes(ty, values, |text| Some(text.as_bytes().to_vec())),
        (_, Some(Extension::Json)) => {
            let texts = values
                .iter()
                .map(|value| value.map(|value| value.to_string().into_bytes()));
            Ok(Arc::new(texts.collect::<BinaryArray>()))
        }
        (DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_), _) => {
            bytes(ty, values, |text| STANDARD.decode(text).ok())
        }
        (DataType::Boolean, _) => Ok(Arc::new(
            each(values, Value::as_bool)?.into_iter().collect::<BooleanArray>(),
        )),
        (DataType::Duration(unit), _) => duration(*unit, values),
        (DataType::Interval(unit), _) => interval(*unit, values),
        (DataType::Float16 | DataType::Float32 | DataType::Float64, _) => through(
            Arc::new(each(values, Value::as_f64)?.into_iter().collect::<Float64Array>()),
            ty,
        ),
        (DataType::UInt64, _) => Ok(Arc::new(
            each(values, Value::as_u64)?.into_iter().collect::<UInt64Array>(),
        )),
        (_, _) if ty.is_integer() => through(
            Arc::new(each(values, Value::as_i64)?.into_iter().collect::<Int64Array>()),
            ty,
        ),
        (DataType::Timestamp(unit, Some(zone)), _) => {
            // Arrow's reader of texts knows offsets and no names of zones; the instant is the same.
            let offset = DataType::Timestamp(*unit, Some("+00:00".into()));
            let instants = through(Arc::new(texts(values)?), &offset)?;
            let named = DataType::Timestamp(*unit, Some(Arc::clone(zone)));
            let data = instants.to_data().into_builder().data_type(named).build();
            data.map(make_array).map_err(|error| error.to_string())
        }
        // Arrow's own casts read the rest from text: dates, times, timestamps, decimals.
        (_, _) => through(Arc::new(texts(values)?), ty),
    }
}

fn each<T>(values: &[Option<&Value>], read: impl Fn(&Value) -> Option<T>) -> Result<Vec<Option<T>>, String> {
    let one = |(row, value): (usize, &Option<&Value>)| {
        value
            .map(|value| read(value).ok_or_else(|| at(row, "the value is not of its column's type")))
            .transpose()
    };
    values.iter().enumerate().map(one).collect()
}

fn texts(values: &[Option<&Value>]) -> Result<StringArray, String> {
    Ok(each(values, |value| value.as_str().map(str::to_owned))?
        .into_iter()
        .collect())
}

/// A cast that refuses what it cannot give, where Arrow's default makes it NULL.
fn through(array: ArrayRef, ty: &DataType) -> Result<ArrayRef, String> {
    let read = cast(&array, ty).map_err(|error| error.to_string())?;
    match read.logical_null_count() == array.logical_null_count() {
        true => Ok(read),
        false => Err(format!("a value cannot be read as {ty}")),
    }
}

fn bytes(ty: &DataType, values: &[Option<&Value>], read: impl Fn(&str) -> Option<Vec<u8>>) -> Result<ArrayRef, String> {
    let read: BinaryArray = each(values, |value| value.as_str().and_then(&read))?
        .into_iter()
        .collect();
    through(Arc::new(read), ty)
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok())
        .collect()
}

fn duration(unit: TimeUnit, values: &[Option<&Value>]) -> Result<ArrayRef, String> {
    let suffix = match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    let read = |value: &Value| value.as_str()?.strip_suffix(suffix)?.parse::<i64>().ok();
    let numbers: Int64Array = each(values, read)?.into_iter().collect();
    through(Arc::new(numbers), &DataType::Duration(unit))
}

fn interval(unit: IntervalUnit, values: &[Option<&Value>]) -> Result<ArrayRef, String> {
    fn part<T: TryFrom<i64, Error: Display>>(value: &Value, name: &str) -> Option<T> {
        T::try_from(value.get(name)?.as_i64()?).ok()
    }
    Ok(match unit {
        IntervalUnit::YearMonth => {
            let months = |value: &Value| match value {
                Value::Number(number) => i32::try_from(number.as_i64()?).ok(),
                object => part(object, "months"),
            };
            Arc::new(each(values, months)?.into_iter().collect::<IntervalYearMonthArray>())
        }
        IntervalUnit::DayTime => {
            let read = |value: &Value| Some(IntervalDayTime::new(part(value, "days")?, part(value, "milliseconds")?));
            Arc::new(each(values, read)?.into_iter().collect::<IntervalDayTimeArray>())
        }
        IntervalUnit::MonthDayNano => {
            let read = |value: &Value| {
                let (months, days) = (part(value, "months")?, part(value, "days")?);
                Some(IntervalMonthDayNano::new(months, days, part(value, "nanoseconds")?))
            };
            Arc::new(each(values, read)?.into_iter().collect::<IntervalMonthDayNanoArray>())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spaces_between_the_parts_of_json_go() {
        let text = br#"{"a b": ["c \" d", "e\\"], "f": 1.50}"#;
        let compacted = String::from_utf8(compact(text)).unwrap();
        assert_eq!(compacted, r#"{"a b":["c \" d","e\\"],"f":1.50}"#);
    }

    #[test]
    fn a_text_of_another_form_is_an_error_and_never_null() {
        let field = Field::new("d", DataType::Duration(TimeUnit::Millisecond), true);
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("12ms"), None]));
        let read = restore(&field, &texts).unwrap();
        assert_eq!(
            read.as_ref(),
            &DurationMillisecondArray::from(vec![Some(12), None]) as &dyn Array
        );
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["12ms", "12s"]));
        assert!(restore(&field, &texts).unwrap_err().contains("row 1"));
    }
}
