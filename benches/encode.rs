//! What encoding costs: `cargo bench --bench encode [filter]`.
//!
//! Seeded inputs: TPC-H lineitem, 100 narrow columns, long strings, decimals, lists, and integers and texts with 0, 1, 50
//! and 100 % NULLs. Throughput is in rows. `by_row` is the same output made row by row into a growing buffer, the design that
//! the two passes replaced; both are checked to give the same bytes before anything is timed. With
//! `PGFLIGHT_BENCH_INPUTS` the inputs and what they become are also written to that directory, for `benches/peers`.

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, Int16Type, Int32Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};
use criterion::{Criterion, Throughput, criterion_main};
use pgflight::codec::encode::{CopyPlan, EncodeOptions};
use pgflight::model::ident::Ident;
use pgflight::model::options::TypeProfile;
use pgflight::model::table::TargetColumn;
use pgflight::model::type_map::default_type;
use tpchgen::generators::LineItemGenerator;
use tpchgen_arrow::LineItemArrow;

const ROWS: usize = 8192;
const CALL_BYTES: usize = 512 * 1024;

fn plan(schema: &Schema) -> CopyPlan {
    let targets: Vec<TargetColumn> = schema
        .fields()
        .iter()
        .map(|field| TargetColumn {
            name: Ident::new(field.name().as_str()).expect("a short name"),
            ty: default_type(field, TypeProfile::Native),
            nullable: true,
        })
        .collect();
    CopyPlan::new(schema, &targets, &EncodeOptions::default()).expect("defaults can be encoded")
}

fn encode(plan: &CopyPlan, batches: &[RecordBatch], out: &mut BytesMut, mut sink: impl FnMut(&[u8])) {
    for batch in batches {
        let bound = plan.bind(batch).expect("the batch fits");
        let mut row = 0;
        while row < bound.rows() {
            out.clear();
            row = bound.encode(row, CALL_BYTES, 0, out).expect("the values fit");
            sink(out);
        }
    }
}

/// Row by row, a match per cell, into a buffer that grows with every field.
fn by_row(batch: &RecordBatch, out: &mut BytesMut) {
    for row in 0..batch.num_rows() {
        out.put_i16(batch.num_columns() as i16);
        for column in batch.columns() {
            cell(column, row, out);
        }
    }
}

fn cell(column: &ArrayRef, row: usize, out: &mut BytesMut) {
    if column.is_null(row) {
        out.put_i32(-1);
        return;
    }
    let text = |text: &str, out: &mut BytesMut| {
        out.put_i32(text.len() as i32);
        out.put_slice(text.as_bytes());
    };
    match column.data_type() {
        DataType::Boolean => {
            out.put_i32(1);
            out.put_u8(u8::from(column.as_boolean().value(row)));
        }
        DataType::Int16 => {
            out.put_i32(2);
            out.put_i16(column.as_primitive::<Int16Type>().value(row));
        }
        DataType::Int32 => {
            out.put_i32(4);
            out.put_i32(column.as_primitive::<Int32Type>().value(row));
        }
        DataType::Int64 => {
            out.put_i32(8);
            out.put_i64(column.as_primitive::<Int64Type>().value(row));
        }
        DataType::Date32 => {
            out.put_i32(4);
            out.put_i32(column.as_primitive::<Date32Type>().value(row) - 10_957);
        }
        DataType::Utf8View => text(column.as_string_view().value(row), out),
        DataType::Utf8 => text(column.as_string::<i32>().value(row), out),
        DataType::Decimal128(_, scale) => {
            numeric(column.as_primitive::<Decimal128Type>().value(row), *scale as u32, out);
        }
        DataType::List(_) => list(&column.as_list::<i32>().value(row), out),
        other => panic!("the inputs have no {other}"),
    }
}

/// A list of `int8` as an array; its length is only known behind it.
fn list(values: &ArrayRef, out: &mut BytesMut) {
    let start = out.len();
    out.put_i32(0);
    out.put_i32(i32::from(!values.is_empty()));
    out.put_i32(i32::from(values.null_count() > 0));
    out.put_i32(20);
    if !values.is_empty() {
        out.put_i32(values.len() as i32);
        out.put_i32(1);
        (0..values.len()).for_each(|element| cell(values, element, out));
    }
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A decimal by repeated division, as a straightforward encoder has it.
fn numeric(value: i128, scale: u32, out: &mut BytesMut) {
    let fraction_groups = scale.div_ceil(4);
    let mut rest = value.unsigned_abs() * 10_u128.pow(fraction_groups * 4 - scale);
    let mut groups = Vec::new();
    while rest > 0 {
        groups.push((rest % 10_000) as u16);
        rest /= 10_000;
    }
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    let weight = if groups.is_empty() {
        0
    } else {
        groups.len() as i16 - 1 - fraction_groups as i16
    };
    out.put_i32(8 + 2 * (groups.len() - zeros) as i32);
    out.put_i16((groups.len() - zeros) as i16);
    out.put_i16(weight);
    out.put_u16(if value < 0 { 0x4000 } else { 0 });
    out.put_u16(scale as u16);
    for group in groups[zeros..].iter().rev() {
        out.put_u16(*group);
    }
}

fn table(name: &str, columns: Vec<ArrayRef>) -> (String, Vec<RecordBatch>) {
    let fields: Vec<Field> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| Field::new(format!("c{at}"), column.data_type().clone(), true))
        .collect();
    (
        name.to_owned(),
        vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("one length")],
    )
}

