//! Values in Arrow types: defaults, other types on request, and refusals where a value would change.

use arrow::array::{AsArray, FixedSizeListArray, Int32Array, ListArray, StructArray};
use arrow::datatypes::*;
use half::f16;

use super::*;
use crate::codec::encode::{CopyPlan, EncodeOptions};
use crate::model::extension;
use crate::model::table::TargetColumn;

fn micros(ty: &PgType, case: &str) -> Result<i64, Fault> {
    let field = default_field(ty);
    one(ty, field, &golden(case)).map(|read| read.as_primitive::<TimestampMicrosecondType>().value(0))
}

/// The field that the encoder makes of a value, which is held to Postgres' bytes by tests of its own.
fn written(ty: &PgType, field: &Field, array: &ArrayRef) -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let columns = [TargetColumn {
        name: named(field.name()),
        ty: ty.clone(),
        nullable: true,
    }];
    let plan = CopyPlan::new(&schema, &columns, &EncodeOptions::default());
    let plan = plan.unwrap_or_else(|error| panic!("{ty}: {error}"));
    let batch = RecordBatch::try_new(schema, vec![array.clone()]).unwrap();
    let mut out = bytes::BytesMut::new();
    let bound = plan.bind(&batch).unwrap();
    bound
        .encode(0, 1, 0, &mut out)
        .unwrap_or_else(|error| panic!("{ty}: {error}"));
    // A row's number of fields and the field's length come first.
    out[6..].to_vec()
}

#[test]
fn every_captured_field_is_read_by_its_default_type() {
    let expected_faults = [
        ("date_inf", Fault::Infinite),
        ("timestamp_inf", Fault::Infinite),
        ("timestamp_last", Fault::OutOfRange),
        ("timestamp_last_milli", Fault::OutOfRange),
        ("timestamptz_last", Fault::OutOfRange),
        ("timestamptz_last_milli", Fault::OutOfRange),
        ("timestamp_last_second", Fault::OutOfRange),
        ("timestamptz_last_second", Fault::OutOfRange),
        ("interval_max_micros", Fault::OutOfRange),
        ("interval_min_micros", Fault::OutOfRange),
        ("interval_max_millis", Fault::OutOfRange),
        ("interval_min_millis", Fault::OutOfRange),
        ("interval_max_seconds", Fault::OutOfRange),
        ("interval_min_seconds", Fault::OutOfRange),
        ("int4s_bound", Fault::LowerBound(2)),
        ("int4s_matrix", Fault::Dimensions { found: 2, expected: 1 }),
        ("array.int4_matrix", Fault::Dimensions { found: 2, expected: 1 }),
        ("array.int4_matrix_nulls", Fault::Dimensions { found: 2, expected: 1 }),
        ("array.int4_cube", Fault::Dimensions { found: 3, expected: 1 }),
        ("array.float8_matrix", Fault::Dimensions { found: 2, expected: 1 }),
    ];
    let mut checked = 0;
    for golden in goldens() {
        let (Some(ty), Some(payload)) = (&golden.ty, &golden.payload) else {
            continue;
        };
        let read = one(ty, default_field(ty), payload);
        match expected_faults.iter().find(|(name, _)| *name == golden.name) {
            Some((_, fault)) => assert_eq!(read.unwrap_err(), *fault, "{}", golden.name),
            None => {
                let read = read.unwrap_or_else(|fault| panic!("{}: {fault}", golden.name));
                assert_eq!((read.len(), read.null_count()), (1, 0), "{}", golden.name);
                assert_eq!(
                    written(ty, &default_field(ty), &read),
                    *payload,
                    "{}: {read:?}",
                    golden.name
                );
            }
        }
        checked += 1;
    }
    assert!(checked > 130, "only {checked} cases were found");
}

#[test]
fn every_type_has_a_default_that_can_be_read() {
    for ty in every_type() {
        let field = default_field(&ty);
        assert!(registry::plan(&ty, &field).is_ok(), "{ty} as {field}");
    }
}

