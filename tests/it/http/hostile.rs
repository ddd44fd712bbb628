//! Bodies of people who mean harm: each has its answer within the bounds, and the server serves others meanwhile and afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::bodies::{CSV, FILE, JSON, NDJSON, PARQUET, STREAM, every_form, gzip, parquet, rows, stream};
use super::client::{post, send, try_send};
use crate::support::database::Database;
use crate::support::process::{Process, free_address};

/// Address space of the program, as for Flight's bombs.
const SPACE: u64 = 2 << 30;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_within_the_bounds_and_the_server_lives() {
    let database = Database::create().await;
    let door = free_address();
    let mut process = Process::start_in_space(database.uri(), &[("http_listen", &door.to_string())], SPACE).await;
    for (what, kind, packing, body, statuses) in bodies() {
        let started = Instant::now();
        let headers = [("content-type", kind), ("content-encoding", packing)];
        let answer = send(door, "POST", "/v1/tables/public/hostile", &headers, body).await;
        println!(
            "{what}: {} in {:.1?}: {:.200}",
            answer.status,
            started.elapsed(),
            answer.text()
        );
        assert!(
            statuses.contains(&answer.status),
            "{what}: {} {}",
            answer.status,
            answer.text()
        );
        let sentence = answer.json()["error"].as_str().expect("a sentence").len();
        assert!((1..8_192).contains(&sentence), "{what}: {sentence} bytes");
        assert_eq!(
            process.exit_code(Duration::ZERO).await,
            None,
            "{what}: {}",
            process.log()
        );
        post(door, "sibling", JSON, r#"{"id": 1}"#).await.loaded();
    }
    let at_once = bombs()
        .into_iter()
        .map(|(what, kind, packing, body, statuses)| async move {
            let headers = [("content-type", kind), ("content-encoding", packing)];
            match try_send(door, "POST", "/v1/tables/public/hostile", &headers, body).await {
                Ok(answer) => assert!(statuses.contains(&answer.status), "{what}: {}", answer.text()),
                // Who goes on sending after the answer may not hear it.
                Err(error) => println!("{what}, among others: {error:?}"),
            }
        });
    futures::future::join_all(at_once).await;
    assert_eq!(process.exit_code(Duration::ZERO).await, None, "{}", process.log());
    post(door, "sibling", JSON, r#"{"id": 1}"#).await.loaded();
    assert_eq!(database.value("select to_regclass('hostile') is null").await, "t");
    println!("peak {} MiB", process.peak_memory() >> 20);
}

type Body = (&'static str, &'static str, &'static str, Bytes, &'static [u16]);

/// A gigabyte of one byte, packed.
fn zeros(byte: u8, before: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, before.as_bytes()).expect("memory");
    for _ in 0..1024 {
        std::io::Write::write_all(&mut encoder, &vec![byte; 1 << 20]).expect("memory");
    }
    encoder.finish().expect("memory")
}

/// What answers a body that is wrong, and one that is too large as well.
const REFUSED: &[u16] = &[400];
const LARGE: &[u16] = &[400, 413];

fn bodies() -> Vec<Body> {
    [bombs(), cut_off(), not_what_they_say(), wide()].concat()
}

fn bombs() -> Vec<Body> {
    let bomb = |what, kind, byte, before| (what, kind, "gzip", zeros(byte, before).into(), LARGE);
    let braces = zstd::encode_all(&vec![b'{'; 300 << 20][..], 1).expect("memory");
    vec![
        bomb("a gzip bomb of one cell", CSV, b'x', "id\n"),
        bomb("a gzip bomb of commas", CSV, b',', "id\n"),
        bomb("a gzip bomb of JSON", JSON, b'x', "[{\"a\": \""),
        bomb("a gzip bomb of brackets", NDJSON, b'[', "{\"a\": "),
        bomb("a gzip bomb of an Arrow stream", STREAM, 0xff, ""),
        bomb("a gzip bomb of Parquet", PARQUET, b'P', ""),
        ("a zstd bomb", NDJSON, "zstd", braces.into(), LARGE),
    ]
}

fn cut_off() -> Vec<Body> {
    let arrow = Bytes::from(stream(&[rows(), rows()], Default::default()));
    let cut = |what, kind, packing, bytes: Bytes| (what, kind, packing, bytes, REFUSED);
    vec![
        cut("gzip that is none", CSV, "gzip", "id\n1\n".into()),
        cut(
            "gzip that is cut off",
            CSV,
            "gzip",
            Bytes::from(gzip(b"id\n1\n2\n")).slice(..12),
        ),
        cut(
            "a truncated Arrow stream",
            STREAM,
            "identity",
            arrow.slice(..arrow.len() - 30),
        ),
        cut(
            "a truncated array",
            JSON,
            "identity",
            "[{\"id\": 1}, {\"id\": 2}".into(),
        ),
        cut("a quote that stays open", CSV, "identity", "id\n\"1\n".into()),
        cut(
            "a truncated Parquet file",
            PARQUET,
            "identity",
            Bytes::from(parquet(&[rows()])).slice(..100),
        ),
    ]
}

fn not_what_they_say() -> Vec<Body> {
    let arrow = Bytes::from(stream(&[rows(), rows()], Default::default()));
    let garbage = Bytes::from((0..10 << 20).map(|_| fastrand::u8(..)).collect::<Vec<_>>());
    let text = Bytes::from(
        (0..10 << 20)
            .map(|_| fastrand::alphanumeric() as u8)
            .collect::<Vec<_>>(),
    );
    let plain = |what, kind, bytes: &Bytes| (what, kind, "identity", bytes.clone(), REFUSED);
    vec![
        plain("an Arrow stream as a file", FILE, &arrow),
        plain("CSV as Arrow", STREAM, &"id,name\n1,2\n".into()),
        plain("Arrow as CSV", CSV, &arrow),
        plain("garbage as JSON", JSON, &garbage),
        plain("garbage as NDJSON", NDJSON, &garbage),
        plain("garbage as CSV", CSV, &garbage),
        plain("garbage as Arrow", STREAM, &garbage),
        plain("garbage as Parquet", PARQUET, &garbage),
        plain("text without a line as CSV", CSV, &text),
        plain("text without a line as NDJSON", NDJSON, &text),
        plain("nothing as JSON", JSON, &Bytes::new()),
        plain("nothing as Arrow", STREAM, &Bytes::new()),
        plain("nothing as Parquet", PARQUET, &Bytes::new()),
    ]
}

fn wide() -> Vec<Body> {
    let plain = |what, kind, bytes: Bytes, statuses| (what, kind, "identity", bytes, statuses);
    vec![
        plain("two thousand columns", CSV, ["c,"; 2_000].concat().into(), REFUSED),
        plain("a million columns", CSV, "c,".repeat(1_000_000).into(), REFUSED),
        plain("a key a line", NDJSON, keys(20_000).into(), REFUSED),
        plain("many keys and no values", NDJSON, sparse().into(), &[400, 429]),
        plain("a Parquet file of a long word", PARQUET, long_words().into(), LARGE),
    ]
}

/// An object with as many keys as there may be, and many objects without one; then what is no object.
fn sparse() -> String {
    let keys: Vec<String> = (0..1_600).map(|key| format!("\"k{key}\":1")).collect();
    format!("{{{}}}\n{}7\n", keys.join(","), "{}\n".repeat(100_000))
}

/// Each object with a key that no other has.
fn keys(count: usize) -> String {
    (0..count).map(|key| format!("{{\"k{key}\":1}}\n")).collect()
}

/// A word of 260 MiB that takes 13 in the file.
fn long_words() -> Vec<u8> {
    let word: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(260 << 20)]));
    let batch = RecordBatch::try_from_iter([("w", word)]).expect("a batch");
    let properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a schema");
    writer.write(&batch).expect("a batch");
    writer.into_inner().expect("its end")
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bodies_are_answered_and_end_nothing() {
    let database = Database::create().await;
    let door = free_address();
    let mut process = Process::start_in_space(database.uri(), &[("http_listen", &door.to_string())], SPACE).await;
    fastrand::seed(20);
    for round in 0..150 {
        let (kind, mut body) = every_form()[[0, 1, 2, 6][round % 4]].clone();
        for _ in 0..=fastrand::usize(..6) {
            let place = fastrand::usize(..body.len());
            body[place] = fastrand::u8(..);
        }
        let answer = post(door, &format!("d{round}"), kind, body).await;
        assert!(
            answer.status < 500 || answer.status == 501,
            "{kind}: {} {}",
            answer.status,
            answer.text()
        );
        assert_eq!(
            process.exit_code(Duration::ZERO).await,
            None,
            "{kind}: {}",
            process.log()
        );
    }
    post(door, "sibling", JSON, r#"{"id": 1}"#).await.loaded();
}
