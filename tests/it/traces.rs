//! Spans of a load arrive at a collector, in the trace of the client that sent it, and say nothing of its rows.

use std::collections::BTreeSet;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;

use crate::support::collector::{Collector, attribute, hex};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, texts};
use crate::support::process::{Process, Signal, free_address};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// Stands in every row.
const CANARY: &str = "canary-4711";

/// Ends the server, which sends what it still has.
async fn end(process: &mut Process) {
    process.signal(Signal::Terminate);
    let code = process.exit_code(Duration::from_secs(40)).await;
    assert_eq!(code, Some(0), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spans_of_a_load_have_the_client_s_trace_and_no_value_of_a_row() {
    let (database, collector) = (Database::create().await, Collector::start().await);
    let mut process = Process::start(database.uri(), &[("traces.endpoint", &collector.url)]).await;
    let rows = |from: i64| batch(vec![("id", longs(from..from + 2)), ("name", texts(&[Some(CANARY); 2]))]);
    database.execute("create table t (id bigint primary key)").await;
    let to = || command(json!({"table": "t", "write_mode": "overwrite"}));
    let mut flight = Flight::reach(&process.http()).await;
    flight = flight.with_header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    flight.put(to(), &[rows(0)]).await.expect("into the empty table");
    flight.put(to(), &[rows(1)]).await.expect("into the filled one");
    let again = flight.put(command(json!({"table": "t"})), &[rows(1)]).await;
    again.expect_err("its keys are there");
    end(&mut process).await;
    assert!(!process.log().contains("pgflight::spans"), "{}", process.log());

    let spans = collector.spans(CANARY);
    let loads: Vec<&Span> = spans.iter().filter(|span| span.name == "load").collect();
    assert_eq!(loads.len(), 3, "{spans:#?}");
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE, "{span:?}");
    }
    for load in &loads {
        assert_eq!(hex(&load.parent_span_id), PARENT);
        assert_eq!(attribute(load, "db.collection.name"), "public.t");
        assert_eq!(attribute(load, "pgflight.door"), "flight");
    }
    let statuses: Vec<i32> = loads
        .iter()
        .map(|load| load.status.clone().expect("a status").code)
        .collect();
    assert_eq!(
        statuses,
        [StatusCode::Ok as i32, StatusCode::Ok as i32, StatusCode::Error as i32]
    );
    assert_eq!(attribute(loads[1], "pgflight.rows"), "2");
    let parts_of = |load: &Span| {
        let parts = spans.iter().filter(|span| span.parent_span_id == load.span_id);
        parts.map(|span| span.name.as_str()).collect::<BTreeSet<_>>()
    };
    assert_eq!(
        parts_of(loads[0]),
        BTreeSet::from(["decode", "plan", "migrate", "copy", "commit"])
    );
    assert_eq!(
        parts_of(loads[1]),
        BTreeSet::from(["decode", "plan", "copy", "merge", "commit"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_costs_no_load_and_no_end() {
    let database = Database::create().await;
    let endpoint = format!("http://{}", free_address());
    let mut process = Process::start(database.uri(), &[("traces.endpoint", &endpoint)]).await;
    let mut flight = Flight::reach(&process.http()).await;
    for _ in 0..2 {
        let rows = batch(vec![("id", longs(0..3))]);
        let put = flight.put(command(json!({"table": "t"})), &[rows]).await;
        assert_eq!(put.expect("it is taken")["committed"], 3);
    }
    end(&mut process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_the_sdk_are_understood() {
    let database = Database::create().await;
    for (sampler, sends) in [("parentbased_always_on", true), ("always_off", false)] {
        let collector = Collector::start().await;
        let mut process = Process::start_in(&[
            ("PGFLIGHT_CONNECTION_STRING", database.uri()),
            ("PGFLIGHT_TRACES_ENDPOINT", &collector.url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
            ("OTEL_TRACES_SAMPLER", sampler),
        ])
        .await;
        let rows = batch(vec![("id", longs(0..3))]);
        let mut flight = Flight::reach(&process.http()).await;
        flight
            .put(command(json!({"table": "t"})), &[rows])
            .await
            .expect("it is taken");
        end(&mut process).await;
        assert_eq!(collector.is_silent(), !sends, "{sampler}");
        if sends {
            let (token, environment) = collector.first("x-token", "deployment.environment.name");
            assert_eq!((token.as_deref(), environment.as_deref()), (Some("abc"), Some("test")));
        }
    }
}