#[test]
fn integers_are_given_in_any_width_that_holds_them() {
    let eight = 300i64.to_be_bytes();
    let read = as_type(&PgType::Int8, DataType::Int16, &eight).unwrap();
    assert_eq!(read.as_primitive::<Int16Type>().value(0), 300);
    assert_eq!(as_type(&PgType::Int8, DataType::Int8, &eight), Err(Fault::OutOfRange));
    assert_eq!(as_type(&PgType::Int8, DataType::UInt8, &eight), Err(Fault::OutOfRange));
    let negative = (-1i16).to_be_bytes();
    assert_eq!(
        as_type(&PgType::Int2, DataType::UInt64, &negative),
        Err(Fault::OutOfRange)
    );
    let last = as_type(&PgType::Xid8, DataType::UInt64, &golden("xid8_last")).unwrap();
    assert_eq!(last.as_primitive::<UInt64Type>().value(0), u64::MAX);
    let wide = as_type(&PgType::Numeric(None), DataType::UInt64, &golden("numeric_uint64_max")).unwrap();
    assert_eq!(wide.as_primitive::<UInt64Type>().value(0), u64::MAX);
    assert_eq!(
        as_type(&PgType::Numeric(None), DataType::UInt64, &golden("numeric_two64")),
        Err(Fault::OutOfRange)
    );
    assert!(matches!(
        as_type(&PgType::Numeric(None), DataType::Int64, &golden("numeric_tax")),
        Err(Fault::Inexact(_))
    ));
    assert_eq!(as_type(&PgType::Int4, DataType::Int32, &[0; 3]), Err(Fault::Short));
    assert_eq!(
        as_type(&PgType::Int4, DataType::Int32, &[0; 6]),
        Err(Fault::Trailing(2))
    );
}

#[test]
fn decimals_are_refused_where_digits_would_be_lost() {
    let ty = PgType::Numeric(None);
    let read = as_type(&ty, DataType::Decimal128(10, 4), &golden("numeric_trailing")).unwrap();
    assert_eq!(read.as_primitive::<Decimal128Type>().value(0), 123_004_500);
    assert!(matches!(
        as_type(&ty, DataType::Decimal128(10, 1), &golden("numeric_trailing")),
        Err(Fault::Inexact(_))
    ));
    assert_eq!(
        as_type(&ty, DataType::Decimal128(4, 0), &golden("numeric_ten_thousand")),
        Err(Fault::OutOfRange)
    );
    let hundreds = as_type(&ty, DataType::Decimal128(4, -2), &golden("numeric_ten_thousand")).unwrap();
    assert_eq!(hundreds.as_primitive::<Decimal128Type>().value(0), 100);
    assert!(matches!(
        as_type(&ty, DataType::Decimal32(9, -5), &golden("numeric_ten_thousand")),
        Err(Fault::Inexact(_))
    ));
    assert_eq!(
        as_type(&ty, DataType::Decimal128(38, 10), &golden("numeric_nan")),
        Err(Fault::NotANumber)
    );
    assert_eq!(
        as_type(&ty, DataType::Decimal128(38, 10), &golden("numeric_inf")),
        Err(Fault::Infinite)
    );
    assert_eq!(
        as_type(&ty, DataType::Decimal256(76, 0), &golden("numeric_i256_min")),
        Err(Fault::OutOfRange)
    );
}

#[test]
fn instants_are_given_in_units_that_hold_them() {
    let ty = PgType::TimestampTz(None);
    assert_eq!(micros(&ty, "timestamptz_before"), Ok(-1));
    assert_eq!(
        micros(&PgType::Timestamp(None), "timestamp_last_arrow"),
        Ok(9_223_371_244_799_999_999)
    );
    let seconds = as_type(
        &ty,
        DataType::Timestamp(TimeUnit::Second, Some("UTC".into())),
        &golden("timestamptz_second"),
    );
    assert_eq!(
        seconds.unwrap().as_primitive::<TimestampSecondType>().value(0),
        1_709_210_096
    );
    let lost = as_type(
        &ty,
        DataType::Timestamp(TimeUnit::Millisecond, None),
        &golden("timestamptz_micro"),
    );
    assert!(matches!(lost, Err(Fault::Inexact(_))));
    // The last instants are past 64 bits of microseconds since 1970, not past as many milliseconds.
    let last = as_type(
        &PgType::Timestamp(None),
        DataType::Timestamp(TimeUnit::Millisecond, None),
        &golden("timestamp_last_milli"),
    );
    assert_eq!(
        last.unwrap().as_primitive::<TimestampMillisecondType>().value(0),
        9_224_318_015_999_999
    );
    let nanos = as_type(
        &ty,
        DataType::Timestamp(TimeUnit::Nanosecond, None),
        &golden("timestamptz_first"),
    );
    assert_eq!(nanos, Err(Fault::OutOfRange));
    let days = as_type(&PgType::Date, DataType::Date64, &golden("date_before")).unwrap();
    assert_eq!(days.as_primitive::<Date64Type>().value(0), -86_400_000);
    let end = as_type(
        &PgType::Time(None),
        DataType::Time64(TimeUnit::Microsecond),
        &golden("time_end"),
    )
    .unwrap();
    assert_eq!(end.as_primitive::<Time64MicrosecondType>().value(0), 86_400_000_000);
    let half = as_type(
        &PgType::Time(None),
        DataType::Time32(TimeUnit::Millisecond),
        &golden("time_half"),
    )
    .unwrap();
    assert_eq!(half.as_primitive::<Time32MillisecondType>().value(0), 43_200_500);
    assert!(
        as_type(
            &PgType::Time(None),
            DataType::Time32(TimeUnit::Second),
            &golden("time_half")
        )
        .is_err()
    );
}

