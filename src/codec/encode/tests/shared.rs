//! Values that many rows share: what is written out costs what came in, and not what it stands for.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int8Type, Int32Type, UnionFields};

use super::{batch, encode, field, plan_with};
use crate::codec::encode::{CellError, EncodeOptions};
use crate::model::options::NulBytes;
use crate::model::pg_type::{PgType, TypeHome};

fn encoded(array: impl Array + 'static, target: &PgType) -> Result<Vec<u8>, CellError> {
    let source = field(array.data_type().clone());
    let array: ArrayRef = Arc::new(array);
    let plan = plan_with(&source, target, &EncodeOptions::default()).expect("a pair that is stored");
    encode(&plan, &batch(&source, &array), 1 << 20)
}

fn reason(array: impl Array + 'static, target: &PgType) -> String {
    encoded(array, target).expect_err("a bad row").to_string()
}

/// The payloads of one-column rows, as text; nothing for NULL.
fn payloads(mut rows: &[u8]) -> Vec<Option<String>> {
    let mut payloads = Vec::new();
    while let Some((_, rest)) = rows.split_first_chunk::<2>() {
        let (length, rest) = rest.split_first_chunk::<4>().expect("a length");
        let length = i32::from_be_bytes(*length);
        let (payload, rest) = rest.split_at(length.max(0) as usize);
        // Binary JSON has a version in front.
        let text = String::from_utf8(payload.to_vec()).expect("text");
        payloads.push((length >= 0).then(|| text.trim_start_matches('\u{1}').to_owned()));
        rows = rest;
    }
    payloads
}

fn member(values: ArrayRef) -> StructArray {
    StructArray::from(vec![(
        Arc::new(Field::new("v", values.data_type().clone(), true)),
        values,
    )])
}

#[test]
fn a_long_text_of_many_rows_is_not_copied_for_each() {
    // 2.25 GiB: as one text array they would not even have offsets.
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(3 << 20)]));
    let keys = Int8Array::from(vec![0; 768]);
    let rows: ArrayRef = Arc::new(member(Arc::new(DictionaryArray::<Int8Type>::new(keys, text))));
    let source = field(rows.data_type().clone());
    let plan = plan_with(&source, &PgType::Jsonb, &EncodeOptions::default()).unwrap();
    assert!(plan.bind(&batch(&source, &rows)).is_ok());
}

#[test]
fn lists_that_stand_for_too_much_are_refused_with_what_to_do() {
    let text: ArrayRef = Arc::new(LargeStringArray::from(vec!["x".repeat(1 << 20)]));
    let element = Arc::new(Field::new("item", DataType::LargeUtf8, true));
    let (offsets, sizes) = (vec![0; 1000].into(), vec![1; 1000].into());
    let views = ListViewArray::new(element, offsets, sizes, text, None);
    let targets = [PgType::Array(Box::new(PgType::Text)), PgType::Jsonb];
    for target in targets {
        let refused = reason(views.clone(), &target);
        assert!(refused.contains("send fewer rows per batch"), "{refused}");
    }
}

#[test]
fn a_null_key_is_null_whatever_the_values_allow() {
    let numbers = Field::new("n", DataType::Int32, false);
    let fields: UnionFields = [(0, Arc::new(numbers))].into_iter().collect();
    let child: ArrayRef = Arc::new(Int32Array::from(vec![7]));
    let union = UnionArray::try_new(fields, vec![0].into(), Some(vec![0].into()), vec![child]).unwrap();
    let keys = Int8Array::from(vec![Some(0), None]);
    let rows = member(Arc::new(DictionaryArray::<Int8Type>::new(keys, Arc::new(union))));
    let found = payloads(&encoded(rows, &PgType::Json).unwrap());
    assert_eq!(found, [Some(r#"{"v":7}"#.to_owned()), Some(r#"{"v":null}"#.to_owned())]);
}

#[test]
fn nul_bytes_are_taken_out_row_by_row() {
    let texts = StringViewArray::from(vec![Some("a\0b"), None, Some(""), Some("plain"), Some("\0")]);
    let source = field(DataType::Utf8View);
    let array: ArrayRef = Arc::new(texts);
    for (nul_bytes, first, last) in [
        (NulBytes::Strip, "ab", ""),
        (NulBytes::Replace, "a\u{fffd}b", "\u{fffd}"),
    ] {
        let options = EncodeOptions {
            nul_bytes,
            ..EncodeOptions::default()
        };
        for target in [PgType::Text, PgType::Varchar(Some(5))] {
            let plan = plan_with(&source, &target, &options).unwrap();
            let found = payloads(&encode(&plan, &batch(&source, &array), 1 << 20).unwrap());
            let expected = [Some(first), None, Some(""), Some("plain"), Some(last)];
            assert_eq!(found, expected.map(|text| text.map(str::to_owned)));
        }
        let plan = plan_with(&source, &PgType::Varchar(Some(4)), &options).unwrap();
        let refused = encode(&plan, &batch(&source, &array), 1 << 20).unwrap_err();
        assert_eq!(refused.row, 3, "{refused}");
    }
}

/// Maps of one entry each, of which the second has a key that is NULL only behind its dictionary or in its run: Arrow checks the
/// bytes of the keys themselves.
fn null_key(runs: bool) -> MapArray {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let places = Int32Array::from(vec![0, 1]);
    let keys: ArrayRef = if runs {
        let ends = Int32Array::from(vec![1, 2]);
        Arc::new(RunArray::<Int32Type>::try_new(&ends, texts.as_ref()).expect("runs"))
    } else {
        Arc::new(DictionaryArray::<Int32Type>::new(places, texts))
    };
    let fields = Fields::from(vec![
        Field::new("keys", keys.data_type().clone(), false),
        Field::new("values", DataType::Utf8, true),
    ]);
    let values = StringArray::from(vec!["x", "y"]);
    let entries = DataType::Struct(fields);
    let field = Arc::new(Field::new("entries", entries.clone(), false));
    let entries = arrow::array::ArrayData::builder(entries)
        .len(2)
        .add_child_data(keys.to_data())
        .add_child_data(values.to_data());
    let maps = arrow::array::ArrayData::builder(DataType::Map(field, false))
        .len(2)
        .add_buffer(OffsetBuffer::<i32>::from_lengths([1, 1]).into_inner().into_inner())
        .add_child_data(entries.build().expect("entries"));
    MapArray::from(maps.build().expect("maps"))
}

#[test]
fn a_null_key_of_a_map_is_a_bad_row() {
    for target in [PgType::Json, PgType::Text, PgType::Hstore(TypeHome::default())] {
        for runs in [false, true] {
            let refused = encoded(null_key(runs), &target).expect_err("a NULL key");
            assert_eq!(refused.row, 1);
            assert!(refused.to_string().ends_with("a key of the map is NULL"), "{refused}");
        }
    }
}
