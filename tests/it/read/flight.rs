//! The Flight calls around a read: tickets, descriptions, lists, sizes of messages, and pyarrow as the client.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int32Type, Schema};
use arrow_flight::{Criteria, FlightDescriptor, FlightInfo, Ticket};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use serde_json::{Value, json};
use tonic::Code;

use super::{client, get, get_batches};
use crate::support::database::Database;
use crate::support::python::Python;
use crate::support::server::Server;

fn path(parts: &[&str]) -> FlightDescriptor {
    FlightDescriptor::new_path(parts.iter().map(|part| (*part).to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_leads_to_the_rows() {
    let database = Database::create().await;
    database
        .execute("create schema \"S x\"; create table \"S x\".\"a.b\" (id int4 not null, \"Näme\" text); insert into \"S x\".\"a.b\" select n, 'x' || n from generate_series(1, 1000) n; analyze \"S x\".\"a.b\"")
        .await;
    let server = Server::start(&database).await;
    let mut client = client(&server).await;
    let info = client
        .get_flight_info(path(&["S x", "a.b"]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (info.total_records, info.total_bytes),
        (-1, -1),
        "estimates are no facts"
    );
    let estimates: Value = serde_json::from_slice(&info.app_metadata).unwrap();
    assert_eq!(
        (&estimates["table"], &estimates["estimated_rows"]),
        (&json!("S x.a.b"), &json!(1000))
    );
    assert!(estimates["estimated_bytes"].as_u64().unwrap() >= 8192, "{estimates}");
    let endpoint = info.endpoint[0].clone();
    assert!(
        endpoint.location.is_empty(),
        "clients use the connection that they have"
    );
    let described = Schema::try_from(info).unwrap();
    let result = client.get_schema(path(&["S x", "a.b"])).await.unwrap().into_inner();
    assert_eq!(Schema::try_from(&result).unwrap(), described);
    assert!(!described.field(0).is_nullable() && described.field(1).is_nullable());
    let ticket: Value = serde_json::from_slice(&endpoint.ticket.unwrap().ticket).unwrap();
    let read = get(&server, ticket).await.unwrap();
    assert_eq!(*super::schema(&read), described);
    assert_eq!(read.num_rows(), 1000);
    let command = FlightDescriptor::new_cmd(r#"{"table":"a.b","schema":"S x","columns":["Näme"],"limit":3}"#);
    let info = client.get_flight_info(command).await.unwrap().into_inner();
    let ticket: Value = serde_json::from_slice(&info.endpoint[0].ticket.as_ref().unwrap().ticket).unwrap();
    let read = get(&server, ticket).await.unwrap();
    assert_eq!((read.num_rows(), read.num_columns()), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn views_partitions_and_generated_columns_are_read_and_other_relations_refused() {
    let database = Database::create().await;
    database
        .execute(
            "create table t (id int4, twice int4 generated always as (id * 2) stored, gone text); alter table t drop gone;
             insert into t values (1), (2); create view v as select id + 1 as next from t; create materialized view m as select * from t;
             create table p (id int4) partition by range (id); create table p1 partition of p for values from (0) to (10);
             create table p2 partition of p for values from (10) to (20); insert into p values (5), (15); create sequence s; create table e ();
             insert into e default values",
        )
        .await;
    let server = Server::start(&database).await;
    let numbers = async |table: &str, column: usize| {
        let read = get(&server, json!({"table": table})).await.unwrap();
        let mut numbers = read.column(column).as_primitive::<Int32Type>().values().to_vec();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers("t", 1).await, [2, 4]);
    assert_eq!(numbers("v", 0).await, [2, 3]);
    assert_eq!(numbers("m", 0).await, [1, 2]);
    assert_eq!(numbers("p", 0).await, [5, 15]);
    let empty = get_batches(&server, json!({"table": "e"})).await.unwrap();
    assert_eq!(empty.1.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    let refusal = async |table: &str| get(&server, json!({"table": table})).await.unwrap_err();
    let sequence = refusal("s").await;
    assert_eq!(sequence.code(), Code::InvalidArgument);
    assert!(sequence.message().contains("public.s is a sequence"), "{sequence}");
    let missing = refusal("nope").await;
    assert_eq!(missing.code(), Code::NotFound);
    assert!(missing.message().contains("no table public.nope"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_of_users_are_listed_whatever_their_number() {
    let database = Database::create().await;
    database
        .execute(
            "do $$ begin for n in 1..230 loop execute format('create table t%s (a int4)', lpad(n::text, 3, '0')); end loop; end $$;
             create schema other; create view other.v as select 1 as one; create table other.p (id int4) partition by list (id);
             create table other.p1 partition of other.p for values in (1)",
        )
        .await;
    let server = Server::start(&database).await;
    let list = async |criteria: &str| {
        let criteria = Criteria {
            expression: criteria.to_owned().into(),
        };
        let infos = client(&server).await.list_flights(criteria).await.unwrap().into_inner();
        let infos: Vec<FlightInfo> = infos.try_collect().await.unwrap();
        infos
            .into_iter()
            .map(|info| info.flight_descriptor.unwrap().path.join("."))
            .collect::<Vec<_>>()
    };
    let all = list("").await;
    assert_eq!(all.len(), 232);
    assert_eq!(all[..3], ["other.p", "other.v", "public.t001"]);
    assert!(all.is_sorted());
    assert_eq!(list("other").await, ["other.p", "other.v"]);
    assert_eq!(list("nowhere").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_stay_under_what_clients_take_by_default() {
    let database = Database::create().await;
    database
        .execute(
            "create table wide as select n, repeat(chr(65 + n % 26), (n * 7919) % 1500000) as pad, array_fill(n, array[n % 5000]) as list
             from generate_series(1, 60) n; insert into wide select n, null, null from generate_series(1, 100000) n",
        )
        .await;
    let server = Server::start(&database).await;
    let mut messages = client(&server)
        .await
        .do_get(Ticket::new("wide"))
        .await
        .unwrap()
        .into_inner();
    let mut largest = 0;
    while let Some(message) = messages.next().await {
        largest = largest.max(message.unwrap().encoded_len());
    }
    assert!(largest > 1 << 20 && largest < 4 << 20, "{largest} bytes");
    let read = get(&server, json!({"table": "wide", "columns": ["pad"]}))
        .await
        .unwrap();
    assert_eq!(*read.column(0).data_type(), DataType::Utf8);
    assert_eq!(read.num_rows(), 100_060);
    let lengths: usize = read.column(0).as_string::<i32>().iter().flatten().map(str::len).sum();
    let held = database.value("select sum(length(pad)) from wide").await;
    assert_eq!(lengths.to_string(), held);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tickets_are_answered_with_what_to_send() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut client = client(&server).await;
    for ticket in ["{", "a.b.c", r#"{"tabel": "t"}"#] {
        let status = client.do_get(Ticket::new(ticket)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("{\"table\": \"t\""), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pyarrow_reads_what_pyarrow_wrote() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let printed = Python::pinned().run("flight_get.py", &[&server.uri()]).await;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines,
        [
            "info public.peer 11 columns, 1 endpoint, 0 locations",
            "rows equal",
            "schema equal",
            "columns ['name', 'id'] 2 rows",
            "exact schema given",
            "listed ['public.peer']",
            "no table: FlightServerError or ArrowKeyError",
        ]
    );
}
