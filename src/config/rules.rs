//! What a configuration must fulfil beyond the type of each key.

use serde_json::{Map, Value};

use super::error::Problem;
use super::raw::RawConfig;
use super::{Config, ListenAddress, access, embed};
use crate::model::ident::Ident;
use crate::model::options::StreamOptions;

/// Checks every rule and keeps what parsing made.
pub(super) fn checked(raw: RawConfig, tree: Map<String, Value>) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let listen = address("listen", &raw.listen, &mut problems);
    let admin_listen = match raw.admin_listen.as_str() {
        "off" => None,
        text => address("admin_listen", text, &mut problems),
    };
    let http_listen = match raw.http_listen.as_str() {
        "off" => None,
        text => address("http_listen", text, &mut problems),
    };
    distinct(
        listen.as_ref(),
        admin_listen.as_ref(),
        http_listen.as_ref(),
        &mut problems,
    );
    let schema = raw
        .schema
        .as_deref()
        .and_then(|name| ident("schema", name, &mut problems));
    let state_schema = ident("state_schema", &raw.state_schema, &mut problems);
    if let Some(Err(message)) = raw.traces.endpoint.as_deref().map(traces_url) {
        problems.push(Problem::new("traces.endpoint", message));
    }
    limits(&raw, &mut problems);
    tables(&raw, &mut problems);
    access::tokens(&raw.auth.tokens, &mut problems);
    access::jwt(raw.auth.jwt.as_ref(), &mut problems);
    access::session(raw.auth.session.as_ref(), &mut problems);
    let rights = access::rights(&raw.auth.rules, &mut problems);
    let embed_tables = embed::tables(&raw).unwrap_or_else(|found| {
        problems.extend(found);
        Vec::new()
    });
    match (listen, state_schema) {
        (Some(listen), Some(state_schema)) if problems.is_empty() => Ok(Config {
            raw,
            tree,
            listen,
            admin_listen,
            http_listen,
            schema,
            state_schema,
            embed_tables,
            rights,
        }),
        _ => Err(problems),
    }
}

/// What a server that listens as configured lays open, one sentence each.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, address) in config.doors().filter(|(_, address)| !address.is_local()) {
        if !config.is_authenticating() {
            warnings.push(format!(
                "`{key}` is {address}, which other machines can reach, and nobody is asked who calls (insecure: true): anybody may write"
            ));
        }
        if config.raw.tls.is_none() {
            warnings.push(format!(
                "`{key}` is {address}, which other machines can reach, and `tls` is not set: rows travel unencrypted"
            ));
        }
    }
    warnings
}

/// Where a collector takes traces: its address, with the path of OTLP where it has none.
pub(super) fn traces_url(endpoint: &str) -> Result<String, String> {
    if let Some(message) = embed::wrong_address(endpoint, "OTEL_EXPORTER_OTLP_HEADERS") {
        return Err(message);
    }
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    Ok(match rest.split_once('/') {
        None => format!("{endpoint}/v1/traces"),
        Some((_, "")) => format!("{endpoint}v1/traces"),
        Some(_) => endpoint.to_owned(),
    })
}

/// No two ports at one address.
fn distinct(
    listen: Option<&ListenAddress>,
    admin: Option<&ListenAddress>,
    http: Option<&ListenAddress>,
    problems: &mut Vec<Problem>,
) {
    let mut same = |key: &str, address: Option<&ListenAddress>, other: &str, taken: Option<&ListenAddress>| {
        if address.is_some() && address == taken && !is_any_port(address) {
            let message = format!("is the same address as `{other}`; use another port, or off");
            problems.push(Problem::new(key, message));
        }
    };
    same("admin_listen", admin, "listen", listen);
    same("http_listen", http, "listen", listen);
    same("http_listen", http, "admin_listen", admin);
    if let Some(ListenAddress::Unix(_)) = http {
        problems.push(Problem::new(
            "http_listen",
            "is a unix socket; allowed: host:port, or off",
        ));
    }
}

fn is_any_port(address: Option<&ListenAddress>) -> bool {
    matches!(address, Some(ListenAddress::Tcp { port: 0, .. }))
}

fn address(key: &str, text: &str, problems: &mut Vec<Problem>) -> Option<ListenAddress> {
    text.parse()
        .map_err(|message: String| problems.push(Problem::new(key, message)))
        .ok()
}

fn ident(key: &str, name: &str, problems: &mut Vec<Problem>) -> Option<Ident> {
    Ident::new(name)
        .map_err(|error| problems.push(Problem::new(key, format!("is {name:?}; {error}"))))
        .ok()
}

