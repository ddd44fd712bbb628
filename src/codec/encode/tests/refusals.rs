//! What is refused: pairs when planning, cells when measuring, and that nothing is written then.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::BytesMut;

use super::{batch, encode, field, plan_with};
use crate::codec::encode::{CopyPlan, EncodeOptions};
use crate::codec::wire::HEADER;
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::table::TargetColumn;

fn column(name: &str, ty: PgType, nullable: bool) -> TargetColumn {
    TargetColumn {
        name: Ident::new(name).unwrap(),
        ty,
        nullable,
    }
}

/// The message for the only bad row of a one-column batch, and its row.
fn refusal(source: &Field, target: &PgType, array: impl Array + 'static) -> (usize, String) {
    let plan = plan_with(source, target, &EncodeOptions::default()).unwrap();
    let batch = batch(source, &(Arc::new(array) as ArrayRef));
    let bound = plan.bind(&batch).unwrap();
    let bad = bound.bad_rows(10);
    assert_eq!(bad.len(), 1, "{bad:?}");
    let error = encode(&plan, &batch, 1 << 20).unwrap_err();
    assert_eq!(error, bad[0]);
    (error.row, error.to_string())
}

#[test]
fn all_unusable_pairs_are_named_at_once() {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Float64, true),
        Field::new("b", DataType::Int32, true),
        Field::new("c", DataType::Boolean, true),
    ]);
    let columns = [
        column("a", PgType::Bytea, true),
        column("b", PgType::Int8, true),
        column("c", PgType::Date, true),
    ];
    let error = CopyPlan::new(&schema, &columns, &EncodeOptions::default()).unwrap_err();
    let expected = "column \"a\": Float64 cannot be stored exactly in bytea; \
                    column \"c\": Boolean cannot be stored exactly in date";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_integer_outside_the_target_is_named_by_row() {
    let array = Int64Array::from(vec![Some(1), None, Some(40_000)]);
    let (row, message) = refusal(&field(DataType::Int64), &PgType::Int2, array);
    let expected =
        "column \"c\", row 2: Int64 cannot be stored in smallint: the value is outside the range of the type";
    assert_eq!((row, message.as_str()), (2, expected));
    let unsigned = UInt64Array::from(vec![u64::MAX, 1]);
    assert_eq!(refusal(&field(DataType::UInt64), &PgType::Int8, unsigned).0, 0);
}

#[test]
fn values_that_would_lose_something_are_refused() {
    let nanos = TimestampNanosecondArray::from(vec![1_000, 1_001]);
    let source = field(DataType::Timestamp(TimeUnit::Nanosecond, None));
    assert!(
        refusal(&source, &PgType::Timestamp(None), nanos)
            .1
            .ends_with("Postgres keeps microseconds")
    );
    let millis = TimestampMillisecondArray::from(vec![1_000, 1_001]);
    let source = field(DataType::Timestamp(TimeUnit::Millisecond, None));
    assert_eq!(refusal(&source, &PgType::Timestamp(Some(0)), millis).0, 1);
    let days = Date64Array::from(vec![86_400_000, 86_400_001]);
    assert_eq!(refusal(&field(DataType::Date64), &PgType::Date, days).0, 1);
    let doubles = Float64Array::from(vec![0.5, 0.1]);
    assert_eq!(refusal(&field(DataType::Float64), &PgType::Float4, doubles).0, 1);
    let integers = Int64Array::from(vec![1, 9_007_199_254_740_993]);
    assert_eq!(refusal(&field(DataType::Int64), &PgType::Float8, integers).0, 1);
    let integers = Int64Array::from(vec![1, i64::MAX]);
    assert_eq!(refusal(&field(DataType::Int64), &PgType::Float8, integers).0, 1);
}

#[test]
fn values_outside_postgres_ranges_are_refused() {
    for days in [-2_440_589, 2_145_042_906, i32::MAX, i32::MIN] {
        let array = Date32Array::from(vec![0, days]);
        assert_eq!(refusal(&field(DataType::Date32), &PgType::Date, array).0, 1, "{days}");
    }
    for micros in [-210_866_803_200_000_001, i64::MIN] {
        let array = TimestampMicrosecondArray::from(vec![0, micros]);
        let source = field(DataType::Timestamp(TimeUnit::Microsecond, None));
        assert_eq!(refusal(&source, &PgType::Timestamp(None), array).0, 1, "{micros}");
    }
    for millis in [9_224_318_016_000_000, -210_866_803_200_001, i64::MAX, i64::MIN] {
        let array = TimestampMillisecondArray::from(vec![0, millis]);
        let source = field(DataType::Timestamp(TimeUnit::Millisecond, None));
        assert_eq!(refusal(&source, &PgType::Timestamp(None), array).0, 1, "{millis}");
    }
    let seconds = DurationSecondArray::from(vec![1, i64::MAX]);
    assert_eq!(
        refusal(&field(DataType::Duration(TimeUnit::Second)), &PgType::Interval, seconds).0,
        1
    );
    let time = Time64MicrosecondArray::from(vec![-1, 86_400_000_000]);
    assert_eq!(
        refusal(
            &field(DataType::Time64(TimeUnit::Microsecond)),
            &PgType::Time(None),
            time
        )
        .0,
        0
    );
}