/// Lists of lists of structs, which become documents.
fn nested_lists(random: &mut fastrand::Rng) -> ArrayRef {
    let leaves = StructBuilder::from_fields(
        vec![
            Field::new("n", DataType::Int64, true),
            Field::new("t", DataType::Utf8, true),
        ],
        0,
    );
    let mut lists = ListBuilder::new(ListBuilder::new(leaves));
    for _ in 0..ROWS {
        for _ in 0..random.usize(..4) {
            let inner = lists.values();
            for _ in 0..random.usize(..4) {
                let leaf = inner.values();
                leaf.field_builder::<Int64Builder>(0)
                    .expect("the first field")
                    .append_value(random.i64(..));
                leaf.field_builder::<StringBuilder>(1)
                    .expect("the second field")
                    .append_value("some \"text\"");
                leaf.append(true);
            }
            inner.append(true);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// Writes an input as an Arrow stream, and the rows that it becomes without the COPY's header and trailer.
fn write_input(name: &str, batches: &[RecordBatch], plan: &CopyPlan) {
    let Some(directory) = std::env::var_os("PGFLIGHT_BENCH_INPUTS").map(std::path::PathBuf::from) else {
        return;
    };
    std::fs::create_dir_all(&directory).expect("the directory can be made");
    let file = std::fs::File::create(directory.join(format!("{name}.arrows"))).expect("a file can be made");
    let mut writer =
        arrow::ipc::writer::StreamWriter::try_new(file, &batches[0].schema()).expect("a stream can be begun");
    for batch in batches {
        writer.write(batch).expect("a batch can be written");
    }
    writer.finish().expect("a stream can be ended");
    let (mut rows, mut out) = (Vec::new(), BytesMut::new());
    encode(plan, batches, &mut out, |bytes| rows.extend_from_slice(bytes));
    std::fs::write(directory.join(format!("{name}.copy")), rows).expect("a file can be written");
}

fn inputs() -> Vec<(String, Vec<RecordBatch>)> {
    let mut random = fastrand::Rng::with_seed(42);
    let mut inputs = vec![(
        "lineitem".to_owned(),
        LineItemArrow::new(LineItemGenerator::new(0.01, 1, 1))
            .with_batch_size(ROWS)
            .collect::<Result<_, _>>()
            .expect("the generator makes whole batches"),
    )];
    let narrow = |at: usize, random: &mut fastrand::Rng| -> ArrayRef {
        match at % 3 {
            0 => Arc::new(Int32Array::from_iter_values((0..ROWS).map(|_| random.i32(..)))),
            1 => Arc::new(BooleanArray::from_iter((0..ROWS).map(|_| Some(random.bool())))),
            _ => Arc::new(Int16Array::from_iter_values((0..ROWS).map(|_| random.i16(..)))),
        }
    };
    inputs.push(table(
        "narrow_100",
        (0..100).map(|at| narrow(at, &mut random)).collect(),
    ));
    let long = StringArray::from_iter_values((0..512).map(|_| "x".repeat(random.usize(1_000..20_000))));
    inputs.push(table("long_strings", vec![Arc::new(long)]));
    for (name, bits) in [("decimal_small", 40), ("decimal_wide", 120)] {
        let values = Decimal128Array::from_iter_values((0..ROWS).map(|_| random.i128(..) >> (127 - bits)));
        inputs.push(table(
            name,
            vec![Arc::new(values.with_data_type(DataType::Decimal128(38, 4)))],
        ));
    }
    let list = |random: &mut fastrand::Rng| {
        Some(
            (0..random.usize(..10))
                .map(|_| Some(random.i64(..)))
                .collect::<Vec<_>>(),
        )
    };
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..ROWS).map(|_| list(&mut random)));
    inputs.push(table("lists", vec![Arc::new(lists)]));
    inputs.push(table("nested_lists", vec![nested_lists(&mut random)]));
    for percent in [0, 1, 50, 100] {
        let integers = Int64Array::from_iter((0..ROWS).map(|_| (random.u8(..100) >= percent).then(|| random.i64(..))));
        let texts = StringArray::from_iter((0..ROWS).map(|_| (random.u8(..100) >= percent).then_some("some text")));
        inputs.push(table(
            &format!("nulls_{percent}"),
            vec![Arc::new(integers), Arc::new(texts)],
        ));
    }
    inputs
}

fn encoding(criterion: &mut Criterion) {
    for (name, batches) in inputs() {
        let plan = plan(&batches[0].schema());
        write_input(&name, &batches, &plan);
        let mut out = BytesMut::with_capacity(2 * CALL_BYTES);
        let mut group = criterion.benchmark_group(&name);
        group.throughput(Throughput::Elements(
            batches.iter().map(|batch| batch.num_rows() as u64).sum(),
        ));
        group.bench_function("by_column", |bencher| {
            bencher.iter(|| encode(&plan, &batches, &mut out, |bytes| _ = black_box(bytes)));
        });
        // Documents are written value by value in either design.
        if name != "nested_lists" {
            let mut columns_first = Vec::new();
            encode(&plan, &batches, &mut out, |bytes| {
                columns_first.extend_from_slice(bytes)
            });
            out.clear();
            batches.iter().for_each(|batch| by_row(batch, &mut out));
            assert!(columns_first == out, "both ways give the same bytes");
            group.bench_function("by_row", |bencher| {
                bencher.iter(|| {
                    for batch in &batches {
                        out.clear();
                        by_row(batch, &mut out);
                        black_box(&out);
                    }
                });
            });
        }
        group.finish();
    }
}

mod group {
    //! Private, because what criterion's macro makes has no documentation.
    use super::encoding;
    criterion::criterion_group!(benches, encoding);
}
use group::benches;
criterion_main!(benches);
