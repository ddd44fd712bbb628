//! Encoded batches against bytes that Postgres itself produced (`tests/golden`, captured by `scripts/golden`).
//!
//! [`check`] encodes an array in every form that must not matter (NULLs between, all NULL, sliced, empty, several
//! batches, dictionary and run-end encoded, one row per call) and compares whole rows. No expected byte is made here.

mod containers;
mod copies;
mod coverage;
mod decimal_patterns;
mod docs;
mod documents;
mod encoded;
mod extensions;
mod geometry;
mod literals;
mod nested;
mod numeric;
mod numeric_ways;
mod refusals;
mod scalars;
mod shared;
mod structured;
mod temporal;
mod variants;
mod vectors;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, Int32Array, RunArray, UInt64Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::BytesMut;

use super::{CellError, CopyPlan, EncodeOptions, PlanError};
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::table::TargetColumn;

/// The fields of one golden file by case name; `null` is a case of every file.
pub(super) fn golden(file: &str) -> HashMap<String, Vec<u8>> {
    let path = format!("{}/tests/golden/{file}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut cases: HashMap<String, Vec<u8>> = text
        .lines()
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap();
            let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
            (
                name.to_owned(),
                digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect(),
            )
        })
        .collect();
    cases.insert("null".to_owned(), vec![0xff; 4]);
    cases
}

/// A nullable field without a name of its own.
pub(super) fn field(data_type: DataType) -> Field {
    Field::new("c", data_type, true)
}

/// A field with an extension type.
pub(super) fn extended(data_type: DataType, name: &str, metadata: &str) -> Field {
    let keys = [("ARROW:extension:name", name), ("ARROW:extension:metadata", metadata)];
    field(data_type).with_metadata(keys.map(|(key, value)| (key.to_owned(), value.to_owned())))
}

/// A plan for one column.
pub(super) fn plan_with(field: &Field, target: &PgType, options: &EncodeOptions) -> Result<CopyPlan, PlanError> {
    let columns = [TargetColumn {
        name: Ident::new("c").unwrap(),
        ty: target.clone(),
        nullable: true,
    }];
    CopyPlan::new(&Schema::new(vec![field.clone()]), &columns, options)
}

/// A one-column batch.
pub(super) fn batch(field: &Field, array: &ArrayRef) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(array.len()));
    RecordBatch::try_new_with_options(
        Arc::new(Schema::new(vec![field.clone()])),
        vec![array.clone()],
        &options,
    )
    .unwrap()
}

/// Encodes a one-column batch, `target_bytes` per call.
pub(super) fn encode(plan: &CopyPlan, batch: &RecordBatch, target_bytes: usize) -> Result<Vec<u8>, CellError> {
    let mut out = BytesMut::new();
    let bound = plan.bind(batch)?;
    let mut row = 0;
    while row < bound.rows() {
        let next = bound.encode(row, target_bytes, 0, &mut out)?;
        assert!(next > row, "a call encodes at least one row");
        row = next;
    }
    Ok(out.to_vec())
}

/// Checks `array` (of `field`, into `target`) against the golden cases `names` of `file`, in every form.
pub(super) fn check(file: &str, target: &PgType, field: &Field, array: impl Array + 'static, names: &[&str]) {
    check_with(file, target, field, Arc::new(array), names, &EncodeOptions::default());
}

