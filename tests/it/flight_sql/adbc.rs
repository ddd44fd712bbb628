//! The published ADBC driver for Flight SQL, from Python: what its users do, with nothing of ours on their side.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use serde_json::{Value, json};

use crate::roundtrip::column::{Column, Draw};
use crate::roundtrip::kinds::{Kind, schema};
use crate::roundtrip::{differing, expect, targets};
use crate::support::database::Database;
use crate::support::python::Python;
use crate::support::server::{Server, start};
use crate::tls::authority::Authority;

/// What one case of `adbc.py` saw.
async fn run(case: &str, server: &Server, arguments: &[&str]) -> Value {
    let uri = server.uri();
    let all: Vec<&str> = [case, &uri].into_iter().chain(arguments.iter().copied()).collect();
    told(&all).await
}

async fn told(arguments: &[&str]) -> Value {
    let printed = Python::pinned().run("adbc.py", arguments).await;
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_modes_do_what_they_say_each_twice() {
    let (database, server, _) = start().await;
    let (exists, missing) = ("ALREADY_EXISTS", "NOT_FOUND");
    assert_eq!(
        run("modes", &server, &[]).await,
        json!({
            "create_false": [2, exists], "create_true": [exists, exists],
            "append_false": [missing, missing], "append_true": [2, 2],
            "replace_false": [2, 2], "replace_true": [2, 2],
            "create_append_false": [2, 2], "create_append_true": [2, 2],
        })
    );
    for (table, rows) in [
        ("create_false", 2),
        ("append_true", 6),
        ("replace_true", 2),
        ("create_append_false", 4),
    ] {
        let count = database.value(&format!("select count(*) from {table}")).await;
        assert_eq!(count, rows.to_string(), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polars_writes_frames() {
    let (database, server, _) = start().await;
    assert_eq!(run("polars", &server, &[]).await, json!([2, 2, 2, "ALREADY_EXISTS"]));
    assert_eq!(
        database.lines("select id, name, kind from by_polars order by id").await,
        ["1|a|x", "2|<null>|y"]
    );
}

/// Over TLS, with a token, a million rows there and back.
#[tokio::test(flavor = "multi_thread")]
async fn polars_writes_and_reads_a_million_rows_over_tls() {
    let database = Database::create().await;
    let authority = Authority::new("ours");
    let issued = authority.issue("localhost");
    let settings = json!({
        "auth": {"tokens": [{"principal": "ann", "token": "s3cret"}]},
        "tls": {"cert": issued.cert_file, "key": issued.key_file},
        "flight_sql": {"queries": "read-only"},
    });
    let server = Server::start_with(database.uri(), settings).await;
    let uri = format!("grpc+tls://localhost:{}", server.address().port());
    let file = authority.file();
    let told = told(&["polars_million", &uri, "ann", "s3cret", &file]).await;
    assert_eq!(
        told,
        json!({"written": 1_000_000, "again": 1_000_000, "read": 2_000_000, "equal": true})
    );
    assert_eq!(
        database
            .value("select count(*) || ' ' || sum(id) || ' ' || count(distinct name) || ' ' || count(kind) from frame")
            .await,
        "2000000 999999000000 1000000 1333334"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_rows_arrive() {
    let (database, server, _) = start().await;
    assert_eq!(run("million", &server, &[]).await, json!(1_000_000));
    assert_eq!(
        database
            .value("select count(*) || ' ' || sum(id) || ' ' || count(distinct name) from million")
            .await,
        "1000000 499999500000 1000000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_is_created_where_the_driver_sends_its_schema() {
    let (database, server, _) = start().await;
    let told = run("empty", &server, &[]).await;
    assert_eq!(told["no_rows"], 0, "{told}");
    assert_eq!(database.value("select count(*) from no_rows").await, "0");
    // Without a batch the driver sends neither descriptor nor schema, so there is nothing to make a table of.
    for table in ["no_batch", "empty_table"] {
        let refusal = told[table].as_str().unwrap_or_else(|| panic!("{told}"));
        assert!(refusal.contains("ended before its first message"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_as_they_are() {
    let (database, server, _) = start().await;
    assert_eq!(run("odd_names", &server, &[]).await, json!(1));
    let row = "select \"a \"\"b\"\" c\", \"select\", \"Ünï\" from \"a schema\".\"t\"\"; drop table x; --\"";
    assert_eq!(database.lines(row).await, ["1|2|3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dictionary_columns_are_written_as_their_values() {
    let (database, server, _) = start().await;
    assert_eq!(run("dictionaries", &server, &[]).await, json!(4));
    assert_eq!(
        database.lines("select word, number from dictionaries").await,
        ["red|20", "<null>|10", "blue|<null>", "red|20"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_arrow_type_that_the_driver_carries_is_stored_as_a_put_stores_it() {
    let (database, server, _) = start().await;
    let directory = std::env::temp_dir().join(format!("pgflight-adbc-types-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut draw = Draw::new(16);
    let kinds = Kind::all();
    let columns: Vec<Column> = kinds.iter().map(|kind| kind.make(&mut draw, 12)).collect();
    for (at, column) in columns.iter().enumerate() {
        let (schema, targets) = (
            schema(std::slice::from_ref(column)),
            targets(std::slice::from_ref(column)),
        );
        let target = &targets[0];
        database
            .execute(&format!(
                "create table expected{at} ({} {}, n int8)",
                target.name, target.ty
            ))
            .await;
        expect(
            &database,
            &format!("expected{at}"),
            &targets,
            std::slice::from_ref(column),
            0,
        )
        .await;
        let number = Arc::new(Field::new("n", DataType::Int64, true));
        let fields: Fields = schema.fields().iter().cloned().chain([number]).collect();
        let numbers = Arc::new(Int64Array::from_iter_values(0..12));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![column.array.clone(), numbers]).unwrap();
        let file = std::fs::File::create(directory.join(format!("t{at}.arrow"))).unwrap();
        let mut writer = arrow::ipc::writer::FileWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
    }
    let told = run("files", &server, &[directory.to_str().unwrap()]).await;
    std::fs::remove_dir_all(&directory).unwrap();
    let mut carried = 0;
    for (at, (kind, column)) in kinds.iter().zip(&columns).enumerate() {
        let done = &told[format!("t{at}")];
        if done != &json!(12) {
            println!("{}: {done}", kind.name());
            continue;
        }
        carried += 1;
        let target = &targets(std::slice::from_ref(column))[0];
        let differing = differing(&database, &format!("t{at}"), &format!("expected{at}"), target).await;
        // The driver loses extension types of what the values of a dictionary hold.
        let lost = kind.name().starts_with("Document(") && kind.name().contains("Dictionary");
        assert!(differing.is_empty() || lost, "{}: {differing:?}", kind.name());
    }
    println!("{carried} of {} kinds", kinds.len());
    assert!(
        carried * 10 >= kinds.len() * 9,
        "the driver carries {carried} of {}",
        kinds.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_reader_in_the_middle_leaves_nothing() {
    let (database, server, _) = start().await;
    let told = run("broken", &server, &[]).await;
    assert!(told.as_str().unwrap().contains("the source is gone"), "{told}");
    assert_eq!(database.value("select to_regclass('broken') is null").await, "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_over_the_drivers_own_limit_needs_its_option() {
    let (database, server, _) = start().await;
    let told = run("large", &server, &[]).await;
    assert_eq!(told[1], 20, "{told}");
    assert!(told[0].is_string(), "the driver's own limit is 16 MiB: {told}");
    assert_eq!(
        database
            .value("select count(*) || ' ' || sum(length(bytes)) from large")
            .await,
        "20 20971520"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_autocommit_the_driver_says_that_there_is_none_and_ingests_commit() {
    let (database, server, _) = start().await;
    let told = run("transactions", &server, &[]).await;
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("Cannot disable autocommit"), "{told}");
    // The Python package carries out neither commit nor rollback then.
    assert_eq!(told["rollback"], "went through", "{told}");
    assert_eq!(database.value("select count(*) from committed").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_told_at_every_depth() {
    let (database, server, _) = start().await;
    database
        .execute(
            "create schema shop; create table shop.customer (id bigint primary key, name text); \
             create table shop.orders (id uuid primary key, customer bigint references shop.customer, price numeric(10,2)); \
             create table other (x int)",
        )
        .await;
    let name = database.value("select current_database()").await;
    let told = run("objects", &server, &[]).await;
    assert_eq!(told["catalogs"][0]["catalog_name"], json!(name));
    let schemas = |depth: &str| told[depth][0]["catalog_db_schemas"].as_array().unwrap().clone();
    let names: Vec<String> = schemas("db_schemas")
        .iter()
        .map(|schema| schema["db_schema_name"].to_string())
        .collect();
    assert_eq!(names, ["\"public\"", "\"shop\""]);
    let tables = |depth: &str, schema: usize| schemas(depth)[schema]["db_schema_tables"].as_array().unwrap().clone();
    let table_names: Vec<Value> = tables("tables", 1)
        .iter()
        .map(|table| table["table_name"].clone())
        .collect();
    assert_eq!(table_names, [json!("customer"), json!("orders")]);
    let orders = &tables("all", 1)[1];
    let columns: Vec<Value> = orders["table_columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["column_name"].clone())
        .collect();
    assert_eq!(columns, [json!("id"), json!("customer"), json!("price")]);
    let filtered = told["filtered"].to_string();
    assert!(
        filtered.contains("orders") && !filtered.contains("customer") && !filtered.contains("other"),
        "{filtered}"
    );
    assert_eq!(
        told["types"],
        json!(["FOREIGN TABLE", "MATERIALIZED VIEW", "TABLE", "VIEW"])
    );
    let schema = told["schema"].to_string();
    assert!(
        schema.contains("customer int64") && schema.contains("price decimal128(10, 2)"),
        "{schema}"
    );
    assert_eq!(told["missing"], "NOT_FOUND");
    assert_eq!((&told["catalog"], &told["current"]), (&json!(name), &json!("public")));
    assert!(told["other"].is_string(), "another schema is refused: {told}");
    assert_eq!(told["info"]["vendor_name"], "pgflight");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_reaches_the_user_in_words() {
    let (_database, server, _) = start().await;
    let told = run("refused", &server, &[]).await;
    let query = told["query"].as_str().unwrap();
    assert!(
        query.starts_with("NOT_IMPLEMENTED") && query.contains("connect to Postgres itself"),
        "{told}"
    );
    let temporary = told["temporary"].as_str().unwrap();
    assert!(temporary.contains("temporary table"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_run_where_they_may() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"flight_sql": {"queries": "read-write"}})).await;
    let told = run("queries", &server, &[]).await;
    assert_eq!(
        told["schema"],
        json!(["id int64", "name string", "price decimal128(10, 2)"])
    );
    assert_eq!(
        told["rows"],
        json!([["1", "a", "1.50"], ["2", "None", "2.25"], ["3", "c", "None"]])
    );
    assert_eq!(told["parameter"], json!([["c"]]));
    assert_eq!(told["nothing"], json!([0, ["id"]]));
    assert_eq!(told["error"], "NOT_FOUND", "{told}");
    assert_eq!(told["details"], "42P01", "{told}");
    assert_eq!(
        (&told["partitions"], &told["partition"]),
        (&json!([1, ["seven"]]), &json!([[7]]))
    );
    assert_eq!((&told["many"], &told["polars"]), (&json!(200_000), &json!(6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn options_travel_as_call_headers_and_as_metadata_of_the_schema() {
    let (database, server, _) = start().await;
    assert_eq!(run("headers", &server, &[]).await, json!([2, 2]));
    assert_eq!(
        database.lines("select id, name from keyed order by id").await,
        ["1|a", "2|<null>", "3|b"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_by_password_and_by_token_also_over_tls() {
    let database = Database::create().await;
    let auth = json!({"tokens": [{"principal": "ann", "token": "s3cret"}]});
    let expected = json!({"none": "UNAUTHENTICATED", "password": 2, "wrong": "UNAUTHENTICATED", "bearer": 2});
    let server = Server::start_with(database.uri(), json!({"auth": auth})).await;
    assert_eq!(run("login", &server, &["ann", "s3cret"]).await, expected);
    let authority = Authority::new("ours");
    let issued = authority.issue("localhost");
    let tls = json!({"cert": issued.cert_file, "key": issued.key_file});
    let server = Server::start_with(database.uri(), json!({"auth": auth, "tls": tls})).await;
    let uri = format!("grpc+tls://localhost:{}", server.address().port());
    let file = authority.file();
    let over_tls = told(&["login", &uri, "ann", "s3cret", &file]).await;
    assert_eq!(over_tls, expected);
    assert_eq!(database.value("select count(*) from t").await, "8");
}
