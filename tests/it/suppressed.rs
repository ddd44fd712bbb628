//! Rows that a trigger of the table leaves out: refused with the trigger's name, or counted apart, and never counted as stored.

use arrow::array::RecordBatch;
use serde_json::{Value, json};
use tonic::Code;

use crate::one_rule::plan;
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, path, texts};
use crate::support::server::{Server, start};

/// A trigger that leaves out rows whose `v` is `no`, on INSERT or UPDATE.
const SKIP: &str = "create or replace function skip() returns trigger language plpgsql as $$ begin \
    if new.v = 'no' then return null; end if; return new; end $$; ";

fn rows(cells: &[(i64, &str)]) -> RecordBatch {
    let values: Vec<Option<&str>> = cells.iter().map(|(_, value)| Some(*value)).collect();
    batch(vec![
        ("id", longs(cells.iter().map(|(id, _)| *id))),
        ("v", texts(&values)),
    ])
}

async fn put(flight: &mut Flight, options: Value, rows: &RecordBatch) -> Result<Value, tonic::Status> {
    flight.put(command(options), std::slice::from_ref(rows)).await
}

async fn holds(database: &Database) -> String {
    database.lines("select t::text from t order by 1").await.join(" ")
}

const WAYS: [(&str, &str, &str); 10] = [
    ("append", "atomic", "fail"),
    ("append", "batch", "fail"),
    ("append", "atomic", "reject"),
    ("append", "batch", "reject"),
    ("overwrite", "atomic", "fail"),
    ("overwrite", "batch", "fail"),
    ("overwrite", "atomic", "reject"),
    ("overwrite", "batch", "reject"),
    ("replace", "atomic", "fail"),
    ("replace", "atomic", "reject"),
];

