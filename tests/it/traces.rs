//! Spans of a load arrive at a collector, in the trace of the client that sent it, and say nothing of its rows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, texts};
use crate::support::process::{Process, Signal, free_address};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// Stands in every row.
const CANARY: &str = "canary-4711";

/// What came, request by request.
type Requests = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// A stand-in for a collector: takes OTLP over HTTP.
struct Collector {
    url: String,
    requests: Requests,
}

impl Collector {
    async fn start() -> Self {
        let requests = Requests::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let take = async |State(requests): State<Requests>, uri: Uri, headers: HeaderMap, body: Bytes| {
            let mut all = requests.lock().expect("no test panics with it");
            all.push((uri.path().to_owned(), headers, body));
        };
        let router = Router::new().fallback(take).with_state(Arc::clone(&requests));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, requests }
    }

    /// Every span that came, after its paths, types and contents were looked at.
    fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().expect("no test panics with it");
        let mut spans = Vec::new();
        for (path, headers, body) in requests.iter() {
            assert_eq!(path, "/v1/traces");
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let seen = body.windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes());
            assert!(!seen, "a value of a row is in a span");
            let request = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
            for resource in request.resource_spans {
                let attributes = resource.resource.expect("a resource").attributes;
                assert!(attributes.iter().any(|a| a.key == "service.name"), "{attributes:?}");
                spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        spans
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        other => panic!("{key} is {other:?} in {span:?}"),
    }
}

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

    let spans = collector.spans();
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