#[test]
fn intervals_keep_their_parts_or_are_refused() {
    let ty = PgType::Interval;
    let mixed = one(&ty, default_field(&ty), &golden("interval_mixed")).unwrap();
    let value = mixed.as_primitive::<IntervalMonthDayNanoType>().value(0);
    assert_eq!(
        (value.months, value.days, value.nanoseconds),
        (14, -3, 3_723_000_004_000)
    );
    let duration = as_type(&ty, DataType::Duration(TimeUnit::Second), &golden("interval_second")).unwrap();
    assert_eq!(duration.as_primitive::<DurationSecondType>().value(0), 90);
    let ends = [
        (TimeUnit::Second, "seconds", 9_223_372_036_854),
        (TimeUnit::Millisecond, "millis", i64::MAX / 1_000),
        (TimeUnit::Microsecond, "micros", i64::MAX),
        (TimeUnit::Nanosecond, "nanos", i64::MAX / 1_000 * 1_000),
    ];
    for (unit, name, last) in ends {
        let ends = ["max", "min"].map(|end| {
            let read = as_type(
                &ty,
                DataType::Duration(unit),
                &golden(&format!("interval_{end}_{name}")),
            )
            .unwrap();
            arrow::compute::cast(&read, &DataType::Int64)
                .unwrap()
                .as_primitive::<Int64Type>()
                .value(0)
        });
        let first = if unit == TimeUnit::Microsecond { i64::MIN } else { -last };
        assert_eq!(ends, [last, first], "{unit:?}");
    }
    assert!(as_type(&ty, DataType::Duration(TimeUnit::Second), &golden("interval_mixed")).is_err());
    let months = as_type(
        &ty,
        DataType::Interval(IntervalUnit::YearMonth),
        &golden("interval_months"),
    )
    .unwrap();
    assert_eq!(months.as_primitive::<IntervalYearMonthType>().value(0), 14);
}

#[test]
fn floats_are_narrowed_only_where_nothing_changes() {
    let third = (1.0f64 / 3.0).to_be_bytes();
    let wide = as_type(&PgType::Float4, DataType::Float64, &0.5f32.to_be_bytes()).unwrap();
    assert_eq!(wide.as_primitive::<Float64Type>().value(0), 0.5);
    assert!(matches!(
        as_type(&PgType::Float8, DataType::Float32, &third),
        Err(Fault::Inexact(_))
    ));
    let half = as_type(&PgType::Float8, DataType::Float16, &0.25f64.to_be_bytes()).unwrap();
    assert_eq!(half.as_primitive::<Float16Type>().value(0), f16::from_f32(0.25));
    let nan = as_type(&PgType::Float8, DataType::Float32, &f64::NAN.to_be_bytes()).unwrap();
    assert!(nan.as_primitive::<Float32Type>().value(0).is_nan());
}