fn options((mode, commit, on_bad_row): (&str, &str, &str)) -> Value {
    json!({"table": "t", "write_mode": mode, "commit": commit, "on_bad_row": on_bad_row})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_trigger_leaves_out_fails_the_load_or_is_counted_apart_in_every_mode() {
    let (database, _server, mut flight) = start().await;
    for way in WAYS {
        for filled in [false, true] {
            let says = format!("{way:?}, filled: {filled}");
            database
                .execute(&format!(
                    "drop table if exists t; create table t (id bigint primary key, v text); {SKIP} \
                     create trigger \"Skip it\" before insert on t for each row execute function skip()"
                ))
                .await;
            if filled {
                database.execute("insert into t values (9, 'x')").await;
            }
            let before = holds(&database).await;
            let two = rows(&[(1, "a"), (2, "no")]);
            let error = put(&mut flight, options(way), &two).await.unwrap_err();
            assert_eq!(error.code(), Code::FailedPrecondition, "{says}: {error:?}");
            let message = error.message();
            assert!(
                message.contains("trigger \"Skip it\" left out 1 of 2 rows"),
                "{says}: {message}"
            );
            assert_eq!(holds(&database).await, before, "{says}");
            let mut accepting = options(way);
            accepting["on_suppressed_row"] = json!("accept");
            let answer = put(&mut flight, accepting, &two).await;
            let answer = answer.unwrap_or_else(|error| panic!("{says}: {error:?}"));
            let counts = ["rows", "committed", "suppressed", "rejected", "affected"].map(|key| answer[key].clone());
            assert_eq!(
                counts,
                [json!(1), json!(1), json!(1), json!(0), json!(1)],
                "{says}: {answer}"
            );
            let kept = filled && way.0 != "replace";
            assert_eq!(
                holds(&database).await,
                if kept { "(1,a) (9,x)" } else { "(1,a)" },
                "{says}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_overwrite_only_rows_that_are_neither_stored_nor_the_same_are_suppressed() {
    let (database, _server, mut flight) = start().await;
    for way in WAYS.into_iter().filter(|(mode, ..)| *mode == "overwrite") {
        for skip_unchanged in [true, false] {
            let says = format!("{way:?}, {skip_unchanged}");
            database
                .execute(&format!(
                    "drop table if exists t; create table t (id bigint primary key, v text); {SKIP} \
                     insert into t values (1, 'same'), (2, 'old'), (3, 'old'); \
                     create trigger keep before update on t for each row execute function skip()"
                ))
                .await;
            let mut accepting = options(way);
            (accepting["on_suppressed_row"], accepting["skip_unchanged"]) = (json!("accept"), json!(skip_unchanged));
            // The last row of a key counts; a new row is not an update.
            let sent = rows(&[(1, "same"), (2, "new"), (3, "x"), (3, "no"), (4, "no")]);
            let answer = put(&mut flight, accepting.clone(), &sent).await.unwrap();
            let affected = if skip_unchanged { 2 } else { 3 };
            assert_eq!(
                (&answer["rows"], &answer["suppressed"], &answer["affected"]),
                (&json!(4), &json!(1), &json!(affected)),
                "{says}: {answer}"
            );
            assert_eq!(holds(&database).await, "(1,same) (2,new) (3,old) (4,no)", "{says}");
            accepting["version_column"] = json!("v");
            let older = rows(&[(1, "a"), (2, "newer")]);
            let answer = put(&mut flight, accepting, &older).await.unwrap();
            assert_eq!(
                (&answer["rows"], &answer["suppressed"]),
                (&json!(2), &Value::Null),
                "{says}: {answer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_keys_alone_and_triggers_against_redundant_updates_suppress_nothing() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create table t (id bigint, v text, primary key (id, v)); \
             create function pass() returns trigger language plpgsql as $$ begin return new; end $$; \
             create trigger pass before insert or update on t for each row execute function pass()",
        )
        .await;
    for _ in 0..2 {
        let answer = put(
            &mut flight,
            options(("overwrite", "atomic", "fail")),
            &rows(&[(1, "a"), (2, "no")]),
        )
        .await;
        assert_eq!(answer.unwrap()["rows"], 2);
    }
    database
        .execute(
            "drop table t; create table t (id bigint primary key, v text); \
             create trigger z before update on t for each row execute function suppress_redundant_updates_trigger()",
        )
        .await;
    for pass in [
        "",
        "create trigger pass before insert or update on t for each row execute function pass()",
    ] {
        database.execute(pass).await;
        for _ in 0..2 {
            let mut plain = options(("overwrite", "atomic", "fail"));
            plain["skip_unchanged"] = json!(false);
            let answer = put(&mut flight, plain, &rows(&[(1, "a"), (2, "b")])).await.unwrap();
            assert_eq!((&answer["rows"], &answer["suppressed"]), (&json!(2), &Value::Null));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one entry per case")]
async fn triggers_that_send_rows_elsewhere_are_named_on_partitions_views_and_parents_too() {
    let (database, _server, mut flight) = start().await;
    let cases = [
        (
            "create table t (id bigint, v text); create table child () inherits (t); \
             create function away() returns trigger language plpgsql as $$ begin insert into child values (new.*); return null; end $$; \
             create trigger away before insert on t for each row execute function away()",
            "away",
            0,
            "select count(*) from child",
        ),
        (
            "create table t (id bigint primary key, v text) partition by range (id); \
             create table low partition of t for values from (0) to (2); create table high partition of t default; \
             create function away() returns trigger language plpgsql as $$ begin return null; end $$; \
             create trigger part before insert on high for each row execute function away()",
            "part",
            1,
            "select 2 - count(*) from t",
        ),
        (
            "create table u (id bigint, v text); create view t as select * from u; \
             create function away() returns trigger language plpgsql as $$ begin \
                 if new.id > 1 then return null; end if; insert into u values (new.*); return new; end $$; \
             create trigger instead_of instead of insert on t for each row execute function away()",
            "instead_of",
            1,
            "select count(*) from u",
        ),
    ];
    for (table, trigger, stored, question) in cases {
        database
            .execute("drop schema public cascade; create schema public")
            .await;
        database.execute(table).await;
        let two = rows(&[(1, "a"), (2, "b")]);
        let mut load = options(("append", "atomic", "fail"));
        let planned = plan(&mut flight, load.clone(), &two).await.unwrap();
        assert!(
            planned["notes"]
                .to_string()
                .contains(&format!("rows that trigger \\\"{trigger}\\\" leaves out fail")),
            "{planned}"
        );
        let error = put(&mut flight, load.clone(), &two).await.unwrap_err();
        assert!(
            error.message().contains(&format!("trigger \"{trigger}\" left out")),
            "{error:?}"
        );
        load["on_suppressed_row"] = json!("accept");
        let planned = plan(&mut flight, load.clone(), &two).await.unwrap();
        assert!(
            planned["notes"].to_string().contains("are counted as suppressed"),
            "{planned}"
        );
        let answer = put(&mut flight, load, &two).await.unwrap();
        assert_eq!(
            (&answer["rows"], &answer["suppressed"]),
            (&json!(stored), &json!(2 - stored)),
            "{trigger}: {answer}"
        );
        let others = database.value(question).await;
        assert_eq!(others, if trigger == "away" { "2" } else { "1" }, "{trigger}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_option_is_taken_from_headers_metadata_and_configuration_and_refused_where_it_cannot_be_kept() {
    let database = Database::create().await;
    database
        .execute(&format!(
            "create table t (id bigint, v text); {SKIP} create trigger s before insert on t for each row execute function skip()"
        ))
        .await;
    let server = Server::start(&database).await;
    let two = rows(&[(1, "a"), (2, "no")]);
    let mut flight = Flight::connect(&server)
        .await
        .with_header("pgflight-on-suppressed-row", "accept");
    let answer = flight.put(path(&["t"]), std::slice::from_ref(&two)).await.unwrap();
    assert_eq!(answer["suppressed"], 1);
    let metadata = [("pgflight.on_suppressed_row".to_owned(), "accept".to_owned())];
    let schema = two
        .schema()
        .as_ref()
        .clone()
        .with_metadata(std::collections::HashMap::from(metadata));
    let told = RecordBatch::try_new(schema.into(), two.columns().to_vec()).unwrap();
    let mut flight = Flight::connect(&server).await;
    let answer = flight.put(path(&["t"]), std::slice::from_ref(&told)).await.unwrap();
    assert_eq!(answer["suppressed"], 1);
    let resumable = json!({"table": "t", "stream_id": "s", "on_suppressed_row": "accept"});
    let error = put(&mut flight, resumable, &two).await.unwrap_err();
    assert!(error.message().contains("needs commit: atomic"), "{error:?}");
    for settings in [
        json!({"on_suppressed_row": "accept"}),
        json!({"tables": {"t": {"on_suppressed_row": "accept"}}}),
    ] {
        let server = Server::start_with(database.uri(), settings).await;
        let mut flight = Flight::connect(&server).await;
        let answer = flight.put(path(&["t"]), std::slice::from_ref(&two)).await.unwrap();
        assert_eq!((&answer["rows"], &answer["suppressed"]), (&json!(1), &json!(1)));
    }
}
