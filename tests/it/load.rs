//! `load` against a real server and a real PostgreSQL: every format lands with the same contents, a broken input leaves nothing.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::support::database::Database;
use crate::support::process::{self, Signal};
use crate::support::server::Server;

/// A directory that is removed with everything in it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("pgflight-it-load-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).expect("a new name in the directory for temporary files");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).expect("the scratch directory can be written");
        path.to_str().expect("an ASCII path").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The program's answer to `load` with these words; nothing of our environment configures it.
pub(crate) async fn load(server: &str, words: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgflight"));
    command.arg("load").args(words).args(["--to", server]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PGFLIGHT_")) {
        command.env_remove(name);
    }
    let input = input.to_owned();
    let run = move || {
        use std::io::Write;
        let mut child = command.spawn().expect("the binary was built");
        // A program that has failed by then does not read its input.
        drop(child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes())));
        child.wait_with_output().expect("the program ends")
    };
    tokio::task::spawn_blocking(run)
        .await
        .expect("the program can be waited for")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const CSV: &str = "id,name,price,day\n1,\"a, \"\"b\"\"\",1.50,2024-02-29\n2,,2.25,\n3,näme,,1999-12-31\n";
const NDJSON: &str = "{\"id\":1,\"name\":\"a, \\\"b\\\"\",\"price\":1.50,\"day\":\"2024-02-29\"}\n\
                      {\"id\":2,\"price\":2.25}\n{\"id\":3,\"name\":\"n\\u00e4me\",\"day\":\"1999-12-31\"}\n";
const EXPECTED: [&str; 3] = [
    "1|a, \"b\"|1.5|2024-02-29",
    "2|<null>|2.25|<null>",
    "3|näme|<null>|1999-12-31",
];

fn sample() -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef, true),
        (
            "name",
            Arc::new(StringArray::from(vec![Some("a, \"b\""), None, Some("näme")])),
            true,
        ),
        (
            "price",
            Arc::new(Float64Array::from(vec![Some(1.5), Some(2.25), None])),
            true,
        ),
        (
            "day",
            Arc::new(Date32Array::from(vec![Some(19_782), None, Some(10_956)])),
            true,
        ),
    ])
    .expect("columns of one length")
}

fn parquet_bytes(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a schema that Parquet has");
    writer.write(batch).expect("memory can be written");
    writer.into_inner().expect("memory can be written")
}

fn arrow_file_bytes(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).expect("any schema");
    writer.write(batch).expect("memory can be written");
    writer.into_inner().expect("memory can be written")
}

fn arrow_stream_bytes(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).expect("any schema");
    writer.write(batch).expect("memory can be written");
    writer.into_inner().expect("memory can be written")
}

#[tokio::test]
async fn every_format_lands_with_the_same_contents() {
    let (scratch, database) = (Scratch::new(), Database::create().await);
    let server = Server::start(&database).await;
    let files = [
        scratch.file("a.parquet", parquet_bytes(&sample())),
        scratch.file("b.arrow", arrow_file_bytes(&sample())),
        scratch.file("c.arrows", arrow_stream_bytes(&sample())),
        scratch.file("d.csv", CSV),
        scratch.file("e.ndjson", NDJSON),
    ];
    for (number, file) in files.iter().enumerate() {
        let table = format!("t{number}");
        let output = load(&server.uri(), &[file, "--table", &table, "--json"], "").await;
        assert_eq!(output.status.code(), Some(0), "{file}: {}", text(&output.stderr));
        let summary: Value = serde_json::from_slice(&output.stdout).expect("--json prints one object");
        assert_eq!(
            (&summary["rows"], &summary["files"]),
            (&Value::from(3), &Value::from(1)),
            "{summary}"
        );
        assert_eq!(summary["table"], format!("public.{table}"));
        let rows = database
            .lines(&format!("select id, name, price, day from {table} order by id"))
            .await;
        assert_eq!(rows, EXPECTED, "{file}");
    }
    let types = "select string_agg(format_type(atttypid, atttypmod), ',' order by attnum) from pg_attribute \
                 where attrelid = 't3'::regclass and attnum > 0";
    assert_eq!(database.value(types).await, "bigint,text,double precision,date");
    server.stop().await;
}

