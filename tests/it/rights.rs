//! `auth.rules` over real doors: what is not given is refused, and nothing is told about what is not shown.

mod cloudquery;
mod matrix;
mod peers;
mod provider;
mod queries;
mod reload;
mod tokens;

use arrow_flight::sql::{CommandStatementIngest, ProstMessageExt, TableDefinitionOptions};
use arrow_flight::{Criteria, FlightDescriptor, Ticket};
use futures::TryStreamExt;
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

use crate::flight_refusals::{refused, rows, tables};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, path, reason};
use crate::support::server::Server;

/// A server on which everybody is anonymous and may do this.
async fn server(rules: Value) -> (Database, Server, Flight) {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"auth": {"rules": rules}})).await;
    let flight = Flight::connect(&server).await;
    (database, server, flight)
}

fn rule(tables: &[&str], may: &[&str]) -> Value {
    json!({"principal": "anonymous", "tables": tables, "may": may})
}

fn trailer(status: &Status, name: &str) -> Option<String> {
    let value = status.metadata().get(name)?;
    Some(value.to_str().expect("ASCII").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_needs_the_right_of_its_write_mode() {
    let (database, _server, mut flight) = server(json!([rule(&["*.t"], &["append"])])).await;
    database
        .execute("create table t (id bigint primary key, name text)")
        .await;
    assert_eq!(flight.put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
    for (mode, right) in [
        ("overwrite", "overwrite"),
        ("replace", "replace"),
        ("overwrite-delete-stale", "overwrite"),
    ] {
        let put = flight
            .put(command(json!({"table": "t", "write_mode": mode})), &[rows()])
            .await;
        let status = put.clone().unwrap_err();
        refused(
            put,
            Code::PermissionDenied,
            &["an anonymous caller", "public.t", right, "auth.rules"],
        );
        assert_eq!(trailer(&status, "x-pg-table").as_deref(), Some("public.t"));
        assert_eq!(reason(&status), "NO_RIGHT");
    }
    let elsewhere = flight.put(path(&["public", "u"]), &[rows()]).await;
    refused(elsewhere, Code::PermissionDenied, &["may not append rows to public.u"]);
    assert_eq!(database.value("select count(*) from t").await, "2");
    assert_eq!(tables(&database).await, ["t"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_migrate_a_fitting_table_is_loaded_and_no_other_is_changed() {
    let may = ["append", "replace", "overwrite"];
    let (database, _server, mut flight) = server(json!([rule(&["public.*"], &may)])).await;
    let needs = ["create or change public.t", "right migrate"];
    refused(
        flight.put(path(&["t"]), &[rows()]).await,
        Code::PermissionDenied,
        &needs,
    );
    let batches = json!({"table": "t", "commit": "batch"});
    refused(
        flight.put(command(batches), &[rows()]).await,
        Code::PermissionDenied,
        &needs,
    );
    assert_eq!(tables(&database).await, Vec::<String>::new());
    database.execute("create table t (id bigint, name text)").await;
    assert_eq!(flight.put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
    let wider = batch(vec![("id", longs([3])), ("more", longs([3]))]);
    for commit in ["atomic", "batch"] {
        let put = flight
            .put(
                command(json!({"table": "t", "commit": commit})),
                std::slice::from_ref(&wider),
            )
            .await;
        refused(
            put,
            Code::PermissionDenied,
            &["would have to be changed", "more", "right migrate"],
        );
    }
    let ingest = |if_exists| CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: 1,
            if_exists,
        }),
        table: "t".to_owned(),
        ..CommandStatementIngest::default()
    };
    let renew = FlightDescriptor::new_cmd(ingest(3).as_any().encode_to_vec());
    let renewed = flight.send(messages(renew, std::slice::from_ref(&wider))).await;
    refused(
        renewed,
        Code::PermissionDenied,
        &["would have to be changed", "right migrate"],
    );
    let columns = "select count(*) from pg_attribute where attrelid = 't'::regclass and attnum > 0";
    assert_eq!(database.value(columns).await, "2");
    assert_eq!(database.value("select count(*) from t").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_migrate_creates_and_changes_tables() {
    let (database, _server, mut flight) = server(json!([rule(&["public.*"], &["append", "migrate"])])).await;
    assert_eq!(flight.put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
    let wider = batch(vec![("id", longs([3])), ("more", longs([3]))]);
    assert_eq!(flight.put(path(&["t"]), &[wider]).await.unwrap()["rows"], 1);
    refused(
        flight.put(path(&["made", "t"]), &[rows()]).await,
        Code::PermissionDenied,
        &["made.t"],
    );
    assert_eq!(
        database
            .value("select count(*) from pg_namespace where nspname = 'made'")
            .await,
        "0"
    );
}

/// Each way in which a door names a table, for one table.
async fn everything(flight: &mut Flight, table: &str) -> Vec<(&'static str, Status)> {
    let named = path(&["public", table]);
    let ticket = || Ticket::new(json!({"schema": "public", "table": table}).to_string());
    let put = |mode: &str| command(json!({"schema": "public", "table": table, "write_mode": mode}));
    let schema = {
        use base64::Engine as _;
        let mut bytes = Vec::new();
        let writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &rows().schema());
        writer.expect("it works").finish().expect("it works");
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let migrate = json!({"schema": "public", "table": table, "arrow_schema": schema});
    let mut dry = migrate.clone();
    dry["dry_run"] = json!(true);
    let stale = json!({"schema": "public", "table": table, "source_name": "s", "sync_time": "2026-01-01T00:00:00Z"});
    let records = json!({"schema": "public", "table": table, "all": true});
    let below =
        json!({"schema": "public", "table": "mine", "all": true, "relations": [{"table": table, "parent": "mine"}]});
    let open = json!({"stream_id": "x", "schema": "public", "table": table});
    let mut found = Vec::new();
    let mut note = |what, result: Result<(), Status>| found.push((what, result.expect_err(what)));
    for mode in ["append", "overwrite", "replace", "overwrite-delete-stale"] {
        note("put", flight.put(put(mode), &[rows()]).await.map(drop));
    }
    note(
        "GetFlightInfo",
        flight.client.get_flight_info(named.clone()).await.map(drop),
    );
    note("GetSchema", flight.client.get_schema(named).await.map(drop));
    note("DoGet", flight.client.do_get(ticket()).await.map(drop));
    for (what, body) in [
        ("pgflight.migrate", migrate),
        ("pgflight.migrate", dry),
        ("pgflight.delete_stale", stale),
        ("pgflight.delete_records", records),
        ("pgflight.delete_records", below),
        ("pgflight.stream.open", open),
    ] {
        note(what, flight.act(what, body).await.map(drop));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_one_may_not_see_answers_alike_whether_it_exists_or_not() {
    let every = ["append", "overwrite", "replace", "delete", "migrate", "read"];
    let (database, _server, mut flight) = server(json!([rule(&["public.mine"], &every)])).await;
    database
        .execute("create table mine (id bigint); create table there (id bigint primary key, name text)")
        .await;
    let there = everything(&mut flight, "there").await;
    let absent = everything(&mut flight, "gone_").await;
    for ((what, there), (_, absent)) in there.iter().zip(&absent) {
        assert_eq!(there.code(), Code::PermissionDenied, "{what}: {there:?}");
        assert_eq!(absent.code(), Code::PermissionDenied, "{what}: {absent:?}");
        assert_eq!(
            there.message().replace("there", "gone_"),
            absent.message().replace("there", "gone_"),
            "{what}"
        );
        for name in ["x-pg-table", "x-pgflight-reason", "x-pg-sqlstate", "x-pg-column"] {
            let told = trailer(there, name).map(|value| value.replace("there", "gone_"));
            assert_eq!(told, trailer(absent, name), "{what} {name}");
        }
    }
    assert_eq!(tables(&database).await, ["mine", "there"]);
}

async fn listed(flight: &mut Flight, criteria: &str) -> Vec<String> {
    let criteria = Criteria {
        expression: criteria.to_owned().into(),
    };
    let infos = flight
        .client
        .list_flights(criteria)
        .await
        .expect("it works")
        .into_inner();
    let infos: Vec<_> = infos.try_collect().await.expect("it works");
    infos
        .into_iter()
        .map(|info| info.flight_descriptor.expect("it works").path.join("."))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_show_what_one_has_a_right_to_and_reading_takes_the_right_to_read() {
    let rules = json!([rule(&["a.*"], &["append"]), rule(&["b.t1*"], &["read"])]);
    let (database, _server, mut flight) = server(rules).await;
    database.execute("create schema a; create schema b; create schema c; create table a.x (id bigint); create table c.x (id bigint)").await;
    database
        .execute(
            "do $$ begin for n in 1..250 loop execute format('create table b.t%s (id bigint)', n); end loop; end $$",
        )
        .await;
    let shown = listed(&mut flight, "").await;
    // t1, t10 to t19, t100 to t199.
    assert_eq!(shown.len(), 1 + 1 + 10 + 100, "{shown:?}");
    assert!(
        shown.iter().all(|name| name == "a.x" || name.starts_with("b.t1")),
        "{shown:?}"
    );
    assert_eq!(listed(&mut flight, "c").await, Vec::<String>::new());
    let get = |name: &str| Ticket::new(name.to_owned());
    assert!(flight.client.do_get(get("b.t1")).await.is_ok());
    let denied = flight.client.do_get(get("a.x")).await.map(drop).unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied, "{denied:?}");
    flight
        .client
        .get_schema(path(&["a", "x"]))
        .await
        .expect("who writes a table may know its columns");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_for_the_principal_that_the_token_names() {
    let database = Database::create().await;
    database.execute("create table t (id bigint, name text)").await;
    let auth = json!({"auth": {
        "tokens": [{"principal": "etl-1", "token": "one"}, {"principal": "bi", "token": "two"}, {"principal": "new", "token": "three"}],
        "rules": [
            {"principal": "etl-*", "tables": ["public.t"], "may": ["append"]},
            {"principal": "bi", "tables": ["*"], "may": ["read"]},
        ],
    }});
    let server = Server::start_with(database.uri(), auth).await;
    let flight = Flight::connect(&server).await;
    let as_who = |token: &str| flight.clone().with_header("authorization", &format!("Bearer {token}"));
    assert_eq!(as_who("one").put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
    let bi = as_who("two").put(path(&["t"]), &[rows()]).await;
    refused(
        bi,
        Code::PermissionDenied,
        &["principal \"bi\" may not append rows to public.t"],
    );
    let read = |token: &str| {
        let mut client = flight.client.clone();
        let mut request = Request::new(Ticket::new("t"));
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        async move { client.do_get(request).await.map(drop) }
    };
    read("two").await.expect("bi may read");
    assert_eq!(read("one").await.unwrap_err().code(), Code::PermissionDenied);
    let new = as_who("three").put(path(&["t"]), &[rows()]).await;
    refused(new, Code::PermissionDenied, &["principal \"new\" may do nothing here"]);
    // Streams are each principal's own, and asking for one names no table.
    let status = as_who("one")
        .act("pgflight.stream.status", json!({"stream_id": "x"}))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = as_who("three")
        .act("pgflight.stream.status", json!({"stream_id": "x"}))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}
