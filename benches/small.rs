//! Puts of one row against INSERTs of one row, in one run on one machine.
//!
//! Starts a private Postgres with its default (durable) settings and the release server as a process of its own. Clients of both
//! kinds take turns: tokio-postgres runs a prepared single-row INSERT, each a transaction of its own, and Flight clients put one row
//! each time over a connection that stays. Ratios within one run are what counts. `cargo bench --bench small`; `SECONDS` (3) sets how
//! long a turn takes, `TURNS` (3) how many each way has, `CLIENTS` (1,8,64) how many at once.

mod cluster;
mod server;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use tonic::transport::Channel;

use cluster::{Cluster, Failure};
use server::Server;

/// One way to store a row.
struct Way {
    name: &'static str,
    table: &'static str,
    /// The descriptor; `None` is INSERT.
    command: Option<Value>,
}

fn ways() -> Vec<Way> {
    let way = |name, table, command| Way { name, table, command };
    vec![
        way("INSERT", "inserted", None),
        way("put, atomic append", "atomic", Some(json!({"table": "atomic"}))),
        way(
            "put, batch append",
            "batch",
            Some(json!({"table": "batch", "commit": "batch"})),
        ),
        way(
            "put, atomic overwrite",
            "overwritten",
            Some(json!({"table": "overwritten", "write_mode": "overwrite"})),
        ),
    ]
}

/// Times of single rows, and what the server and Postgres used for them.
#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    /// Rows per second, a turn each.
    rates: Vec<f64>,
    server_cpu: f64,
    postgres_cpu: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let text = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let span = Duration::from_secs_f64(text("SECONDS", "3").parse()?);
    let turns: usize = text("TURNS", "3").parse()?;
    let cluster = Cluster::start()?;
    let postgres = cluster.about["pid"].as_u64().ok_or("no pid of Postgres")? as u32;
    let server = Server::start(cluster.uri(), &[])?;
    let (client, connection) = tokio_postgres::connect(cluster.uri(), NoTls).await?;
    tokio::spawn(connection);
    for way in ways() {
        let create = format!("create table {} (id bigint primary key, v text)", way.table);
        client.batch_execute(&create).await?;
    }
    let next = Arc::new(AtomicI64::new(0));
    let mut out = std::io::stdout();
    let version = cluster.program("postgres").arg("--version").output()?;
    write!(out, "{}", String::from_utf8_lossy(&version.stdout))?;
    for clients in text("CLIENTS", "1,8,64").split(',') {
        let clients: usize = clients.trim().parse()?;
        let ways = ways();
        let mut figures: Vec<Figures> = ways.iter().map(|_| Figures::default()).collect();
        // The first turn only makes connections and what is kept in them.
        for turn in 0..=turns {
            for (way, figures) in ways.iter().zip(&mut figures) {
                client.batch_execute("checkpoint").await?;
                let before = (cluster::cpu(server.pid())?, cluster::cpu(postgres)?);
                let started = Instant::now();
                let times = run(way, clients, span, &cluster, &server, &next).await?;
                if turn > 0 {
                    figures.rates.push(times.len() as f64 / started.elapsed().as_secs_f64());
                    figures.times.extend(times);
                    figures.server_cpu += cluster::cpu(server.pid())? - before.0;
                    figures.postgres_cpu += cluster::cpu(postgres)? - before.1;
                }
            }
        }
        report(&mut out, clients, &ways, &mut figures)?;
    }
    Ok(())
}

/// So many clients at once, for so long; the time that each row took.
async fn run(
    way: &Way,
    clients: usize,
    span: Duration,
    cluster: &Cluster,
    server: &Server,
    next: &Arc<AtomicI64>,
) -> Result<Vec<Duration>, Failure> {
    let until = Instant::now() + span;
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let next = Arc::clone(next);
        match &way.command {
            None => {
                let (uri, table) = (cluster.uri().to_owned(), way.table);
                running.spawn(async move { insert(&uri, table, until, &next).await });
            }
            Some(command) => {
                let (client, command) = (server.client().await?, command.clone());
                running.spawn(async move { put(client, command, until, &next).await });
            }
        }
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.extend(done??);
    }
    Ok(times)
}

async fn insert(uri: &str, table: &str, until: Instant, next: &AtomicI64) -> Result<Vec<Duration>, Failure> {
    let (client, connection) = tokio_postgres::connect(uri, NoTls).await?;
    tokio::spawn(connection);
    let statement = client.prepare(&format!("insert into {table} values ($1, $2)")).await?;
    let mut times = Vec::new();
    while Instant::now() < until {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        client.execute(&statement, &[&id, &"a reading"]).await?;
        times.push(started.elapsed());
    }
    Ok(times)
}

async fn put(
    mut client: FlightServiceClient<Channel>,
    command: Value,
    until: Instant,
    next: &AtomicI64,
) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let messages = row(&command, next.fetch_add(1, Ordering::Relaxed)).await?;
        let started = Instant::now();
        let mut answers = client.do_put(futures::stream::iter(messages)).await?.into_inner();
        while let Some(answer) = answers.next().await {
            answer?;
        }
        times.push(started.elapsed());
    }
    Ok(times)
}

async fn row(command: &Value, id: i64) -> Result<Vec<FlightData>, Failure> {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![id]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a reading"]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("v", texts)])?;
    let encoder = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command.to_string())))
        .build(futures::stream::iter([Ok(batch)]));
    Ok(encoder.try_collect().await?)
}

fn report(out: &mut impl Write, clients: usize, ways: &[Way], figures: &mut [Figures]) -> Result<(), Failure> {
    writeln!(
        out,
        "\n{clients} clients\n{:<24} {:>8} {:>8} {:>8} {:>8} {:>10} {:>14} {:>14}",
        "way", "p50 ms", "x INSERT", "p99 ms", "rows/s", "x INSERT", "server ms/row", "postgres ms/row"
    )?;
    let mut line = None;
    for (way, figures) in ways.iter().zip(figures) {
        figures.times.sort();
        figures.rates.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = (figures.times.len() as f64 * part) as usize;
            figures
                .times
                .get(place)
                .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        let rate = figures.rates.get(figures.rates.len() / 2).copied().unwrap_or(f64::NAN);
        let (p50, rows) = (at(0.5), figures.times.len() as f64);
        let (insert_p50, insert_rate) = *line.get_or_insert((p50, rate));
        writeln!(
            out,
            "{:<24} {p50:>8.2} {:>8.2} {:>8.2} {rate:>8.0} {:>10.2} {:>14.3} {:>14.3}",
            way.name,
            p50 / insert_p50,
            at(0.99),
            rate / insert_rate,
            figures.server_cpu * 1e3 / rows,
            figures.postgres_cpu * 1e3 / rows
        )?;
    }
    Ok(())
}
