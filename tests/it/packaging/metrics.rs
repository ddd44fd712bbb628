//! Alerts and dashboard are made of metrics that the program has, with labels and values that it gives them, and each alert is
//! explained.

use std::collections::BTreeSet;

use pgflight::telemetry::names::{self, Kind, Metric};
use serde_json::Value;

use super::{read, words, yaml};

const RULES: &str = "deploy/prometheus/rules.yml";
const DASHBOARD: &str = "deploy/grafana/dashboards/pgflight.json";
/// Labels that Prometheus itself gives, and the buckets' own.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

/// The metric behind the name of a sample.
fn metric(sample: &str) -> &'static Metric {
    let found = names::ALL.iter().find(|metric| match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|part| sample.strip_suffix(part) == Some(metric.name)),
        Kind::Counter | Kind::Gauge => sample == metric.name,
    });
    found.unwrap_or_else(|| panic!("the program has no {sample}"))
}

/// The labels of a metric stand in backticks in its description.
fn labels(metric: &Metric) -> BTreeSet<&'static str> {
    metric.help.split('`').skip(1).step_by(2).collect()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Samples in an expression, each with what stands behind it.
fn samples(expression: &str) -> Vec<(&str, &str)> {
    let cut = expression.match_indices("pgflight_").filter_map(|(at, _)| {
        let (before, rest) = expression.split_at(at);
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        (!before.ends_with(is_of_name)).then(|| rest.split_at(end))
    });
    cut.collect()
}

/// Fails when an expression uses what the program does not have; returns the metrics that it uses.
fn judge(expression: &str) -> BTreeSet<&'static str> {
    let mut used = BTreeSet::new();
    let mut known: BTreeSet<&str> = OF_PROMETHEUS.into();
    for (sample, rest) in samples(expression) {
        let metric = metric(sample);
        used.insert(metric.name);
        known.extend(labels(metric));
        let Some(matchers) = rest.strip_prefix('{') else {
            continue;
        };
        let (matchers, _) = matchers.split_once('}').expect("a closing brace");
        for matcher in matchers.split("\",") {
            let (label, value) = matcher.split_once('=').expect("a matcher");
            let label = label.trim().trim_end_matches('!');
            if OF_PROMETHEUS.contains(&label) {
                continue;
            }
            assert!(
                labels(metric).contains(label),
                "{sample} has no label {label}: {expression}"
            );
            for value in value.trim_matches(['=', '~', '"']).split('|') {
                assert!(
                    metric.help.contains(value),
                    "{sample}: {label} is never {value:?}: {expression}"
                );
            }
        }
    }
    for by in expression.split("by (").skip(1) {
        let (by, _) = by.split_once(')').expect("a closing bracket");
        for label in by.split(',').map(str::trim) {
            assert!(known.contains(label), "nothing has the label {label}: {expression}");
        }
    }
    used
}

/// Labels in a legend or a summary.
fn judge_text(text: &str, known: &str) {
    for piece in text.split("{{").skip(1) {
        let (piece, _) = piece.split_once("}}").expect("closing braces");
        let piece = piece.trim();
        let label = piece.strip_prefix("$labels.").unwrap_or(piece);
        assert!(
            label.starts_with("$value") || label == "instance" || known.contains(label),
            "{text}: {known} gives no {label}"
        );
    }
}

fn alerts() -> Vec<serde_norway::Value> {
    let rules = yaml(RULES);
    let groups = rules["groups"].as_sequence().expect("groups").clone();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_sequence().expect("rules").clone());
    rules.collect()
}

#[test]
fn alerts_use_metrics_and_labels_that_the_program_has() {
    let mut used = BTreeSet::new();
    for alert in alerts() {
        let expression = alert["expr"].as_str().expect("an expression");
        used.extend(judge(expression));
        judge_text(alert["annotations"]["summary"].as_str().expect("a summary"), expression);
        assert!(matches!(
            alert["labels"]["severity"].as_str(),
            Some("critical" | "warning")
        ));
    }
    for wanted in [
        names::READY,
        names::STREAMS,
        names::EMBED_OLDEST_PENDING_SECONDS,
        names::POOL_WAITING,
        names::COMMIT_UNKNOWN,
    ] {
        assert!(used.contains(wanted), "nothing alerts about {wanted}");
    }
    let scraped = &yaml("deploy/prometheus/prometheus.yml");
    assert_eq!(words(&scraped["rule_files"]), ["rules.yml"]);
    let job = &scraped["scrape_configs"][0];
    assert_eq!(
        (&job["job_name"], &job["metrics_path"]),
        (&"pgflight".into(), &"/metrics".into())
    );
    assert_eq!(words(&job["static_configs"][0]["targets"]), ["pgflight:8816"]);
}

#[test]
fn every_alert_is_explained_and_nothing_else_is() {
    let page = read("docs/operations.md");
    let explained: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|title| title.starts_with("Pgflight"))
        .collect();
    let alerts = alerts();
    let named: Vec<&str> = alerts
        .iter()
        .map(|alert| alert["alert"].as_str().expect("a name"))
        .collect();
    assert_eq!(explained, named);
}

#[test]
fn the_dashboard_uses_metrics_and_labels_that_the_program_has_and_shows_each() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("the dashboard is JSON");
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().expect("an expression");
            used.extend(judge(expression));
            judge_text(target["legendFormat"].as_str().expect("a legend"), expression);
        }
    }
    let instances = dashboard["templating"]["list"][1]["definition"]
        .as_str()
        .expect("a query");
    used.extend(judge(instances));
    let shown: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    let missing: Vec<&&str> = shown.difference(&used).collect();
    assert!(missing.is_empty(), "the dashboard leaves out {missing:?}");
    let provider = yaml("deploy/grafana/provisioning/dashboards/pgflight.yaml");
    let compose = super::compose();
    let mounts = words(&compose["services"]["grafana"]["volumes"]);
    let path = provider["providers"][0]["options"]["path"].as_str().expect("a path");
    assert!(
        mounts.contains(&format!("./deploy/grafana/dashboards:{path}:ro")),
        "{mounts:?}"
    );
    let sources = yaml("deploy/grafana/provisioning/datasources/prometheus.yaml");
    assert_eq!(sources["datasources"][0]["url"], "http://prometheus:9090");
}

#[test]
#[should_panic(expected = "outcome is never \"lost\"")]
fn a_value_that_a_label_never_has_is_noticed() {
    judge("sum(rate(pgflight_streams_total{outcome=~\"failed|lost\"}[5m]))");
}

#[test]
#[should_panic(expected = "the program has no pgflight_stream_total")]
fn a_metric_that_does_not_exist_is_noticed() {
    judge("rate(pgflight_stream_total[5m])");
}
