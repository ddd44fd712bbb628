//! Write throughput of the CloudQuery door beside that of the Go destination: the same calls from the same Go client over
//! gRPC, into two databases of one durable Postgres, in turn.
//!
//! ```text
//! PGFLIGHT_CLOUDQUERY_PEERS=<directory with cq-destination-postgresql> cargo bench --bench cloudquery
//! ```
//!
//! `ROWS` (500,000) is the number of rows, `RUNS` (1) how often all is done. `TABLE` is `all` (every column of the SDK's test
//! table) or `plain` (without structs and lists). `SPEC` is JSON that both destinations get beside the connection string.
//! Without `PGFLIGHT_CLOUDQUERY_PEERS` pgflight is measured alone. The line `psql \copy` says what Postgres itself needs
//! for the rows of the append: two connections read them from binary files. Needs Go, for the client.

mod cluster;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::NoTls;

use cluster::{Cluster, Failure};

/// A destination that is measured: a server, and a database of its own.
struct Destination {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    uri: String,
}

impl Destination {
    /// Starts a server by the arguments that the CLI would start it with.
    fn start(name: &'static str, program: &Path, uri: String) -> Result<Self, Failure> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command
            .args(["serve", "--network", "tcp", "--address", &address.to_string()])
            .args(["--log-level", "error", "--no-sentry"]);
        let child = command
            .env("CQ_TELEMETRY_LEVEL", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let started = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if started.elapsed() > Duration::from_secs(30) {
                return Err(format!("{name} does not listen").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self {
            name,
            child,
            address,
            uri,
        })
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One row of the result. CPU is in seconds.
struct Measured {
    what: String,
    name: &'static str,
    seconds: f64,
    server_cpu: f64,
    postgres_cpu: f64,
}

fn setting(name: &str, default: &str) -> String {
    let set = std::env::var(name).ok().filter(|value| !value.is_empty());
    set.unwrap_or_else(|| default.to_owned())
}

/// The Go client, built from tests/peers/go if it is not yet.
fn client() -> Result<PathBuf, Failure> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cloudquery-peers");
    let output = Command::new(script).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the Go client cannot be built, see above".into());
    }
    Ok(Path::new(String::from_utf8(output.stdout)?.trim()).join("writer-suite"))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let client = client()?;
    let cluster = Cluster::start()?;
    let mut destinations = vec![Destination::start(
        "pgflight",
        Path::new(env!("CARGO_BIN_EXE_pgflight")),
        database(&cluster, "pgflight").await?,
    )?];
    match setting("PGFLIGHT_CLOUDQUERY_PEERS", "").as_str() {
        "" => say("the Go destination is not measured: PGFLIGHT_CLOUDQUERY_PEERS is not set"),
        peers => {
            let program = Path::new(peers).join("cq-destination-postgresql");
            destinations.insert(0, Destination::start("go", &program, database(&cluster, "go").await?)?);
        }
    }
    let rows: usize = setting("ROWS", "500000").parse()?;
    say(&format!(
        "{:<44} {:<12} {:>9} {:>9} {:>12} {:>14} {:>6}",
        "rows", "way", "seconds", "krows/s", "server CPU s", "Postgres CPU s", "ratio"
    ));
    for _ in 0..setting("RUNS", "1").parse::<usize>()? {
        for case in setting("CASES", "append upsert").split(' ') {
            let mut all = Vec::new();
            for destination in &destinations {
                for statement in [format!("drop table if exists bench_{case}"), "checkpoint".to_owned()] {
                    run_sql(&destination.uri, &statement).await?;
                }
                all.extend(measure(&client, case, rows, destination, &cluster)?);
                if (case, destination.name) == ("append", "pgflight") {
                    all.push(floor(&cluster, destination, rows).await?);
                }
            }
            report(&all, rows);
        }
    }
    Ok(())
}

async fn run_sql(uri: &str, statement: &str) -> Result<(), Failure> {
    let (client, connection) = tokio_postgres::connect(uri, NoTls).await?;
    tokio::spawn(connection);
    Ok(client.batch_execute(statement).await?)
}

async fn database(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    run_sql(cluster.uri(), &format!("create database {name}")).await?;
    let (server, _) = cluster.uri().rsplit_once('/').ok_or("an odd address")?;
    Ok(format!("{server}/{name}"))
}

/// Lets the client send everything to one destination; it prints a line per call.
fn measure(
    client: &Path,
    case: &str,
    rows: usize,
    to: &Destination,
    cluster: &Cluster,
) -> Result<Vec<Measured>, Failure> {
    let mut spec: Value = serde_json::from_str(&setting("SPEC", "{}"))?;
    spec["connection_string"] = json!(to.uri);
    let servers = json!([{"name": to.name, "address": to.address.to_string(), "spec": spec.to_string()}]);
    let mut running = Command::new(client)
        .args([
            "-test.run",
            "^TestThroughput$",
            "-test.v",
            "-test.count=1",
            "-test.timeout=2h",
        ])
        .env("PGFLIGHT_BENCH_SERVERS", servers.to_string())
        .env("PGFLIGHT_BENCH_ROWS", rows.to_string())
        .env("PGFLIGHT_BENCH_CASE", case)
        .env("PGFLIGHT_BENCH_TABLE", setting("TABLE", "all"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = running.stdout.take().ok_or("the client has no output")?;
    let mut before = used(to, cluster)?;
    let mut all = Vec::new();
    for line in BufReader::new(output).lines() {
        let Some(Ok(line)) = line?.strip_prefix("measured ").map(serde_json::from_str::<Value>) else {
            continue;
        };
        let after = used(to, cluster)?;
        let what = match (case, line["call"].as_u64()) {
            ("upsert", Some(1)) => "upsert, empty table".to_owned(),
            ("upsert", _) => "upsert, every row changed".to_owned(),
            (case, _) => case.to_owned(),
        };
        all.push(Measured {
            what: format!("{what}, {} columns", line["columns"]),
            name: to.name,
            seconds: line["seconds"][to.name].as_f64().ok_or("a line without a time")?,
            server_cpu: after.0 - before.0,
            postgres_cpu: after.1 - before.1,
        });
        before = after;
    }
    match running.wait()?.success() && !all.is_empty() {
        true => Ok(all),
        false => Err(format!("the client failed against {}", to.name).into()),
    }
}

/// CPU seconds of a destination and of Postgres until now.
fn used(destination: &Destination, cluster: &Cluster) -> Result<(f64, f64), Failure> {
    let postgres = u32::try_from(cluster.about["pid"].as_u64().ok_or("no pid")?)?;
    Ok((cluster::cpu(destination.child.id())?, cluster::cpu(postgres)?))
}

/// What Postgres itself needs for the rows that are in the table: two connections that read them from binary files.
async fn floor(cluster: &Cluster, destination: &Destination, rows: usize) -> Result<Measured, Failure> {
    let half = |n: usize| std::env::temp_dir().join(format!("pgflight-bench-{}-{n}.copy", std::process::id()));
    let psql = |command: String| -> Result<Child, Failure> {
        let mut psql = cluster.program("psql");
        Ok(psql.args(["-qX", &destination.uri, "-c", &command]).spawn()?)
    };
    let wait = |children: Vec<Child>| -> Result<(), Failure> {
        for mut child in children {
            if !child.wait()?.success() {
                return Err("psql failed".into());
            }
        }
        Ok(())
    };
    let copy = |n: usize, what: &str| psql(format!("\\copy {what} '{}' with (format binary)", half(n).display()));
    for n in 0..2 {
        let part = format!("(select * from bench_append where (id < {}) = ({n} = 0)) to", rows / 2);
        wait(vec![copy(n, &part)?])?;
    }
    run_sql(&destination.uri, "create table floor (like bench_append including all)").await?;
    run_sql(&destination.uri, "checkpoint").await?;
    let before = used(destination, cluster)?;
    let started = Instant::now();
    wait(vec![copy(0, "floor from")?, copy(1, "floor from")?])?;
    let seconds = started.elapsed().as_secs_f64();
    let after = used(destination, cluster)?;
    run_sql(&destination.uri, "drop table floor").await?;
    for n in 0..2 {
        std::fs::remove_file(half(n))?;
    }
    Ok(Measured {
        what: "the rows of the append".to_owned(),
        name: "psql \\copy",
        seconds,
        server_cpu: 0.0,
        postgres_cpu: after.1 - before.1,
    })
}

fn report(all: &[Measured], rows: usize) {
    for one in all {
        let go = all.iter().find(|other| other.what == one.what && other.name == "go");
        let ratio = go.map_or_else(String::new, |go| format!("{:.1}", go.seconds / one.seconds));
        say(&format!(
            "{:<44} {:<12} {:>9.2} {:>9.1} {:>12.1} {:>14.1} {ratio:>6}",
            format!("{rows}, {}", one.what),
            one.name,
            one.seconds,
            rows as f64 / 1000.0 / one.seconds,
            one.server_cpu,
            one.postgres_cpu,
        ));
    }
}

fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
