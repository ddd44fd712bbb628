//! Honest inputs of each target, from which damaged ones are made: every layout of Arrow, every part of a message. Made by code, so
//! that they follow it; `cargo run --bin seeds` writes them to where `cargo fuzz` looks.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, IntervalMonthDayNano, UnionFields};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::{BufMut, Bytes};
use futures::{StreamExt, TryStreamExt};
use pgflight::server::cloudquery::pb;
use prost::Message;

use super::targets::copied_columns;

/// Seeds of a target.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "flight_data" => flight_data(),
        "descriptor" => descriptors(),
        "options" => owned(OPTIONS),
        "cloudquery_write" => writes(),
        "copy_decode" => copies(),
        "dsn" => owned(DSNS),
        "config" => owned(CONFIGS),
        _ => Vec::new(),
    }
}

fn owned(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// One batch for each family of layouts, so that damage hits few buffers at a time and often.
fn batches() -> Vec<RecordBatch> {
    let columns: Vec<Vec<(&str, ArrayRef)>> = vec![numbers(), texts(), times(), nested(), encoded(), views()];
    let batch = |columns| RecordBatch::try_from_iter_with_nullable(with_nulls(columns));
    columns.into_iter().filter_map(|columns| batch(columns).ok()).collect()
}

fn with_nulls(columns: Vec<(&str, ArrayRef)>) -> impl Iterator<Item = (&str, ArrayRef, bool)> {
    columns.into_iter().map(|(name, array)| (name, array, true))
}

fn numbers() -> Vec<(&'static str, ArrayRef)> {
    let decimal = Decimal128Array::from(vec![Some(1), None, Some(-12345)]).with_precision_and_scale(20, 4);
    vec![
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("i", Arc::new(Int64Array::from(vec![Some(1), None, Some(-1)]))),
        ("f", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(f64::NAN)]))),
        (
            "d",
            Arc::new(decimal.unwrap_or_else(|_| Decimal128Array::from(vec![0, 0, 0]))),
        ),
        ("n", Arc::new(NullArray::new(3))),
    ]
}

fn texts() -> Vec<(&'static str, ArrayRef)> {
    let mut fixed = FixedSizeBinaryBuilder::new(16);
    for value in [Some(b"0123456789abcdef"), None, Some(&[255; 16])] {
        match value {
            Some(value) => drop(fixed.append_value(value)),
            None => fixed.append_null(),
        }
    }
    vec![
        (
            "t",
            Arc::new(StringArray::from(vec![
                Some("x"),
                None,
                Some("a longer text than before"),
            ])),
        ),
        ("l", Arc::new(LargeStringArray::from(vec![Some("ü"), None, Some("")]))),
        (
            "y",
            Arc::new(BinaryArray::from_opt_vec(vec![Some(b"ab".as_slice()), None, Some(b"")])),
        ),
        ("x", Arc::new(fixed.finish())),
    ]
}

fn times() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("d", Arc::new(Date32Array::from(vec![Some(0), None, Some(20_000)]))),
        (
            "t",
            Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(86_399_999_999)])),
        ),
        (
            "s",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None, Some(2)]).with_timezone("UTC")),
        ),
        (
            "v",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                IntervalMonthDayNano::new(
                    1, 2, 3000
                );
                3
            ])),
        ),
    ]
}

fn nested() -> Vec<(&'static str, ArrayRef)> {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let fixed =
        FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), Some(2)]), None, None], 2);
    let inner: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]));
    let structs = StructArray::from(vec![(Arc::new(Field::new("s", DataType::Utf8, true)), inner)]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..3 {
        map.keys().append_value(format!("k{row}"));
        map.values().append_value(row);
        drop(map.append(true));
    }
    vec![
        ("l", Arc::new(list)),
        ("f", Arc::new(fixed)),
        ("s", Arc::new(structs)),
        ("m", Arc::new(map.finish())),
    ]
}

fn encoded() -> Vec<(&'static str, ArrayRef)> {
    let words: DictionaryArray<Int32Type> = [Some("a"), None, Some("b")].into_iter().collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![("d", Arc::new(words))];
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec!["r", "s"]));
    columns.extend(runs.ok().map(|runs| ("r", Arc::new(runs) as ArrayRef)));
    for (name, offsets) in [("u", Some(ScalarBuffer::from(vec![0, 0, 1]))), ("p", None)] {
        let fields = [(0_i8, DataType::Int32), (1, DataType::Utf8)];
        let fields: UnionFields = fields
            .into_iter()
            .map(|(id, kind)| (id, Arc::new(Field::new(format!("f{id}"), kind, true))))
            .collect();
        let children: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![1, 2, 3])),
            Arc::new(StringArray::from(vec!["x", "y", "z"])),
        ];
        let union = UnionArray::try_new(fields, vec![0, 1, 0].into(), offsets, children);
        columns.extend(union.ok().map(|union| (name, Arc::new(union) as ArrayRef)));
    }
    columns
}