#[test]
fn texts_that_the_column_cannot_hold_are_refused() {
    let text = field(DataType::Utf8);
    let nul = StringArray::from(vec!["a", "b\0"]);
    assert!(refusal(&text, &PgType::Text, nul).1.contains("NUL byte"));
    let long = StringArray::from(vec!["abc", "abcd"]);
    let (row, message) = refusal(&text, &PgType::Varchar(Some(3)), long);
    assert_eq!(row, 1);
    assert!(
        message.ends_with("the value has 4 characters, 3 are allowed"),
        "{message}"
    );
    let uuid = StringArray::from(vec!["00010203-0405-0607-0809-0a0b0c0d0e0f", "00010203-0405"]);
    assert!(
        refusal(&text, &PgType::Uuid, uuid)
            .1
            .ends_with("the text is not a UUID")
    );
    let view = StringViewArray::from(vec!["ok", "not\0ok"]);
    assert_eq!(refusal(&field(DataType::Utf8View), &PgType::Text, view).0, 1);
}

#[test]
fn a_bad_value_behind_a_null_or_unused_in_a_dictionary_does_not_count() {
    let values = StringArray::from(vec!["bad\0", "good"]);
    let keys = Int32Array::from(vec![Some(1), None]);
    let dictionary = DictionaryArray::new(keys, Arc::new(values));
    let source = field(dictionary.data_type().clone());
    let plan = plan_with(&source, &PgType::Text, &EncodeOptions::default()).unwrap();
    let found = encode(&plan, &batch(&source, &(Arc::new(dictionary) as ArrayRef)), 1).unwrap();
    assert_eq!(found, b"\0\x01\0\0\0\x04good\0\x01\xff\xff\xff\xff");
    let used = DictionaryArray::new(
        Int32Array::from(vec![1, 0]),
        Arc::new(StringArray::from(vec!["bad\0", "good"])),
    );
    assert_eq!(refusal(&source, &PgType::Text, used).0, 1);
}

#[test]
fn a_fault_inside_a_list_names_the_row_of_the_list() {
    let lists = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(vec![
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![Some(3), Some(i64::MAX), Some(i64::MIN)]),
    ]);
    let source = field(lists.data_type().clone());
    assert_eq!(refusal(&source, &PgType::Array(Box::new(PgType::Int4)), lists).0, 2);
}

#[test]
fn the_first_bad_row_wins_and_nothing_is_written() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8, true),
    ]));
    let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4), Some(1 << 40)]));
    let b: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "\0", "\0"]));
    let columns = [column("a", PgType::Int4, false), column("b", PgType::Text, true)];
    let plan = CopyPlan::new(&schema, &columns, &EncodeOptions::default()).unwrap();
    let batch = RecordBatch::try_new(schema, vec![a, b]).unwrap();
    let bound = plan.bind(&batch).unwrap();
    let mut out = BytesMut::from(&HEADER[..]);
    let error = bound.encode(0, 1 << 20, 0, &mut out).unwrap_err();
    assert_eq!((error.column.as_str(), error.row), ("a", 2));
    assert_eq!(out.as_ref(), HEADER);
    let bad = bound.bad_rows(10);
    let found: Vec<(&str, usize)> = bad.iter().map(|error| (error.column.as_str(), error.row)).collect();
    assert_eq!(found, [("a", 2), ("b", 3), ("a", 4)]);
    assert_eq!(bound.bad_rows(2).len(), 2);
    assert_eq!(
        bound.encode(0, 1, 0, &mut out).unwrap(),
        1,
        "rows before a bad one can go out"
    );
}

#[test]
fn the_ordinal_counts_rows_of_the_stream() {
    let source = field(DataType::Boolean);
    let plan = plan_with(&source, &PgType::Bool, &EncodeOptions::default())
        .unwrap()
        .with_ordinal();
    let array: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    let batch = batch(&source, &array);
    let mut out = BytesMut::new();
    assert_eq!(plan.bind(&batch).unwrap().encode(1, 100, 7, &mut out).unwrap(), 2);
    assert_eq!(out.as_ref(), b"\0\x02\0\0\0\x01\0\0\0\0\x08\0\0\0\0\0\0\0\x08");
}

#[test]
fn a_batch_of_another_type_is_refused_before_it_is_read() {
    let plan = plan_with(&field(DataType::Int32), &PgType::Int4, &EncodeOptions::default()).unwrap();
    let other = batch(
        &field(DataType::Int64),
        &(Arc::new(Int64Array::from(vec![1])) as ArrayRef),
    );
    let message = plan.bind(&other).unwrap_err().to_string();
    assert!(
        message.ends_with("the batch has the type Int64 where the schema said otherwise"),
        "{message}"
    );
}
