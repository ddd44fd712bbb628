//! Spans of a load, for a trace: the load itself, and decode, plan, migrate, copy, merge, commit and embed in it.
//!
//! They have a target of their own, so that they go to the collector and never into the lines of the log, and cost next to nothing where
//! no collector is named. Names of tables and callers are in them, values of rows and texts of statements are not.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::model::caller::Caller;

/// Target of these spans.
pub(super) const TARGET: &str = "pgflight::spans";

/// A load from its first message to its answer, in the trace that its caller names (W3C `traceparent`).
pub(crate) fn load(caller: &Caller, door: &'static str) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "load",
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        db.system.name = "postgresql",
        // Its full name is known when it ends, and what is recorded twice is there twice.
        db.collection.name = Empty,
        pgflight.door = door,
        pgflight.principal = caller.principal.namespace(),
        pgflight.rows = Empty,
        pgflight.bytes = Empty,
        pgflight.retries = Empty,
    );
    if let Some(traceparent) = &caller.traceparent {
        let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_string())]);
        // Not set where nobody collects, which is no failure.
        drop(span.set_parent(TraceContextPropagator::new().extract(&carrier)));
    }
    span
}

/// What a load did, and the class of the failure it ended with.
pub(crate) fn ended(span: &Span, table: &str, (rows, bytes, retries): (u64, u64, u64), failure: Option<&str>) {
    span.record("db.collection.name", table);
    span.record("pgflight.rows", rows);
    span.record("pgflight.bytes", bytes);
    span.record("pgflight.retries", retries);
    match failure {
        None => span.record("otel.status_code", "OK"),
        Some(class) => span
            .record("otel.status_code", "ERROR")
            .record("otel.status_description", class),
    };
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name() -> Span {
                tracing::info_span!(target: TARGET, stringify!($name))
            }
        )*
    };
}

parts! {
    /// Arrow data are read from a message.
    decode
    /// The catalog is read and the change of the table planned.
    plan
    /// The table is made or changed.
    migrate
    /// Rows are encoded and sent by COPY.
    copy
    /// Staged rows are moved into the table.
    merge
    /// The transaction is committed.
    commit
    /// Texts are sent to the embeddings service.
    embed
}