#[tokio::test]
async fn standard_input_and_globs_are_loaded_and_added_up() {
    let (scratch, database) = (Scratch::new(), Database::create().await);
    let server = Server::start(&database).await;
    let output = load(&server.uri(), &["-", "--table", "piped"], NDJSON).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).starts_with("loaded public.piped from 1 input: 3 rows, "),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(database.value("select count(*) from piped").await, "3");
    scratch.file("part-1.csv", "a,b\n1,x\n");
    scratch.file("part-2.csv", "a,b\n2.5,y\n");
    let pattern = format!("{}/part-*.csv", scratch.0.display());
    let output = load(&server.uri(), &[&pattern, "--table", "s.Parts"], "").await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        database.lines("select a, b from s.\"Parts\" order by a").await,
        ["1|x", "2.5|y"]
    );
    server.stop().await;
}

#[tokio::test]
async fn an_input_without_rows_still_makes_the_table() {
    let (scratch, database) = (Scratch::new(), Database::create().await);
    let server = Server::start(&database).await;
    let file = scratch.file("empty.csv", "a,b\n");
    let output = load(&server.uri(), &[&file, "--table", "empty"], "").await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(database.lines("select a, b from empty").await, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn an_input_that_breaks_leaves_the_table_as_it_was() {
    let (scratch, database) = (Scratch::new(), Database::create().await);
    let server = Server::start(&database).await;
    database
        .execute("create table t (id bigint, name text); insert into t values (0, 'kept')")
        .await;
    let mut rows: String = "id,name\n".to_owned();
    rows.extend((1..200_000).map(|id| format!("{id},name {id}\n")));
    rows.push_str("no number,x\n");
    let file = scratch.file("broken.csv", rows);
    let output = load(&server.uri(), &[&file, "--table", "t"], "").await;
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains("broken.csv, line 200001, column \"id\": the value cannot be kept exactly"),
        "{message}"
    );
    assert_eq!(database.lines("select id, name from t").await, ["0|kept"]);
    server.stop().await;
}

/// The child dies with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_load_leaves_the_table_as_it_was_and_no_transaction() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    database
        .execute("create table t (id bigint, name text); insert into t values (0, 'kept')")
        .await;
    let child = Command::new(env!("CARGO_BIN_EXE_pgflight"))
        .args(["load", "-", "--format", "csv", "--table", "t", "--to", &server.uri()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let mut child = Running(child);
    let mut input = child.0.stdin.take().expect("piped");
    // The input stays open, so that the load is always in the middle.
    let feeding = std::thread::spawn(move || {
        use std::io::Write;
        let mut sent = input.write_all(b"id,name\n");
        let mut id = 1_u64;
        while sent.is_ok() {
            sent = input.write_all(format!("{id},name {id}\n").as_bytes());
            id += 1;
        }
    });
    let copying = "select count(*) > 0 from pg_stat_progress_copy where relid = 't'::regclass and tuples_processed > 0";
    database.wait_for(copying).await;
    process::send(Signal::Interrupt, child.0.id());
    let status = child.0.wait().expect("our child");
    feeding.join().expect("the pipe breaks");
    let mut told = String::new();
    std::io::Read::read_to_string(&mut child.0.stderr.take().expect("piped"), &mut told).expect("text");
    assert_eq!(status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted"), "{told}");
    database
        .wait_for("select count(*) = 0 from pg_locks where relation = 't'::regclass and pid <> pg_backend_pid()")
        .await;
    assert_eq!(database.lines("select id, name from t").await, ["0|kept"]);
    server.stop().await;
}

#[tokio::test]
async fn refusals_and_wrong_usage_have_their_exit_codes() {
    let (scratch, database) = (Scratch::new(), Database::create().await);
    let server = Server::start(&database).await;
    database.execute("create table narrow (id bigint)").await;
    let file = scratch.file("a.csv", "id\n1\n");
    let uri = server.uri();
    let cases: [(&str, &[&str], i32, &str); 4] = [
        (&uri, &["/nowhere/*.csv", "--table", "t"], 2, "no file matches"),
        (&uri, &[&file], 2, "--table"),
        (
            "grpc://127.0.0.1:1",
            &[&file, "--table", "t"],
            1,
            "cannot reach a server at grpc://127.0.0.1:1",
        ),
        ("ftp://h:1", &[&file, "--table", "t"], 2, "is not a server address"),
    ];
    for (server, words, code, expected) in cases {
        let output = load(server, words, "").await;
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_load_tells_what_is_in_the_table_and_what_was_probably_meant() {
    let (scratch, database) = (Scratch::new(), Database::create().await);
    let server = Server::start(&database).await;
    let uri = server.uri();
    database.execute("create table narrow (id bigint check (id < 0))").await;
    let file = scratch.file("bad.csv", "id\n1\n2\n3\n");
    let words = [&*file, "--table", "narrow", "--on-bad-row", "reject"];
    let output = load(&uri, &words, "").await;
    let told = text(&output.stdout);
    assert!(
        output.status.success()
            && told.starts_with("no row of 1 input was loaded into public.narrow: all 3 were rejected"),
        "{told} {}",
        text(&output.stderr)
    );
    let output = load(&uri, &[&words[..], &["--json"]].concat(), "").await;
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (summary["rows"].clone(), summary["rejected"].clone()),
        (0.into(), 3.into())
    );

    let file = scratch.file("semicolons.csv", "id;name\n1;x\n2;y\n");
    let output = load(&uri, &[&file, "--table", "odd"], "").await;
    assert!(
        text(&output.stdout).contains("use --delimiter ';'"),
        "{}",
        text(&output.stdout)
    );
    database.execute("create table fine (id bigint, name text)").await;
    let output = load(&uri, &[&file, "--table", "fine", "--migrate-mode", "off"], "").await;
    let told = text(&output.stderr);
    assert!(
        output.status.code() == Some(1) && told.contains("use --delimiter ';'"),
        "{told}"
    );

    let times = "at\n2016-12-31 23:59:60\n2016-12-31 23:59:59\n";
    let file = scratch.file("leap.csv", times);
    let output = load(&uri, &[&file, "--table", "leap"], "").await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        database.lines("select at from leap order by 1 desc").await,
        ["2016-12-31 23:59:60", "2016-12-31 23:59:59"]
    );

    let output = load(&uri, &[&file, "--table", "a.b.c"], "").await;
    let told = text(&output.stderr);
    assert!(
        output.status.code() == Some(2) && told.contains("has 3 parts"),
        "{told}"
    );
    let output = load(&uri, &[&file, "--table", "public.\"b.c\""], "").await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(database.value("select count(*) from \"b.c\"").await, "2");
    server.stop().await;
}

/// Decimals are exact from the file to the table.
#[tokio::test]
async fn decimals_of_a_file_are_numeric_in_the_table() {
    let (scratch, database) = (Scratch::new(), Database::create().await);
    let server = Server::start(&database).await;
    let price = Decimal128Array::from(vec![Some(1), None, Some(-123_456)]).with_precision_and_scale(15, 2);
    let price = Arc::new(price.expect("15 digits hold them")) as ArrayRef;
    let batch = RecordBatch::try_from_iter_with_nullable([("price", price, true)]).expect("one column");
    let file = scratch.file("p.parquet", parquet_bytes(&batch));
    let output = load(&server.uri(), &[&file, "--table", "p"], "").await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        database.lines("select price from p order by price").await,
        ["-1234.56", "0.01", "<null>"]
    );
    server.stop().await;
}