/// As [`check`], with options.
pub(super) fn check_with(
    file: &str,
    target: &PgType,
    field: &Field,
    array: ArrayRef,
    names: &[&str],
    options: &EncodeOptions,
) {
    coverage::note(field, target);
    let cases = golden(file);
    assert_eq!(array.len(), names.len(), "one golden case per row");
    let fields: Vec<&[u8]> = names
        .iter()
        .map(|name| {
            cases
                .get(*name)
                .unwrap_or_else(|| panic!("{file}.hex has no case {name}"))
                .as_slice()
        })
        .collect();
    for (variant, array, rows) in variants(&array) {
        let expected: Vec<u8> = rows
            .iter()
            .flat_map(|row| {
                let bytes: &[u8] = row.map_or(&[0xff; 4], |row| fields[row]);
                [&[0, 1], bytes].concat()
            })
            .collect();
        let layouts = layouts(field, &array);
        for (layout, field, array) in layouts {
            let what = format!("{} into {target}, {variant}, {layout}", field.data_type());
            let plan = plan_with(&field, target, options).unwrap_or_else(|error| panic!("{what}: {error}"));
            for target_bytes in [1, 40, 1 << 20] {
                let found = encode(&plan, &batch(&field, &array), target_bytes);
                let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(hex(&found), hex(&expected), "{what}, {target_bytes} bytes per call");
            }
            let (left, right) = (array.len() / 2, array.len() - array.len() / 2);
            let halves = [array.slice(0, left), array.slice(left, right)].map(|half| {
                encode(&plan, &batch(&field, &half), 1 << 20).unwrap_or_else(|error| panic!("{what}: {error}"))
            });
            assert_eq!(hex(&halves.concat()), hex(&expected), "{what}, in two batches");
        }
    }
}

/// Forms of an array, each with the base row (or NULL) that every one of its rows has.
fn variants(array: &ArrayRef) -> Vec<(&'static str, ArrayRef, Vec<Option<usize>>)> {
    let count = array.len();
    let picked = |rows: Vec<Option<usize>>| {
        let positions: UInt64Array = rows.iter().map(|row| row.map(|row| row as u64)).collect();
        (take(array, &positions, None).unwrap(), rows)
    };
    let plain = (0..count).map(Some).collect::<Vec<_>>();
    let with_nulls = (0..count)
        .flat_map(|row| [None, Some(row)])
        .chain([None, None])
        .collect();
    let (nulls_between, nulls_rows) = picked(with_nulls);
    let (all_null, all_null_rows) = picked(vec![None; 5]);
    let around: Vec<ArrayRef> = vec![array.slice(count - 1, 1), array.clone(), array.clone()];
    let around = concat(&around.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
    let nulls_sliced = nulls_between.slice(3, nulls_between.len() - 4);
    let nulls_sliced_rows = nulls_rows[3..nulls_rows.len() - 1].to_vec();
    vec![
        ("plain", array.clone(), plain.clone()),
        ("nulls between", nulls_between, nulls_rows),
        ("nulls between, sliced", nulls_sliced, nulls_sliced_rows),
        ("all null", all_null, all_null_rows),
        ("sliced at 1", around.slice(1, count), plain),
        ("empty", array.slice(0, 0), Vec::new()),
    ]
}

/// The same rows as they are, behind a dictionary, and in runs.
fn layouts(field: &Field, array: &ArrayRef) -> Vec<(&'static str, Field, ArrayRef)> {
    let mut layouts = vec![("flat", field.clone(), array.clone())];
    if matches!(
        array.data_type(),
        DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _)
    ) {
        return layouts;
    }
    let value = array.data_type().clone();
    let count = array.len();
    // A NULL key of its own and an entry that no row uses must not matter.
    let keys: Int32Array = (0..count)
        .map(|row| array.is_valid(row).then_some(row as i32))
        .collect();
    let dictionary = DictionaryArray::<Int32Type>::try_new(keys, array.clone()).unwrap();
    let behind = field
        .clone()
        .with_data_type(DataType::Dictionary(Box::new(DataType::Int32), Box::new(value.clone())));
    layouts.push(("dictionary", behind, Arc::new(dictionary)));
    if count > 0 && !value.is_nested() {
        let ends: Int32Array = (1..=count as i32).collect();
        let runs = RunArray::<Int32Type>::try_new(&ends, array.as_ref()).unwrap();
        let ends: FieldRef = Arc::new(Field::new("run_ends", DataType::Int32, false));
        let values: FieldRef = Arc::new(Field::new("values", value, true));
        layouts.push((
            "runs",
            field.clone().with_data_type(DataType::RunEndEncoded(ends, values)),
            Arc::new(runs),
        ));
    }
    layouts
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