fn views() -> Vec<(&'static str, ArrayRef)> {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let long = "a text that is too long to be kept in its view";
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        (
            "t",
            Arc::new(StringViewArray::from(vec![Some("short"), None, Some(long)])),
        ),
        (
            "y",
            Arc::new(BinaryViewArray::from_iter([
                Some(b"short".as_slice()),
                None,
                Some(long.as_bytes()),
            ])),
        ),
    ];
    let list = ListViewArray::try_new(
        item.clone(),
        vec![4, 0, 2].into(),
        vec![2, 2, 2].into(),
        values.clone(),
        None,
    );
    columns.extend(list.ok().map(|list| ("l", Arc::new(list) as ArrayRef)));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0_i64, 2, 2, 6]));
    let list = LargeListArray::try_new(item, offsets, values, None);
    columns.extend(list.ok().map(|list| ("g", Arc::new(list) as ArrayRef)));
    let keys: DictionaryArray<Int64Type> = ["k", "k", "l"].into_iter().collect();
    columns.push(("d", Arc::new(keys)));
    columns
}

fn compressions() -> impl Iterator<Item = IpcWriteOptions> {
    [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)]
        .into_iter()
        .filter_map(|compression| IpcWriteOptions::default().try_with_compression(compression).ok())
}

fn flight_data() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for batch in batches() {
        for options in compressions() {
            let encoder = FlightDataEncoderBuilder::new()
                .with_flight_descriptor(Some(FlightDescriptor::new_path(vec!["t".to_owned()])))
                .with_dictionary_handling(DictionaryHandling::Resend)
                .with_options(options);
            let stream = futures::stream::iter([Ok(batch.clone()), Ok(batch.slice(1, 2))]);
            let messages: Result<Vec<FlightData>, _> =
                futures::executor::block_on(encoder.build(stream).boxed().try_collect());
            seeds.extend(messages.ok().map(|messages| framed(&messages)));
        }
    }
    seeds
}

/// Messages as the target `flight_data` takes them.
pub fn framed(messages: &[FlightData]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        out.put_u32_le(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
        out.extend(message.encode_to_vec());
    }
    out
}

fn descriptors() -> Vec<Vec<u8>> {
    let command = r#"{"table": "t", "schema": "s", "write_mode": "overwrite", "primary_key": ["id"], "column_types": {"e": "vector(3)"}}"#;
    let ticket = r#"{"table": "t", "columns": ["a", "b"], "limit": 3}"#;
    let wire = [
        FlightDescriptor::new_path(vec!["s".to_owned(), "t".to_owned()]),
        FlightDescriptor::new_cmd(command),
    ];
    let mut seeds: Vec<Vec<u8>> = wire.iter().map(Message::encode_to_vec).collect();
    seeds.extend(owned(&[command, ticket, "t", "s.t", "\"a.b\".\"c\"\"d\"", "s/t"]));
    seeds
}

fn writes() -> Vec<Vec<u8>> {
    use pb::write::request::Message as Write;
    let mut seeds = Vec::new();
    for batch in batches() {
        let schema = batch.schema();
        let metadata = [("cq:table_name", "t")];
        let schema = Arc::new(schema.as_ref().clone().with_metadata(metadata));
        let Ok(batch) = batch.with_schema(schema) else { continue };
        let Some(record) = ipc(&batch) else { continue };
        let table = ipc(&batch.slice(0, 0)).unwrap_or_default();
        let predicate = pb::Predicate {
            operator: 0,
            column: "c".to_owned(),
            record: record.clone(),
        };
        let group = pb::PredicatesGroup {
            grouping_type: 0,
            predicates: vec![predicate],
        };
        let messages = [
            Write::Insert(pb::write::MessageInsert { record }),
            Write::MigrateTable(pb::write::MessageMigrateTable {
                table,
                migrate_force: true,
            }),
            Write::DeleteRecord(pb::write::MessageDeleteRecord {
                table_name: "t".to_owned(),
                where_clause: vec![group],
                table_relations: Vec::new(),
            }),
        ];
        let message = |message| pb::write::Request { message: Some(message) }.encode_to_vec();
        seeds.extend(messages.into_iter().map(message));
    }
    let stale = pb::write::MessageDeleteStale {
        table_name: "t".to_owned(),
        source_name: "source".to_owned(),
        sync_time: Some(prost_types::Timestamp { seconds: 1, nanos: 2 }),
        ..Default::default()
    };
    seeds.push(
        pb::write::Request {
            message: Some(Write::Delete(stale)),
        }
        .encode_to_vec(),
    );
    seeds
}

