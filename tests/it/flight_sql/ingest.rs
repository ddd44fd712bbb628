//! `CommandStatementIngest`: the four modes, where a table is and where none is, and what each leaves.

use arrow::array::RecordBatch;
use arrow_flight::sql::CommandStatementIngest;
use serde_json::json;
use tonic::{Code, Status};

use super::{MODES, descriptor, ingest, ingest_of, send};
use crate::flight_refusals::{refused, rows};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, longs, messages, metadata, path, texts};
use crate::support::server::{Server, start};

fn trailer<'a>(status: &'a Status, name: &str) -> &'a str {
    status
        .metadata()
        .get(name)
        .map_or("", |value| value.to_str().expect("an answer"))
}

async fn count(database: &Database, table: &str) -> String {
    database.value(&format!("select count(*) from {table}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_does_what_it_says_where_a_table_is_and_where_none_is() {
    let (database, _server, mut flight) = start().await;
    let two = [rows()];
    for (mode, ..) in MODES {
        for there in [false, true] {
            let table = format!("{mode}_{there}");
            if there {
                database
                    .execute(&format!("create table {table} (id bigint, name text)"))
                    .await;
                database
                    .execute(&format!("insert into {table} values (0, 'before')"))
                    .await;
            }
            let mut told = Vec::new();
            for _ in 0..2 {
                let done = ingest(&mut flight, &ingest_of(&table, mode), &two).await;
                if let Err(status) = &done {
                    assert_eq!(trailer(status, "x-pg-table"), format!("public.{table}"), "{status:?}");
                    let state = if mode == "append" { "42P01" } else { "42P07" };
                    assert_eq!(trailer(status, "x-pg-sqlstate"), state, "{status:?}");
                }
                told.push(done.map_err(|status| status.code()));
            }
            let (expected, left) = match (mode, there) {
                ("create", false) => ([Ok(2), Err(Code::AlreadyExists)], "2"),
                ("create", true) => ([Err(Code::AlreadyExists), Err(Code::AlreadyExists)], "1"),
                ("append", false) => ([Err(Code::NotFound), Err(Code::NotFound)], ""),
                ("append", true) | ("create_append", true) => ([Ok(2), Ok(2)], "5"),
                ("create_append", false) => ([Ok(2), Ok(2)], "4"),
                _ => ([Ok(2), Ok(2)], "2"),
            };
            assert_eq!(told, expected, "{mode}, {there}");
            if left.is_empty() {
                let found = database.value(&format!("select to_regclass('{table}') is null")).await;
                assert_eq!(found, "t", "an append creates nothing");
            } else {
                assert_eq!(count(&database, &table).await, left, "{mode}, {there}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_named_and_a_catalog_must_be_this_database() {
    let (database, _server, mut flight) = start().await;
    let name = database.value("select current_database()").await;
    let mut command = ingest_of("t", "create");
    command.schema = Some("elsewhere".to_owned());
    command.catalog = Some(name.clone());
    assert_eq!(ingest(&mut flight, &command, &[rows()]).await.unwrap(), 2);
    assert_eq!(count(&database, "elsewhere.t").await, "2");
    command.catalog = Some("another".to_owned());
    let refusal = ingest(&mut flight, &command, &[rows()]).await;
    refused(refusal, Code::NotFound, &["another", &name]);
    command.catalog = None;
    command.schema = Some("pg_catalog".to_owned());
    let refusal = ingest(&mut flight, &command, &[rows()]).await;
    refused(refusal, Code::InvalidArgument, &["pg_catalog", "choose another schema"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_come_in_the_command_in_headers_and_in_the_schema() {
    let (database, _server, flight) = start().await;
    let keyed = |ids: &[i64], name: &str| {
        let names: Vec<_> = ids.iter().map(|_| Some(name)).collect();
        batch(vec![("id", longs(ids.iter().copied())), ("name", texts(&names))])
    };
    let mut command = ingest_of("t", "create");
    command.options.insert("primary_key".to_owned(), "id".to_owned());
    let mut plain = flight.clone();
    assert_eq!(ingest(&mut plain, &command, &[keyed(&[1, 2], "a")]).await.unwrap(), 2);
    // An upsert through `append`, told by a header.
    let mut upserting = flight.clone().with_header("pgflight-write-mode", "overwrite");
    let append = ingest_of("t", "append");
    assert_eq!(
        ingest(&mut upserting, &append, &[keyed(&[2, 3], "b")]).await.unwrap(),
        2
    );
    let told = [("pgflight.write_mode", "overwrite"), ("pandas", "{}")];
    let sent = keyed(&[3, 4], "c");
    let schema = sent.schema().as_ref().clone().with_metadata(told);
    let sent = RecordBatch::try_new(schema.into(), sent.columns().to_vec()).unwrap();
    assert_eq!(ingest(&mut plain, &append, &[sent]).await.unwrap(), 2);
    assert_eq!(
        database.lines("select id, name from t order by id").await,
        ["1|a", "2|b", "3|c", "4|c"]
    );
    let mut wrong = append.clone();
    wrong
        .options
        .insert("pgflight.wirte_mode".to_owned(), "overwrite".to_owned());
    let refusal = ingest(&mut plain, &wrong, &[keyed(&[5], "d")]).await;
    refused(
        refusal,
        Code::InvalidArgument,
        &["options of the command", "did you mean", "write_mode"],
    );
    let mut acks = flight.clone().with_header("pgflight-acks", "progress");
    let refusal = ingest(&mut acks, &append, &[keyed(&[5], "d")]).await;
    refused(refusal, Code::InvalidArgument, &["one answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_keeps_a_table_of_the_same_columns_and_makes_another_one_anew() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint, name text); create index mine on t (id); insert into t values (7, 'old'); grant select on t to public")
        .await;
    let replace = ingest_of("t", "replace");
    assert_eq!(ingest(&mut flight, &replace, &[rows()]).await.unwrap(), 2);
    let kept = "select count(*) from pg_class where relname = 'mine'";
    assert_eq!(database.value(kept).await, "1", "the rows were swapped");
    let other = batch(vec![("name", longs([5])), ("more", texts(&[Some("x")]))]);
    assert_eq!(ingest(&mut flight, &replace, &[other]).await.unwrap(), 1);
    let columns = "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum) \
                   from pg_attribute where attrelid = 't'::regclass and attnum > 0";
    assert_eq!(database.value(columns).await, "name bigint, more text");
    assert_eq!(database.value(kept).await, "0", "it is another table");
    assert_eq!(count(&database, "t").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_that_fails_leaves_the_table_as_it_was() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (other int); insert into t values (7)")
        .await;
    database
        .execute("create table kept (id bigint, name text); insert into kept values (7, 'old')")
        .await;
    for table in ["t", "kept"] {
        let mut sent = messages(descriptor(&ingest_of(table, "replace")), &[rows(), rows()]);
        // Half a batch: the stream breaks after its first rows.
        let last = sent.last_mut().unwrap();
        last.data_body = last.data_body.slice(..last.data_body.len() / 2);
        refused(
            send(&mut flight, sent).await,
            Code::InvalidArgument,
            &["nothing of it was committed"],
        );
    }
    assert_eq!(database.lines("select * from t").await, ["7"]);
    assert_eq!(database.lines("select * from kept").await, ["7|old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_puts_a_table_in_the_place_of_tables_only() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create view v as select 1 as id; create table base (other int); create view over as select other from base; \
             create table pk (id int primary key); create table fk (id int references pk)",
        )
        .await;
    let refusal = ingest(&mut flight, &ingest_of("v", "replace"), &[rows()]).await;
    refused(refusal, Code::FailedPrecondition, &["public.v", "a view"]);
    let refusal = ingest(&mut flight, &ingest_of("base", "replace"), &[rows()]).await;
    refused(refusal, Code::FailedPrecondition, &["dropping public.base", "2BP01"]);
    let refusal = ingest(&mut flight, &ingest_of("pk", "replace"), &[rows()]).await;
    refused(refusal, Code::FailedPrecondition, &["dropping public.pk", "2BP01"]);
    assert_eq!(database.lines("select * from v").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_without_rows_make_their_table() {
    let (database, _server, mut flight) = start().await;
    let none = rows().slice(0, 0);
    // The schema, and no batch at all; then a batch without rows.
    let only_schema = messages(descriptor(&ingest_of("bare", "create")), std::slice::from_ref(&none));
    assert_eq!(send(&mut flight, only_schema[..1].to_vec()).await.unwrap(), 0);
    assert_eq!(
        ingest(&mut flight, &ingest_of("empty", "create"), &[none])
            .await
            .unwrap(),
        0
    );
    for table in ["bare", "empty"] {
        assert_eq!(count(&database, table).await, "0");
    }
    let emptied = ingest_of("empty", "replace");
    assert_eq!(
        ingest(&mut flight, &ingest_of("empty", "append"), &[rows()])
            .await
            .unwrap(),
        2
    );
    assert_eq!(ingest(&mut flight, &emptied, &[rows().slice(0, 0)]).await.unwrap(), 0);
    assert_eq!(count(&database, "empty").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_creates_at_once_make_one_table() {
    let (database, server, _) = start().await;
    let create = || async {
        let mut flight = Flight::connect(&server).await;
        ingest(&mut flight, &ingest_of("t", "create"), &[rows()]).await
    };
    let (one, two) = tokio::join!(create(), create());
    let codes = [&one, &two].map(|done| done.as_ref().map_err(Status::code).copied());
    assert!(
        codes.contains(&Ok(2)) && codes.contains(&Err(Code::AlreadyExists)),
        "{codes:?}"
    );
    assert_eq!(count(&database, "t").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_configured_to_commit_in_parts_is_created_and_found_all_the_same() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"commit": "batch"})).await;
    let mut flight = Flight::connect(&server).await;
    let told: Vec<_> = [("create", 2), ("append", 2), ("create_append", 2), ("replace", 2)].to_vec();
    for (mode, rows_stored) in told {
        let done = ingest(&mut flight, &ingest_of("t", mode), &[rows()]).await;
        assert_eq!(done.unwrap(), rows_stored, "{mode}");
    }
    assert_eq!(count(&database, "t").await, "2");
    let again = ingest(&mut flight, &ingest_of("t", "create"), &[rows()]).await;
    refused(again, Code::AlreadyExists, &["public.t"]);
    let missing = ingest(&mut flight, &ingest_of("u", "append"), &[rows()]).await;
    refused(missing, Code::NotFound, &["public.u"]);
    let mut batch = flight.clone().with_header("pgflight-commit", "batch");
    let replace = ingest(&mut batch, &ingest_of("t", "replace"), &[rows()]).await;
    refused(replace, Code::InvalidArgument, &["commit: atomic"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_the_trailers_of_every_put() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint primary key, name text); insert into t values (1, 'there')")
        .await;
    let status = ingest(&mut flight, &ingest_of("t", "append"), &[rows()])
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status:?}");
    assert_eq!(trailer(&status, "x-pg-sqlstate"), "23505");
    assert_eq!(trailer(&status, "x-pg-table"), "public.t");
    assert_eq!(trailer(&status, "x-pg-constraint"), "t_pkey");
    let typed = batch(vec![("id", texts(&[Some("x")]))]);
    let status = ingest(&mut flight, &ingest_of("t", "append"), &[typed])
        .await
        .unwrap_err();
    assert_eq!(trailer(&status, "x-pg-table"), "public.t", "{status:?}");
    assert_eq!(trailer(&status, "x-pg-column"), "id", "{status:?}");
    assert_eq!(count(&database, "t").await, "1");
}

/// The plain door and this one are one: the same session, the same counts, the same reject table.
#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_is_a_put_with_another_answer() {
    let (database, _server, flight) = start().await;
    let mut plain = flight.clone();
    plain.put(path(&["plain"]), &[rows()]).await.unwrap();
    let mut strict = flight.clone().with_header("pgflight-strict", "true");
    let create: CommandStatementIngest = ingest_of("sql", "create");
    let mut sent = messages(descriptor(&create), &[rows()]);
    refused(
        send(&mut strict, sent.clone()).await,
        Code::FailedPrecondition,
        &["strict"],
    );
    sent.push(metadata("{\"commit\": {\"rows\": 2}}"));
    assert_eq!(send(&mut strict, sent).await.unwrap(), 2);
    let same = "select count(*) from (select * from plain except select * from sql) x";
    assert_eq!(database.value(same).await, "0");
    let mut rejecting = flight.clone().with_header("pgflight-on-bad-row", "reject");
    database
        .execute("create table c (id bigint check (id > 1), name text)")
        .await;
    assert_eq!(
        ingest(&mut rejecting, &ingest_of("c", "append"), &[rows()])
            .await
            .unwrap(),
        1
    );
    assert_eq!(count(&database, "c").await, "1");
}