fn limits(raw: &RawConfig, problems: &mut Vec<Problem>) {
    let limits = &raw.limits;
    if limits.max_inflight_bytes < limits.max_message_bytes {
        let message = format!(
            "is {}, less than `limits.max_message_bytes` ({}): the largest message would never fit",
            limits.max_inflight_bytes, limits.max_message_bytes
        );
        problems.push(Problem::new("limits.max_inflight_bytes", message));
    }
    if limits.http2_connection_window_bytes / 4 < limits.http2_stream_window_bytes {
        let message = format!(
            "is {}, less than four times `limits.http2_stream_window_bytes` ({}): a connection could have too few calls at once",
            limits.http2_connection_window_bytes, limits.http2_stream_window_bytes
        );
        problems.push(Problem::new("limits.http2_connection_window_bytes", message));
    }
    if u32::from(raw.lanes.get()) > raw.pool.max_size {
        let message = format!(
            "is {}, more than the {} connections of `pool.max_size`",
            raw.lanes, raw.pool.max_size
        );
        problems.push(Problem::new("lanes", message));
    }
    for (key, span) in [
        ("limits.stream_idle_timeout", limits.stream_idle_timeout),
        ("limits.handshake_timeout", limits.handshake_timeout),
        ("limits.http2_keepalive_interval", limits.http2_keepalive_interval),
        ("limits.http2_keepalive_timeout", limits.http2_keepalive_timeout),
        ("pool.connect_timeout", raw.pool.connect_timeout),
        ("pool.acquire_timeout", raw.pool.acquire_timeout),
        ("batch_timeout", raw.batch_timeout),
        ("embeddings.request_timeout", raw.embeddings.request_timeout),
        ("embeddings.lease", raw.embeddings.lease),
        ("embeddings.poll_interval", raw.embeddings.poll_interval),
    ] {
        if span.is_zero() {
            problems.push(Problem::new(key, "is 0s; it must be longer"));
        }
    }
}

fn tables(raw: &RawConfig, problems: &mut Vec<Problem>) {
    for (name, options) in &raw.tables {
        for only_of_a_stream in StreamOptions::OF_ONE_STREAM {
            if options.names_set().contains(only_of_a_stream) {
                let key = format!("tables.{name}.{only_of_a_stream}");
                problems.push(Problem::new(
                    key,
                    "belongs to a single stream and cannot be set for a table",
                ));
            }
        }
        let lanes = options.lanes.map_or(0, |lanes| u32::from(lanes.get()));
        if lanes > raw.pool.max_size {
            let message = format!(
                "is {lanes}, more than the {} connections of `pool.max_size`",
                raw.pool.max_size
            );
            problems.push(Problem::new(format!("tables.{name}.lanes"), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_collector_gets_the_path_of_otlp_where_its_address_has_none() {
        let url =
            |endpoint: &str| Config::from_json(&json!({"traces": {"endpoint": endpoint}})).map(|c| c.traces_url());
        for (endpoint, expected) in [
            ("http://h:4318", "http://h:4318/v1/traces"),
            ("https://h/", "https://h/v1/traces"),
            ("https://h/otlp/v1/traces", "https://h/otlp/v1/traces"),
        ] {
            assert_eq!(url(endpoint).unwrap().as_deref(), Some(expected));
        }
        assert_eq!(Config::default().traces_url(), None);
        for (endpoint, why) in [("h:4318", "http://"), ("http://key@h", "OTEL_EXPORTER_OTLP_HEADERS")] {
            let error = url(endpoint).unwrap_err().to_string();
            assert!(error.contains("`traces.endpoint`") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_http_port_is_off_or_a_tcp_address_of_its_own() {
        let of = |address: &str| Config::from_json(&json!({"http_listen": address}));
        assert_eq!(Config::default().http_listen(), None);
        assert_eq!(of("off").unwrap().http_listen(), None);
        assert_eq!(
            of("127.0.0.1:0").unwrap().http_listen().unwrap().to_string(),
            "127.0.0.1:0"
        );
        for (address, why) in [
            ("127.0.0.1:8815", "the same address as `listen`"),
            ("127.0.0.1:8816", "the same address as `admin_listen`"),
            ("unix:/tmp/x", "a unix socket"),
            ("8817", "host:port"),
        ] {
            let error = of(address).unwrap_err().to_string();
            assert!(
                error.contains("`http_listen`") && error.contains(why),
                "{address}: {error}"
            );
        }
        let open = Config::from_json(&json!({"http_listen": "0.0.0.0:8817"})).unwrap();
        assert!(
            open.exposure()
                .unwrap_err()
                .starts_with("`http_listen` is 0.0.0.0:8817")
        );
        let known = open
            .with_spec(&json!({"auth": {"tokens": [{"principal": "a", "token": "x"}]}}))
            .unwrap();
        let warnings = known.exposure().unwrap();
        assert!(
            warnings.len() == 1 && warnings[0].contains("rows travel unencrypted"),
            "{warnings:?}"
        );
    }
}
