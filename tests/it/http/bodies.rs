//! What bodies may be: each content type, packed and plain, into new and filled tables, and what becomes of their values.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Float64Array, RecordBatch};
use arrow::datatypes::Int32Type;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::client::{post, send};
use super::{start, start_with};
use crate::support::flight::{batch, longs, texts};

pub(super) const STREAM: &str = "application/vnd.apache.arrow.stream";
pub(super) const FILE: &str = "application/vnd.apache.arrow.file";
pub(super) const NDJSON: &str = "application/x-ndjson";
pub(super) const JSON: &str = "application/json";
pub(super) const CSV: &str = "text/csv";
pub(super) const PARQUET: &str = "application/vnd.apache.parquet";

/// Three rows, of which one has a text.
pub(super) fn rows() -> RecordBatch {
    let amounts: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-2.0)]));
    batch(vec![
        ("id", longs([1, 2, 3])),
        ("name", texts(&[Some("a,b"), None, Some("é")])),
        ("amount", amounts),
    ])
}

pub(super) fn stream(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).expect("a schema");
    for batch in batches {
        writer.write(batch).expect("a batch");
    }
    writer.into_inner().expect("its end")
}

fn file(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batches[0].schema()).expect("a schema");
    for batch in batches {
        writer.write(batch).expect("a batch");
    }
    writer.into_inner().expect("its end")
}

pub(super) fn parquet(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), None).expect("a schema");
    for batch in batches {
        writer.write(batch).expect("a batch");
    }
    writer.into_inner().expect("its end")
}

