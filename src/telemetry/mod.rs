//! Logs and metrics: installed once at start, used everywhere through `tracing` and `metrics`.
//!
//! Values of rows, passwords and whole statements with values never go through here.

mod json;
pub mod names;
pub mod spans;

use std::io::{self, IsTerminal};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry_sdk::trace::SdkTracer;
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{Config, LogFormat};

/// Telemetry that could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.filter` is not a filter.
    #[error(
        "configuration: `log.filter` is {found:?}, which is not a filter such as `pgflight=debug,h2=warn`: {source}"
    )]
    Filter {
        /// The filter.
        found: String,
        /// What is wrong.
        source: ParseError,
    },
    /// Another subscriber is installed in this process.
    #[error("the log cannot be installed: {0}")]
    Log(#[from] TryInitError),
    /// Another recorder is installed in this process.
    #[error("metrics cannot be installed: {0}")]
    Metrics(#[from] BuildError),
}

/// Installs the log for this process: text on standard error, or JSON lines on standard output. With a tracer, spans go to it.
///
/// # Errors
/// [`TelemetryError::Filter`] or [`TelemetryError::Log`].
pub fn install_log(config: &Config, tracer: Option<SdkTracer>) -> Result<(), TelemetryError> {
    let directives = directives(config);
    let filter = EnvFilter::builder()
        .parse(&directives)
        .map_err(|source| TelemetryError::Filter {
            found: config.raw().log.filter.clone().unwrap_or_default(),
            source,
        })?;
    let lines = match config.raw().log.format {
        LogFormat::Text => {
            let ansi = io::stderr().is_terminal();
            fmt::layer().with_ansi(ansi).with_writer(io::stderr).boxed()
        }
        LogFormat::Json => fmt::layer()
            .event_format(json::JsonLine)
            .with_writer(io::stdout)
            .boxed(),
    };
    let of_traces = filter_fn(|metadata| metadata.target() == spans::TARGET);
    let spans = tracer.map(|tracer| {
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        layer
            .with_location(false)
            .with_threads(false)
            .with_filter(of_traces.clone())
    });
    tracing_subscriber::registry()
        .with(lines.with_filter(filter.and(of_traces.not())))
        .with(spans)
        .try_init()?;
    Ok(())
}

/// The level, pgx's level for what talks to Postgres, and the filter; a later directive wins.
fn directives(config: &Config) -> String {
    let log = &config.raw().log;
    let mut directives = log.level.as_str().to_owned();
    match config.raw().pgx_log_level.as_deref() {
        None | Some("") => {}
        Some(level) => {
            let level = if level == "none" { "off" } else { level };
            directives.push_str(&format!(",pgflight::postgres={level},tokio_postgres={level}"));
        }
    }
    if let Some(filter) = &log.filter {
        directives.push(',');
        directives.push_str(filter);
    }
    directives
}

/// Bucket bounds of durations in seconds: a local one-row commit takes 1 ms, a large merge minutes.
const SECONDS_BUCKETS: [f64; 12] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

/// Bucket bounds of texts in one request: 2048 is the most that any service takes.
const INPUTS_BUCKETS: [f64; 7] = [1.0, 8.0, 32.0, 128.0, 256.0, 512.0, 2048.0];

/// Installs the metrics recorder for this process and describes every metric. The handle's `render()` is the metrics page.
///
/// The caller must call `run_upkeep()` on the handle from time to time (seconds), or histograms keep every value.
///
/// # Errors
/// [`TelemetryError::Metrics`].
pub fn install_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(names::EMBED_REQUEST_INPUTS.to_owned()), &INPUTS_BUCKETS)?
        .install_recorder()?;
    names::describe();
    metrics::gauge!(names::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pgx_level_and_filter_are_added_to_the_level() {
        let spec = json!({"log": {"level": "warn", "filter": "h2=error"}, "pgx_log_level": "None"});
        let config = Config::from_json(&spec).unwrap();
        assert_eq!(
            directives(&config),
            "warn,pgflight::postgres=off,tokio_postgres=off,h2=error"
        );
        assert_eq!(directives(&Config::default()), "info");
    }

    #[test]
    fn a_filter_that_is_none_is_refused_with_its_key() {
        let config = Config::from_json(&json!({"log": {"filter": "a=b=c"}})).unwrap();
        let error = install_log(&config, None).unwrap_err().to_string();
        assert!(error.starts_with("configuration: `log.filter` is \"a=b=c\""), "{error}");
    }

    #[test]
    fn the_metrics_page_describes_what_it_shows() {
        let handle = install_metrics().unwrap();
        metrics::counter!(names::ROWS_COMMITTED).increment(3);
        metrics::histogram!(names::COMMIT_SECONDS).record(0.002);
        let page = handle.render();
        assert!(page.contains("# HELP pgflight_rows_committed_total "), "{page}");
        assert!(page.contains("pgflight_rows_committed_total 3\n"), "{page}");
        assert!(
            page.contains("pgflight_commit_seconds_bucket{le=\"0.005\"} 1\n"),
            "{page}"
        );
        assert!(
            page.contains(&format!(
                "pgflight_build_info{{version=\"{}\"}} 1\n",
                env!("CARGO_PKG_VERSION")
            )),
            "{page}"
        );
    }
}