#[test]
fn arrays_are_lists_of_as_many_levels_as_asked_for() {
    let ty = array(PgType::Int4);
    let item = |data_type| Arc::new(Field::new("item", data_type, true));
    let some = as_type(&ty, DataType::List(item(DataType::Int32)), &golden("array.int4_nulls")).unwrap();
    let list: &ListArray = some.as_list();
    assert_eq!(
        *list.value(0),
        Int32Array::from(vec![Some(1), None, Some(3)]) as Int32Array
    );
    let nested = DataType::List(item(DataType::LargeList(item(DataType::Int32))));
    let matrix = as_type(&ty, nested.clone(), &golden("array.int4_matrix")).unwrap();
    let outer = matrix.as_list::<i32>().value(0);
    let rows: Vec<_> = (0..2).map(|row| outer.as_list::<i64>().value(row)).collect();
    assert_eq!(*rows[1], Int32Array::from(vec![4, 5, 6]) as Int32Array);
    let empty = as_type(&ty, nested.clone(), &golden("array.int4_empty")).unwrap();
    assert_eq!(empty.as_list::<i32>().value_length(0), 0);
    assert_eq!(
        as_type(&ty, nested, &golden("array.int4_three")),
        Err(Fault::Dimensions { found: 1, expected: 2 })
    );
    let fixed = as_type(
        &ty,
        DataType::FixedSizeList(item(DataType::Int32), 3),
        &golden("array.int4_three"),
    )
    .unwrap();
    assert_eq!(fixed.as_fixed_size_list().value_length(), 3);
    let wrong = as_type(
        &ty,
        DataType::FixedSizeList(item(DataType::Int32), 2),
        &golden("array.int4_three"),
    );
    assert!(matches!(
        wrong,
        Err(Fault::WrongLength {
            found: 3,
            expected: 2,
            ..
        })
    ));
    let never = Arc::new(Field::new("item", DataType::Int32, false));
    assert_eq!(
        as_type(&ty, DataType::List(never), &golden("array.int4_nulls")),
        Err(Fault::Null)
    );
}

#[test]
fn arrays_are_tensors_of_their_own_shape_only() {
    let tensor = |shape: &str| {
        let item = Arc::new(Field::new("item", DataType::Int32, true));
        let metadata = [
            (extension::NAME, "arrow.fixed_shape_tensor"),
            (extension::METADATA, shape),
        ];
        Field::new("c", DataType::FixedSizeList(item, 6), true).with_metadata(metadata)
    };
    let ty = array(PgType::Int4);
    let matrix = golden("array.int4_matrix");
    let read = one(&ty, tensor("{\"shape\":[2,3]}"), &matrix).unwrap();
    let elements = read.as_fixed_size_list().value(0);
    assert_eq!(elements.as_primitive::<Int32Type>().values(), &[1, 2, 3, 4, 5, 6]);
    assert!(matches!(
        one(&ty, tensor("{\"shape\":[3,2]}"), &matrix),
        Err(Fault::WrongLength {
            found: 2,
            expected: 3,
            ..
        })
    ));
    assert_eq!(
        one(&ty, tensor("{\"shape\":[6]}"), &matrix),
        Err(Fault::Dimensions { found: 2, expected: 1 })
    );
}

#[test]
fn row_types_are_structs_and_vectors_fixed_size_lists() {
    let ty = pair();
    let read = one(&ty, default_field(&ty), &golden("pair_null")).unwrap();
    let value: &StructArray = read.as_struct();
    assert_eq!(value.column(0).as_primitive::<Int32Type>().value(0), 7);
    assert!(value.column(1).is_null(0));
    let swapped = Fields::from(vec![
        Field::new("b", DataType::Utf8, true),
        Field::new("a", DataType::Int32, true),
    ]);
    assert!(refused(&ty, DataType::Struct(swapped)));
    let vector = PgType::Vector(Some(2), TypeHome::default());
    let payload = [&[0, 2, 0, 0][..], &1.5f32.to_be_bytes(), &(-2f32).to_be_bytes()].concat();
    let read = one(&vector, default_field(&vector), &payload).unwrap();
    let list: &FixedSizeListArray = read.as_fixed_size_list();
    assert_eq!(list.value(0).as_primitive::<Float32Type>().values(), &[1.5, -2.0]);
    let three = PgType::Vector(Some(3), TypeHome::default());
    assert!(matches!(
        one(&three, default_field(&three), &payload),
        Err(Fault::WrongLength {
            found: 2,
            expected: 3,
            ..
        })
    ));
}