/// The same three rows in every form.
pub(super) fn every_form() -> [(&'static str, Vec<u8>); 7] {
    let lines = concat!(
        r#"{"id":1,"name":"a,b","amount":1.5}"#,
        "\n",
        r#"{"id":2,"name":null}"#,
        "\n",
        r#"{"amount":-2.0,"name":"\u00e9","id":3}"#,
        "\n"
    );
    let array = format!("[{}]", lines.trim().replace('\n', ",\n"));
    let compressed = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD));
    [
        (STREAM, stream(&[rows()], IpcWriteOptions::default())),
        (STREAM, stream(&[rows()], compressed.expect("a codec"))),
        (FILE, file(&[rows()])),
        (NDJSON, lines.as_bytes().to_vec()),
        (JSON, array.into_bytes()),
        (
            CSV,
            "id,name,amount\r\n1,\"a,b\",1.5\r\n2,,\r\n3,é,-2.0\r\n"
                .as_bytes()
                .to_vec(),
        ),
        (PARQUET, parquet(&[rows()])),
    ]
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Rows as they are stored, each with how often.
const STORED: &str = "select id, name, amount, count(*) from t group by 1, 2, 3 order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn every_content_type_lands_twice_in_a_row() {
    for (kind, body) in every_form() {
        let (database, server) = start().await;
        for times in 1..=2 {
            let answer = post(server.http_door(), "t", kind, body.clone()).await.loaded();
            assert_eq!(
                (
                    &answer["final"],
                    &answer["table"],
                    &answer["rows"],
                    &answer["committed"]
                ),
                (&json!(true), &json!("public.t"), &json!(3), &json!(3)),
                "{kind}: {answer}"
            );
            let created = answer["migration"].as_array().expect("statements").len();
            assert_eq!(created > 0, times == 1, "{kind}: {answer}");
            let rows = [(1, "a,b", "1.5"), (2, "<null>", "<null>"), (3, "é", "-2")];
            let expected = rows.map(|(id, name, amount)| format!("{id}|{name}|{amount}|{times}"));
            assert_eq!(database.lines(STORED).await, expected, "{kind}");
        }
        let types = "select string_agg(format_type(atttypid, atttypmod), ',' order by attnum) from pg_attribute \
                     where attrelid = 't'::regclass and attnum > 0";
        assert_eq!(database.value(types).await, "bigint,text,double precision", "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_bodies_are_unpacked_whatever_they_hold() {
    let (database, server) = start().await;
    let mut sent = 0;
    for (kind, body) in every_form() {
        let packings = [
            ("gzip", gzip(&body)),
            ("zstd", zstd::encode_all(&body[..], 3).expect("memory")),
        ];
        for (packing, packed) in packings {
            let headers = [("content-type", kind), ("content-encoding", packing)];
            let path = "/v1/tables/public/t?column_types=%7B%7D";
            let answer = send(server.http_door(), "POST", path, &headers, packed).await.loaded();
            assert_eq!(answer["committed"], 3, "{kind} as {packing}");
            sent += 3;
        }
    }
    assert_eq!(database.value("select count(*) from t").await, sent.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_parameters_of_the_query_and_headers() {
    let (database, server) = start().await;
    let door = server.http_door();
    let table = "t?write_mode=overwrite&primary_key=id";
    for (name, affected) in [("x", 1), ("y", 1), ("y", 0)] {
        let body = json!({"id": 1, "name": name}).to_string();
        let answer = post(door, table, JSON, body).await.loaded();
        assert_eq!(
            (&answer["rows"], &answer["affected"]),
            (&json!(1), &json!(affected)),
            "{answer}"
        );
    }
    assert_eq!(database.lines("select id, name from t").await, ["1|y"]);
    let headers = [
        ("content-type", JSON),
        ("pgflight-write-mode", "overwrite"),
        ("pgflight-primary-key", "id"),
    ];
    let answer = send(door, "POST", "/v1/tables/public/t", &headers, r#"{"id":1,"name":"z"}"#).await;
    assert_eq!(answer.loaded()["affected"], 1);
    // The query wins over the header.
    let answer = send(
        door,
        "POST",
        "/v1/tables/public/t?write_mode=append",
        &headers,
        r#"{"id":1,"name":"z"}"#,
    )
    .await;
    assert!(
        answer.refused(409).contains("t_"),
        "the key is there: {}",
        answer.text()
    );
    let odd = r#"/v1/tables/public/S%20x%22%2E?text_columns=%5B%22a%2Cb%22%5D"#;
    let answer = send(door, "POST", odd, &[("content-type", CSV)], "\"a,b\"\n1\n")
        .await
        .loaded();
    assert_eq!(answer["table"], "public.S x\".");
    assert_eq!(database.value("select \"a,b\" || 'x' from \"S x\"\".\"").await, "1x");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_read_as_the_table_s_columns_are_where_there_is_one() {
    let (database, server) = start().await;
    database
        .execute(
            "create table t (code text, price numeric(10,2), at timestamptz, flag boolean, tags text[], doc jsonb, id uuid, big bigint)",
        )
        .await;
    let id = "6f0e1c1e-9d3b-4f29-8f0e-1c1e9d3b4f29";
    let object = json!({
        "code": 7, "price": 1.10, "at": "2026-01-02T03:04:05Z", "flag": true, "tags": ["a,b", null, "\""], "doc": {"a": [1]}, "id": id,
        "big": 9_007_199_254_740_993_i64,
    });
    post(server.http_door(), "t", JSON, object.to_string()).await.loaded();
    post(server.http_door(), "t", NDJSON, format!("{object}\n{object}\n"))
        .await
        .loaded();
    let csv = format!(
        "code,price,at,flag,tags,doc,id,big\n007,1.1,2026-01-02 03:04:05+00,t,\"{{\"\"a,b\"\",NULL,\"\"\\\"\"\"\"}}\",\"{{\"\"a\"\": [1]}}\",{id},9007199254740993\n"
    );
    post(server.http_door(), "t", CSV, csv).await.loaded();
    let stored = database
        .lines("select code, price, at at time zone 'utc', flag, tags, doc, id, big, count(*) from t group by 1, 2, 3, 4, 5, 6, 7, 8 order by 1")
        .await;
    let rest = format!("1.10|2026-01-02 03:04:05|t|{{\"a,b\",NULL,\"\\\"\"}}|{{\"a\": [1]}}|{id}|9007199254740993");
    assert_eq!(stored, [format!("007|{rest}|1"), format!("7|{rest}|3")]);
    let wrong = post(server.http_door(), "t", CSV, "price\n1.10\nx\n").await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert_eq!(
        (&wrong.json()["column"], &wrong.json()["table"]),
        (&json!("price"), &json!("public.t"))
    );
    assert_eq!(database.value("select count(*) from t").await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_table_text_gets_the_types_that_load_infers() {
    let (database, server) = start().await;
    let objects = r#"[{"whole": 1, "part": 1.5, "mixed": 1, "doc": {"a": 1}, "text": "2026-01-01"}, {"mixed": "x"}]"#;
    post(server.http_door(), "j", JSON, objects).await.loaded();
    post(
        server.http_door(),
        "c?null=-&delimiter=;",
        CSV,
        "d;n;z\n2026-01-01;007;-\n2026-01-02;1;-\n",
    )
    .await
    .loaded();
    post(server.http_door(), "h?header=false&all_text=true", CSV, "1,2\n3,4\n")
        .await
        .loaded();
    let types = |table: &str| {
        format!(
            "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum) from pg_attribute \
             where attrelid = '{table}'::regclass and attnum > 0"
        )
    };
    assert_eq!(
        database.value(&types("j")).await,
        "whole bigint, part double precision, mixed jsonb, doc jsonb, text text"
    );
    assert_eq!(database.value(&types("c")).await, "d date, n text, z text");
    assert_eq!(database.value(&types("h")).await, "column_1 text, column_2 text");
    assert_eq!(
        database.lines("select * from c order by 1").await,
        ["2026-01-01|007|<null>", "2026-01-02|1|<null>"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_of_every_form_land_whole_and_in_bounded_chunks() {
    let words: DictionaryArray<Int32Type> = (0..50_000).map(|id| ["a", "b", "c"][id % 3]).collect();
    let of = |from: i64| {
        batch(vec![
            ("id", longs(from..from + 50_000)),
            ("word", Arc::new(words.clone()) as ArrayRef),
        ])
    };
    let batches = [of(0), of(50_000)];
    let mut csv = String::from("id,word\n");
    let mut lines = String::new();
    for id in 0..100_000_i64 {
        let word = ["a", "b", "c"][usize::try_from(id % 50_000 % 3).expect("small")];
        csv.push_str(&format!("{id},{word}\n"));
        lines.push_str(&format!("{{\"id\":{id},\"word\":\"{word}\"}}\n"));
    }
    let array = format!("[{}]", lines.trim().replace('\n', ","));
    let (database, server) =
        start_with(json!({"limits": {"max_inflight_bytes": 3 << 20, "max_message_bytes": 3 << 20}})).await;
    let forms = [
        (STREAM, stream(&batches, IpcWriteOptions::default())),
        (FILE, file(&batches)),
        (PARQUET, parquet(&batches)),
        (CSV, csv.into_bytes()),
        (NDJSON, lines.into_bytes()),
        (JSON, array.into_bytes()),
    ];
    for (times, (kind, body)) in forms.into_iter().enumerate() {
        let posts = [0, 1].map(|_| post(server.http_door(), "t?commit=batch", kind, body.clone()));
        for answer in futures::future::join_all(posts).await {
            let answer: Value = answer.loaded();
            assert_eq!(answer["committed"], 100_000, "{kind}: {answer}");
        }
        let each = (times + 1) * 2;
        let question = format!(
            "select count(*) from (select id from t group by id, word having count(*) = {each} and word = (array['a','b','c'])[id % 50000 % 3 + 1]) r"
        );
        assert_eq!(database.value(&question).await, "100000", "{kind}");
    }
}
