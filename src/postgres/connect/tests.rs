//! Connection strings: what every parameter becomes, and every refusal. Nothing here connects, except to a closed port.

use std::time::Duration;

use super::*;
use crate::config::FixedSource;

fn source() -> FixedSource {
    FixedSource::new()
        .with_variable("USER", "me")
        .with_variable("HOME", "/home/me")
}

fn plan_from(text: &str, source: &FixedSource) -> Result<ConnectPlan, ConnectError> {
    ConnectPlan::new(text, Duration::from_secs(5), source)
}

fn plan(text: &str) -> ConnectPlan {
    plan_from(text, &source()).unwrap()
}

fn refusal(text: &str) -> String {
    plan_from(text, &source()).unwrap_err().to_string()
}

fn targets(plan: &ConnectPlan) -> Vec<String> {
    plan.targets.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_string_means_libpqs_defaults() {
    let plan = plan("");
    assert_eq!((plan.user(), plan.database()), ("me", "me"));
    assert_eq!(targets(&plan), ["localhost:5432"]);
    assert_eq!(
        (plan.tls.mode, plan.connect_timeout),
        (SslMode::Prefer, Some(Duration::from_secs(5)))
    );
    let with_socket = source().with_file("/var/run/postgresql/.s.PGSQL.5432", "");
    let plan = plan_from("", &with_socket).unwrap();
    assert_eq!(targets(&plan), ["/var/run/postgresql/.s.PGSQL.5432"]);
}

#[test]
fn several_hosts_keep_their_order_and_ports() {
    let plan = plan("postgres://u@a:1,b,[::1]:3/d?target_session_attrs=primary&load_balance_hosts=random");
    assert_eq!(targets(&plan), ["a:1", "b:5432", "[::1]:3"]);
    assert_eq!((plan.session_attrs, plan.shuffle), (SessionAttrs::Primary, true));
    let plan = self::plan("host=a,/run/pg port=7 hostaddr=127.0.0.1,");
    assert_eq!(targets(&plan), ["a:7", "/run/pg/.s.PGSQL.7"]);
    assert_eq!(plan.targets[0].hostaddr.unwrap().to_string(), "127.0.0.1");
}

#[test]
fn the_password_file_serves_each_host() {
    let source = source().with_file("/home/me/.pgpass", "a:5432:d:u:one\nlocalhost:5432:*:*:two\n");
    let plan = plan_from("host=a,b,/tmp user=u dbname=d", &source).unwrap();
    let shown: Vec<Option<&str>> = plan
        .targets
        .iter()
        .map(|target| target.password.as_ref().map(|secret| secret.expose()))
        .collect();
    assert_eq!(shown, [Some("one"), None, Some("two")]);
    let open = self::source().with_file_mode("/home/me/.pgpass", "*:*:*:*:x", 0o644);
    let plan = plan_from("host=localhost", &open).unwrap();
    assert!(plan.targets[0].password.is_none());
    assert!(
        plan.warnings[0].contains("/home/me/.pgpass is ignored"),
        "{:?}",
        plan.warnings
    );
}

#[test]
fn pool_parameters_are_taken_and_the_rest_becomes_runtime_parameters() {
    let plan = plan(
        "host=localhost pool_max_conns=7 pool_max_conn_lifetime=1h pool_max_conn_idle_time=30m statement_cache_capacity=1 \
         options='-c geqo=off' search_path='a, b' statement_timeout=5s application_name=x",
    );
    assert_eq!(
        plan.pool,
        PoolHints {
            max_size: Some(7),
            max_lifetime: Some(Duration::from_secs(3600)),
            idle_timeout: Some(Duration::from_secs(1800)),
        }
    );
    assert_eq!(
        plan.options(),
        r"-c geqo=off -c search_path=a,\ b -c statement_timeout=5s"
    );
    assert_eq!(
        plan.warnings,
        ["statement_cache_capacity in the connection string is ignored"]
    );
    assert_eq!(plan.base.get_application_name(), Some("x"));
}

#[test]
fn every_sslmode_is_read_with_libpqs_conditions() {
    for mode in ["disable", "allow", "prefer", "require"] {
        let plan = plan(&format!("host=localhost sslmode={mode}"));
        assert_eq!((plan.tls.mode.as_str(), plan.tls.verifies_chain), (mode, false));
    }
    for mode in ["verify-ca", "verify-full"] {
        assert!(refusal(&format!("sslmode={mode}")).contains("needs a root certificate"));
    }
    assert_eq!(
        refusal("sslmode=verify"),
        "connection string: sslmode is \"verify\"; allowed: disable, allow, prefer, require, verify-ca, verify-full"
    );
    assert!(refusal("sslmode=require sslrootcert=system").contains("too weak for sslrootcert=system"));
    assert!(refusal("sslmode=prefer sslnegotiation=direct").contains("too weak for sslnegotiation=direct"));
    assert!(refusal("sslrootcert=/nope").contains("cannot read the root certificates /nope"));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let source = source().with_file("/c", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let open = source.with_file_mode("/k", "x", 0o644);
    let error = plan_from("sslcert=/c sslkey=/k", &open).unwrap_err().to_string();
    assert!(error.contains("sslkey /k is open to group or others"), "{error}");
}

#[test]
fn values_that_do_not_fit_are_refused_with_what_is_allowed() {
    for (text, part) in [
        ("port=0", "port is \"0\"; allowed: a number from 1 to 65535"),
        ("port=1,2", "port has 2 entries for 1 hosts"),
        ("host=a,b hostaddr=127.0.0.1", "host has 2 entries and hostaddr 1"),
        ("hostaddr=x", "hostaddr \"x\" is not an IP address"),
        ("connect_timeout=x", "connect_timeout is \"x\"; allowed: a whole number"),
        (
            "target_session_attrs=master",
            "allowed: any, read-write, read-only, primary, standby, prefer-standby",
        ),
        ("client_encoding=LATIN1", "client_encoding is \"LATIN1\"; allowed: UTF8"),
        ("require_auth=scram-sha-256", "require_auth is not supported"),
        ("gssencmode=require", "gssencmode=require is not supported"),
        ("pool_max_conns=0", "pool_max_conns is 0"),
        (
            "pool_max_conn_lifetime=1",
            "pool_max_conn_lifetime: \"1\" is not a duration",
        ),
        ("x", "expected `=`"),
        (
            "a-b=1",
            "a parameter name has characters other than letters, digits, `_` and `.`",
        ),
        ("sslpassword=x", "sslpassword is not supported"),
    ] {
        let error = refusal(text);
        assert!(
            error.starts_with("connection string: ") && error.contains(part),
            "{text}: {error}"
        );
    }
}

#[test]
fn timeouts_follow_libpq() {
    for (text, wanted) in [
        ("connect_timeout=0", None),
        ("connect_timeout=1", Some(2)),
        ("connect_timeout=7", Some(7)),
    ] {
        assert_eq!(plan(text).connect_timeout, wanted.map(Duration::from_secs), "{text}");
    }
}

#[test]
fn an_unverified_connection_to_another_machine_is_warned_about() {
    assert_eq!(plan("host=127.0.0.1").warnings, Vec::<String>::new());
    let warnings = plan("host=db.example").warnings;
    assert!(
        warnings[0].contains("sslmode is prefer and db.example:5432 is another machine"),
        "{warnings:?}"
    );
}

#[test]
fn a_plan_prints_without_its_passwords() {
    let plan = plan("postgres://u:hunter2@localhost/d");
    assert!(!format!("{plan:?} {:?}", Connector::new(plan.clone())).contains("hunter2"));
    assert_eq!(plan.redacted, "postgres://u:[redacted]@localhost/d");
}

#[tokio::test]
async fn unreachable_unknown_and_silent_hosts_are_told_apart() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    // Bound and never answered: the login times out.
    let silent = ConnectPlan::new(
        &format!("host=127.0.0.1 port={port}"),
        Duration::from_millis(200),
        &source(),
    )
    .unwrap();
    let error = Connector::new(silent).connect().await.err().unwrap();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
    drop(free);
    let error = Connector::new(plan(&format!("host=127.0.0.1 port={port}")))
        .connect()
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    let error = Connector::new(plan("host=no-such-host.invalid"))
        .connect()
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ConnectError::Dns { .. }), "{error}");
    let error = Connector::new(plan(&format!("host=/nonexistent,127.0.0.1 port={port}")))
        .connect()
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, ConnectError::AllFailed(errors) if errors.len() == 2),
        "{error}"
    );
    assert!(error.is_transient());
}
