//! `pgflight plan` through the real binary: what it says is what a load then does, and it changes nothing.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::flight::{Flight, command, longs, path};
use crate::support::server::Server;

/// A file of this name in a directory of the build.
fn file(name: &str, content: &str) -> String {
    let name = format!("plan-{}-{:08x}-{name}", std::process::id(), fastrand::u32(..));
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("the build's temporary directory takes a file");
    path.to_str().expect("an ASCII path").to_owned()
}

async fn pgflight(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgflight"));
    command
        .args(words)
        .env_clear()
        .env("HOME", "/nonexistent")
        .current_dir(env!("CARGO_TARGET_TMPDIR"));
    let run = tokio::task::spawn_blocking(move || command.output()).await;
    run.expect("it can be waited for").expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The plan, which must have been made.
async fn plan(words: &[&str]) -> Value {
    let output = pgflight(&[&["plan", "--json"][..], words].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    serde_json::from_slice(&output.stdout).expect("the plan is JSON")
}

fn sql(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().expect("steps");
    steps
        .iter()
        .map(|step| step["sql"].as_str().expect("SQL").to_owned())
        .collect()
}

/// Everything that a plan could have changed.
async fn catalog(database: &Database) -> Vec<String> {
    let relations = "select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
                     from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_attribute a on a.attrelid = c.oid
                     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1, 2, a.attnum";
    database.lines(relations).await
}

const CSV: &str = "id,name,price\n1,one,1.50\n2,two,2.25\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_it_says_of_a_file_is_what_a_load_of_it_does() {
    let database = Database::create().await;
    let uri = database.uri();
    let csv = file("a.csv", CSV);
    let ours = ["--table", "s.t", "--primary-key", "id", "--connection-string", uri];
    let with_mode = [&[csv.as_str()][..], &ours[..], &["--write-mode", "overwrite"]].concat();
    let before = catalog(&database).await;
    let new = plan(&with_mode).await;
    assert_eq!(
        (&new["table"], &new["created"], &new["applied"]),
        (&json!("s.t"), &json!(true), &json!(false))
    );
    assert_eq!(catalog(&database).await, before, "a plan changes nothing");
    let load = |words: Vec<String>| async move {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = pgflight(&words).await;
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let summary: Value = serde_json::from_slice(&output.stdout).expect("the summary is JSON");
        let done: Vec<String> = serde_json::from_value(summary["result"]["migration"].clone()).expect("statements");
        done
    };
    let load_words = |file: &str| {
        let words = [
            &["load", file, "--json", "--quiet"][..],
            &ours[..],
            &["--write-mode", "overwrite"],
        ]
        .concat();
        words.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(load(load_words(&csv)).await, sql(&new));
    let fits = plan(&with_mode).await;
    assert_eq!(
        (sql(&fits).len(), &fits["created"]),
        (0, &json!(false)),
        "a table fits what it was made for"
    );
    // Later the file has a wider and a new column.
    database
        .execute("alter table s.t alter column id type int; analyze s.t")
        .await;
    let wider = file("b.csv", "id,name,price,more\n3000000000,three,1.5,x\n");
    let words = [&[wider.as_str()][..], &ours[..], &["--write-mode", "overwrite"]].concat();
    let change = plan(&words).await;
    let rewrites: Vec<&Value> = change["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["rewrites"])
        .collect();
    assert_eq!(rewrites, [&json!(true), &json!(false)], "{change}");
    assert_eq!(change["estimated_rows"], 2);
    assert!(change["table_bytes"].as_u64() > Some(8192), "{change}");
    assert_eq!(load(load_words(&wider)).await, sql(&change));
    assert_eq!(database.value("select max(id) from s.t").await, "3000000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_sql_with_lock_cost_and_size() {
    let database = Database::create().await;
    database
        .execute("create table t (id int, name text); insert into t values (1, 'x'); analyze t")
        .await;
    let csv = file("c.csv", "id,name,more\n3000000000,a,b\n");
    let words = ["plan", &csv, "--table", "t", "--connection-string", database.uri()];
    let output = pgflight(&words).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let bytes = database.value("select pg_total_relation_size('t')").await;
    let expected = format!(
        "-- table public.t, {bytes} bytes with indexes, about 1 rows

-- the stream brings bigint, the column is integer; bigint holds both
-- lock: ACCESS EXCLUSIVE; rewrites the table
ALTER TABLE \"public\".\"t\" ALTER COLUMN \"id\" SET DATA TYPE bigint;

-- the table has no such column
-- lock: ACCESS EXCLUSIVE; rewrites nothing
ALTER TABLE \"public\".\"t\" ADD COLUMN \"more\" text;
"
    );
    assert_eq!(text, expected);
    // What it prints can be run as it is.
    database.execute(&text).await;
    let again = String::from_utf8(pgflight(&words).await.stdout).unwrap();
    assert!(
        again.ends_with("-- it fits as it is; nothing would be done\n"),
        "{again}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_every_reason_and_ends_with_one() {
    let database = Database::create().await;
    database
        .execute("create table t (id uuid, name aclitem); insert into t values (null, null)")
        .await;
    let before = catalog(&database).await;
    let csv = file("d.csv", CSV);
    let words = ["plan", &csv, "--table", "t", "--connection-string", database.uri()];
    let output = pgflight(&words).await;
    let text = said(&output);
    assert_eq!(
        (output.status.code(), output.stdout.len(), text.lines().count()),
        (Some(1), 0, 1),
        "{text}"
    );
    assert!(
        text.contains("column \"id\"") && text.contains("column \"name\""),
        "{text}"
    );
    let off = [&words[..], &["--migrate-mode", "off"]].concat();
    let text = said(&pgflight(&off).await);
    assert!(
        text.contains("column \"price\": the table has no such column"),
        "{text}"
    );
    let forced = [&words[..], &["--migrate-mode", "forced", "--json"]].concat();
    let output = pgflight(&forced).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(catalog(&database).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_for_the_plan_or_for_the_schema_of_its_table() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"migrate_rewrite": "never"})).await;
    let csv = file("e.csv", CSV);
    let here = plan(&[&csv, "--table", "t", "--connection-string", database.uri()]).await;
    let there = plan(&[&csv, "--table", "t", "--to", &server.uri()]).await;
    assert_eq!(here, there);
    // The server's own configuration counts there, and what the command line says counts more.
    database
        .execute("create table t (id int, name text, price float8); insert into t values (1); create schema x; create table x.u (\"A b\" int2, c date[])")
        .await;
    let words = ["plan", &csv, "--table", "t", "--to", &server.uri()];
    let text = said(&pgflight(&words).await);
    assert!(
        text.contains("rewrites the table") && text.contains("FAILED_PRECONDITION"),
        "{text}"
    );
    let allowed = [&words[..], &["--json", "--migrate-rewrite", "allow"]].concat();
    let output = pgflight(&allowed).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // The schema of a table that a Flight server has.
    let source = format!("{}/x/u", server.uri());
    let copy = plan(&[&source, "--table", "copy", "--connection-string", database.uri()]).await;
    assert_eq!(
        sql(&copy),
        ["CREATE TABLE \"public\".\"copy\" (\"A b\" smallint, \"c\" date[])"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_ends_with_two_and_one_sentence() {
    let database = Database::create().await;
    let (uri, csv) = (database.uri(), file("f.csv", CSV));
    for (words, code, part) in [
        (
            vec!["no-such-file.csv", "--connection-string", uri],
            2,
            "no-such-file.csv",
        ),
        (
            vec!["grpc://127.0.0.1:1", "--connection-string", uri],
            2,
            "names no table",
        ),
        (
            vec!["ftp://h:1/t", "--connection-string", uri],
            2,
            "is not a server address",
        ),
        (
            vec!["grpc://127.0.0.1:1/t", "--connection-string", uri],
            1,
            "cannot reach a server",
        ),
        (
            vec![csv.as_str(), "--to", "grpc://127.0.0.1:1"],
            1,
            "cannot reach a server",
        ),
        (
            vec![csv.as_str(), "--connection-string", "host=127.0.0.1 port=1 user=x"],
            1,
            "cannot connect to Postgres",
        ),
        (
            vec![csv.as_str(), "--connection-string", uri, "--migrate-mode", "sometimes"],
            2,
            "allowed: safe, forced, off",
        ),
    ] {
        let output = pgflight(&[&["plan", "--table", "t"][..], &words[..]].concat()).await;
        let text = said(&output);
        assert_eq!(
            (output.status.code(), text.lines().count()),
            (Some(code), 1),
            "{words:?}: {text}"
        );
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_action_tells_without_doing_what_a_put_then_does() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    database
        .execute(
            "create table wide (id int primary key, v varchar(2)); insert into wide values (1, 'x');
             create table turned (id name); insert into turned values ('7');
             create table fits (id bigint)",
        )
        .await;
    let rows = crate::support::flight::batch(vec![("id", longs([5, 6]))]);
    let mut bytes = Vec::new();
    arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &rows.schema())
        .unwrap()
        .finish()
        .unwrap();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes);
    for (table, options, steps) in [
        ("new", json!({"write_mode": "overwrite", "primary_key": ["id"]}), 1),
        ("wide", json!({"write_mode": "overwrite"}), 1),
        (
            "turned",
            json!({"migrate_mode": "forced", "forced_strategy": "convert"}),
            3,
        ),
        ("fits", json!({}), 0),
    ] {
        let mut body = options.clone();
        body["table"] = json!(table);
        let put = command(body.clone());
        body["arrow_schema"] = json!(encoded);
        (body["dry_run"], body["as_load"]) = (json!(true), json!(true));
        let before = catalog(&database).await;
        let told = flight.act("pgflight.migrate", body).await.unwrap();
        assert_eq!(catalog(&database).await, before, "{table}: a dry run changes nothing");
        assert_eq!(told["applied"], false);
        assert_eq!(sql(&told).len(), steps, "{told}");
        let answer = flight.put(put, std::slice::from_ref(&rows)).await.unwrap();
        assert_eq!(answer["migration"], json!(sql(&told)), "{table}");
    }
    // Applied by the action, it is the same again, and then there is nothing to do.
    let body = |dry: bool| json!({"table": "acted", "arrow_schema": encoded, "dry_run": dry});
    let told = flight.act("pgflight.migrate", body(true)).await.unwrap();
    let done = flight.act("pgflight.migrate", body(false)).await.unwrap();
    assert_eq!((&done["applied"], sql(&done)), (&json!(true), sql(&told)));
    let answer = flight.put(path(&["acted"]), &[rows]).await.unwrap();
    assert_eq!(answer["migration"], json!([]));
}
