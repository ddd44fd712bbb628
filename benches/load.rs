//! The speed of a whole load against the speed line, `psql \copy` of the same rows, in one run on one machine.
//!
//! Starts a private Postgres with its default (durable) settings and the release server as a process of its own, and loads
//! TPC-H lineitem by every way in turn, several times. Ratios of medians are what counts; absolute times only compare within
//! one run. `cargo bench --bench load`; `SF` (0.2) sets the rows, `RUNS` (5) the repetitions, `ONLY` picks ways by name.

mod cluster;
mod server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use tonic::transport::Channel;

use cluster::{Cluster, Failure};

/// Rows per record batch: what a Parquet reader or a data frame library sends.
const BATCH_ROWS: usize = 16_384;

/// The server as users run it.
struct Server {
    child: Child,
    client: FlightServiceClient<Channel>,
}

impl Server {
    async fn start(uri: &str) -> Result<Self, Failure> {
        let (child, port) = server::serve(uri, &[])?;
        let endpoint = Channel::from_shared(format!("http://127.0.0.1:{port}"))?;
        for _ in 0..100 {
            if let Ok(channel) = endpoint.connect().await {
                return Ok(Self {
                    child,
                    client: FlightServiceClient::new(channel),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("the server does not listen".into())
    }

    /// CPU seconds that the process has used.
    fn cpu(&self) -> Result<f64, Failure> {
        cluster::cpu(self.child.id())
    }

    /// Largest resident memory so far, in MiB.
    fn peak_mib(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .ok_or("no VmHWM")?;
        let kib: u64 = line.split_whitespace().nth(1).ok_or("an odd status line")?.parse()?;
        Ok(kib / 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One way to load.
struct Way {
    name: &'static str,
    /// Before the clock starts.
    prepare: &'static str,
    /// The descriptor; `None` is `psql \copy`.
    command: Option<Value>,
}

fn ways() -> Vec<Way> {
    let fresh = "drop table if exists t; create table t (like shape)";
    let keyed = "drop table if exists t; create table t (like shape, primary key (l_orderkey, l_linenumber))";
    let filled = "drop table if exists t; create table t (like shape, primary key (l_orderkey, l_linenumber)); \
                  insert into t select * from shape_rows";
    let changed = "drop table if exists t; create table t (like shape, primary key (l_orderkey, l_linenumber)); \
                   insert into t select * from shape_rows; update t set l_comment = l_comment || '.'; vacuum t";
    let way = |name, prepare, command| Way { name, prepare, command };
    vec![
        way("psql copy", fresh, None),
        way("append atomic", fresh, Some(json!({"table": "t"}))),
        way(
            "append batch, 2 lanes",
            fresh,
            Some(json!({"table": "t", "commit": "batch", "lanes": 2})),
        ),
        way(
            "overwrite, empty table",
            keyed,
            Some(json!({"table": "t", "write_mode": "overwrite"})),
        ),
        way(
            "overwrite, all changed",
            changed,
            Some(json!({"table": "t", "write_mode": "overwrite"})),
        ),
        way(
            "overwrite, all unchanged",
            filled,
            Some(json!({"table": "t", "write_mode": "overwrite"})),
        ),
    ]
}

#[derive(Default)]
struct Figures {
    seconds: Vec<f64>,
    cpu: Vec<f64>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let number = |name: &str, default: f64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (scale, runs) = (number("SF", 0.2), number("RUNS", 5.0) as usize);
    let only = std::env::var("ONLY").ok();
    let cluster = Cluster::start()?;
    let server = Server::start(cluster.uri()).await?;
    let (client, connection) = tokio_postgres::connect(cluster.uri(), NoTls).await?;
    tokio::spawn(connection);
    let (batches, rows) = lineitem(scale)?;
    let file = prepare(&cluster, &server, &client, &batches).await?;
    let ways: Vec<Way> = ways()
        .into_iter()
        .filter(|way| only.as_deref().is_none_or(|only| way.name.contains(only)))
        .collect();
    let mut figures: Vec<Figures> = ways.iter().map(|_| Figures::default()).collect();
    for _ in 0..runs {
        for (way, figures) in ways.iter().zip(&mut figures) {
            run(way, figures, &cluster, &server, &client, &batches, &file).await?;
        }
    }
    report(&ways, &figures, rows, server.peak_mib()?);
    std::fs::remove_file(file)?;
    Ok(())
}

async fn run(
    way: &Way,
    figures: &mut Figures,
    cluster: &Cluster,
    server: &Server,
    client: &Client,
    batches: &[RecordBatch],
    file: &Path,
) -> Result<(), Failure> {
    for statement in way.prepare.split("; ").chain(["checkpoint"]) {
        client.batch_execute(statement).await?;
    }
    let messages = match &way.command {
        Some(command) => messages(command, batches).await?,
        None => Vec::new(),
    };
    let (cpu, start) = (server.cpu()?, Instant::now());
    match way.command {
        Some(_) => put(server, messages).await?,
        None => copy(cluster, file)?,
    }
    figures.seconds.push(start.elapsed().as_secs_f64());
    figures.cpu.push(server.cpu()? - cpu);
    Ok(())
}

/// TPC-H lineitem as record batches.
fn lineitem(scale: f64) -> Result<(Vec<RecordBatch>, usize), Failure> {
    let generator = tpchgen::generators::LineItemGenerator::new(scale, 1, 1);
    let batches = tpchgen_arrow::LineItemArrow::new(generator).with_batch_size(BATCH_ROWS);
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>()?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    Ok((batches, rows))
}

/// Loads the rows once, keeps their table as a pattern, and writes the binary file that `psql` reads.
async fn prepare(
    cluster: &Cluster,
    server: &Server,
    client: &Client,
    batches: &[RecordBatch],
) -> Result<PathBuf, Failure> {
    put(server, messages(&json!({"table": "shape_rows"}), batches).await?).await?;
    client.batch_execute("create table shape (like shape_rows)").await?;
    let file = std::env::temp_dir().join(format!("pgflight-bench-{}.copy", std::process::id()));
    psql(
        cluster,
        &format!("\\copy shape_rows to '{}' with (format binary)", file.display()),
    )?;
    Ok(file)
}

fn copy(cluster: &Cluster, file: &Path) -> Result<(), Failure> {
    psql(
        cluster,
        &format!("\\copy t from '{}' with (format binary)", file.display()),
    )
}

fn psql(cluster: &Cluster, command: &str) -> Result<(), Failure> {
    let done = cluster
        .program("psql")
        .args(["-qX", cluster.uri(), "-c", command])
        .status()?;
    if done.success() {
        Ok(())
    } else {
        Err("psql failed".into())
    }
}

async fn messages(command: &Value, batches: &[RecordBatch]) -> Result<Vec<FlightData>, Failure> {
    let descriptor = FlightDescriptor::new_cmd(command.to_string());
    let batches: Vec<_> = batches.iter().cloned().map(Ok).collect();
    let encoder = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(descriptor))
        .with_max_flight_data_size(4 << 20);
    Ok(encoder.build(futures::stream::iter(batches)).try_collect().await?)
}

async fn put(server: &Server, messages: Vec<FlightData>) -> Result<(), Failure> {
    let mut client = server.client.clone();
    let mut answers = client.do_put(futures::stream::iter(messages)).await?.into_inner();
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn report(ways: &[Way], figures: &[Figures], rows: usize, peak_mib: u64) {
    let mut out = std::io::stdout().lock();
    let line = median(&figures[0].seconds);
    let million = rows as f64 / 1e6;
    let mut say = |text: String| drop(writeln!(out, "{text}"));
    say(format!(
        "{rows} rows of lineitem, {} runs, medians; peak memory of the server {peak_mib} MiB",
        figures[0].seconds.len()
    ));
    say(format!(
        "{:<26} {:>9} {:>10} {:>22} {:>16}",
        "way",
        "seconds",
        "krows/s",
        format!("x {}", ways[0].name),
        "server CPU s/M"
    ));
    for (way, figures) in ways.iter().zip(figures) {
        let seconds = median(&figures.seconds);
        let cpu = median(&figures.cpu) / million;
        say(format!(
            "{:<26} {seconds:>9.3} {:>10.0} {:>22.2} {cpu:>16.2}",
            way.name,
            million * 1000.0 / seconds,
            line / seconds
        ));
    }
}
