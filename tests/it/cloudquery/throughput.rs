//! A measurement, not a test: the same Write calls from a Go client to the Go destination and to pgflight, one after the
//! other, into two databases of one durable server. Run by hand on a quiet machine:
//!
//! ```text
//! PGFLIGHT_CLOUDQUERY_PEERS=<directory with cq-destination-postgresql> PGFLIGHT_BENCH_SERVER=target/release/pgflight \
//!     PGFLIGHT_BENCH_CASE=append cargo test --test it cloudquery::throughput -- --ignored --nocapture
//! ```
//!
//! `PGFLIGHT_BENCH_CASE` is `append` or `upsert`, `PGFLIGHT_BENCH_ROWS` the number of rows (500,000 unless set), and
//! `PGFLIGHT_BENCH_TABLE=plain` leaves structs and lists out of the SDK's test table. Without
//! `PGFLIGHT_CLOUDQUERY_PEERS` pgflight is measured alone. Both servers and the client are optimized programs, so the
//! profile of the tests does not matter.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::real::program;
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A server that listens on `address` soon.
async fn serve(program: PathBuf, arguments: &[&str], address: std::net::SocketAddr) -> tokio::process::Child {
    let child = tokio::process::Command::new(&program)
        .args(arguments)
        .env("CQ_TELEMETRY_LEVEL", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    child
}

fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: needs a release binary (PGFLIGHT_BENCH_SERVER), the Go destination and a quiet machine"]
async fn throughput_against_the_go_destination() {
    let cluster = Cluster::private(&Options {
        settings: vec!["max_wal_size=8GB".to_owned(), "shared_buffers=512MB".to_owned()],
        ..Options::default()
    });
    let ours = Database::create_in(&cluster).await;
    let (our_address, go_address) = (free_address(), free_address());
    let binary = setting("PGFLIGHT_BENCH_SERVER").expect("PGFLIGHT_BENCH_SERVER names a release binary of pgflight");
    let (listen, go_listen) = (our_address.to_string(), go_address.to_string());
    let arguments = ["serve", "--network", "tcp", "--address", &listen];
    let mut servers = vec![serve(binary.into(), &arguments, our_address).await];
    let mut named = vec![("pgflight", our_address, ours.uri().to_owned())];
    let theirs = Database::create_in(&cluster).await;
    if let Some(peers) = setting("PGFLIGHT_CLOUDQUERY_PEERS") {
        let program = PathBuf::from(peers).join("cq-destination-postgresql");
        let arguments = [
            "serve",
            "--network",
            "tcp",
            "--address",
            &go_listen,
            "--no-sentry",
            "--log-level",
            "error",
        ];
        servers.push(serve(program, &arguments, go_address).await);
        named.push(("go", go_address, theirs.uri().to_owned()));
    }
    let named: Vec<_> = named
        .iter()
        .map(|(name, address, uri)| {
            let spec = json!({"connection_string": uri}).to_string();
            json!({"name": name, "address": address.to_string(), "spec": spec})
        })
        .collect();
    let status = tokio::process::Command::new(program("writer-suite"))
        .args(["-test.run", "^TestThroughput$", "-test.v", "-test.count=1"])
        .env("PGFLIGHT_BENCH_SERVERS", json!(named).to_string())
        .env(
            "PGFLIGHT_BENCH_ROWS",
            setting("PGFLIGHT_BENCH_ROWS").unwrap_or_else(|| "500000".to_owned()),
        )
        .env(
            "PGFLIGHT_BENCH_CASE",
            setting("PGFLIGHT_BENCH_CASE").unwrap_or_else(|| "append".to_owned()),
        )
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .expect("the client starts");
    assert!(status.success(), "the client ended with {status}");
    for mut server in servers {
        server.kill().await.expect("a server ends");
    }
}