fn ipc(batch: &RecordBatch) -> Option<Bytes> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).ok()?;
    if batch.num_rows() > 0 {
        writer.write(batch).ok()?;
    }
    writer.finish().ok()?;
    writer.into_inner().ok().map(Bytes::from)
}

/// Rows of all NULL, of empty fields, and of values that Postgres sends for these types ("Binary Format" of its COPY).
fn copies() -> Vec<Vec<u8>> {
    let columns = copied_columns().len();
    let nulls = vec![None; columns];
    let empty = vec![Some(Vec::new()); columns];
    let mut seeds = Vec::new();
    for piece in [0, 7, 255] {
        seeds.push(copy(piece, &[&nulls, &values(), &nulls]));
        seeds.push(copy(piece, &[&values(), &empty]));
    }
    seeds
}

fn copy(piece: u8, rows: &[&Vec<Option<Vec<u8>>>]) -> Vec<u8> {
    let mut out = vec![piece];
    out.extend(pgflight::codec::HEADER);
    for row in rows {
        out.put_i16(i16::try_from(row.len()).unwrap_or(i16::MAX));
        for field in *row {
            match field {
                None => out.put_i32(-1),
                Some(bytes) => {
                    out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                    out.extend(bytes);
                }
            }
        }
    }
    out.extend(pgflight::codec::TRAILER);
    out
}

fn values() -> Vec<Option<Vec<u8>>> {
    let text_array = [
        0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, b'a', 0, 0, 0, 1, b'b',
    ];
    let int_array = [
        0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255,
    ];
    [
        [0, 0, 0, 0, 0, 0, 0, 7].as_slice(),
        &[1],
        // 12345.67: two groups of four digits before the point, one behind it.
        &[0, 3, 0, 1, 0, 0, 0, 4, 0, 1, 9, 41, 26, 44],
        b"text",
        &[0, 255],
        &[0, 2, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 15, 66, 64, 0, 0, 0, 3, 0, 0, 0, 14],
        b"0123456789abcdef",
        b"\x01{\"a\": 1}",
        &text_array,
        &int_array,
        &[2, 24, 0, 4, 10, 0, 0, 0],
        &[0, 0, 0, 10, 0b1010_1010, 0b1100_0000],
    ]
    .into_iter()
    .map(|bytes| Some(bytes.to_vec()))
    .collect()
}

const OPTIONS: &[&str] = &[
    "pgflight-write-mode: overwrite\npgflight-primary-key: [\"id\"]\n",
    "pgflight-commit: batch\npgflight-stream-id: s\npgflight-expected-rows: 10\npgflight-strict: true\n",
    "pgflight-migrate-mode: forced\npgflight-lock-timeout: 1m30s\npgflight-column-types: {\"a\": \"numeric(10,2)[]\"}\n",
    "pgflight-lanes: 2\npgflight-batch-size-bytes: 1048576\npgflight-nul-bytes: strip\npgflight-on-bad-row: reject\n",
];

const DSNS: &[&str] = &[
    "postgres://user:a-long-password@host-a:5432,[::1]:5433/db?sslmode=require&target_session_attrs=read-write",
    "host=/run/postgresql,b port=5432,5433 user='o''x' password='a long \\' password' dbname=d connect_timeout=3",
    "postgresql:///db?host=/tmp&user=u&password=twelve-letters&options=-c%20geqo%3Doff&pool_max_conns=4",
    "host=h hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=system application_name=x load_balance_hosts=random",
];

const CONFIGS: &[&str] = &[
    "connection_string: postgres://u:${SET}@h/d\nlisten: 127.0.0.1:1\nbatch_size: 10\npool: {max_size: 3, idle_timeout: 1m}\n",
    "auth: {tokens: [{principal: p, token: '${SET:-x}'}]}\ntables: {s.t: {write_mode: overwrite, primary_key: [a]}}\n",
    "pgvector_config:\n  tables: [{source_table_name: t, target_table_name: v, embed_columns: [a], metadata_columns: [b]}]\n  openai_embedding: {api_key: k, model_name: m, dimensions: 3}\n",
    "{\"limits\": {\"max_streams\": 3}, \"log\": {\"level\": \"debug\"}, \"create_table\": {\"fillfactor\": 80}}",
];
