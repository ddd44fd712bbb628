//! The speed of a whole load against the speed line, `psql \copy` of the same rows, in one run on one machine.
//!
//! Starts a private Postgres with its default (durable) settings and the release server as a process of its own, and loads
//! TPC-H lineitem by every way in turn, several times. Ratios of medians are what counts; absolute times only compare within
//! one run. One way goes by the HTTP door and needs `curl`. `cargo bench --bench load`; `SF` (0.2) sets the rows, `RUNS` (5) the repetitions, `ONLY` picks ways by name.

mod cluster;
mod server;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};
use tonic::transport::Channel;

use cluster::{Cluster, Failure};
use server::Server;

/// Rows per record batch: what a Parquet reader or a data frame library sends.
const BATCH_ROWS: usize = 16_384;

/// What every way uses.
struct Bench {
    cluster: Cluster,
    server: Server,
    /// Its HTTP port.
    http: u16,
    flight: FlightServiceClient<Channel>,
    client: Client,
    batches: Vec<RecordBatch>,
    /// The rows in Postgres' own binary format, and as an Arrow stream.
    copy: PathBuf,
    arrow: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        for file in [&self.copy, &self.arrow] {
            drop(std::fs::remove_file(file));
        }
    }
}

/// One way to load.
struct Way {
    name: &'static str,
    /// Before the clock starts.
    prepare: &'static str,
    by: By,
}

/// What loads.
enum By {
    /// `psql \copy`.
    Copy,
    /// A Flight client, with this descriptor.
    Flight(Value),
    /// `curl`, to the HTTP door.
    Curl,
}

fn ways() -> Vec<Way> {
    let fresh = "drop table if exists t; create table t (like shape)";
    let keyed = "drop table if exists t; create table t (like shape, primary key (l_orderkey, l_linenumber))";
    let filled = "drop table if exists t; create table t (like shape, primary key (l_orderkey, l_linenumber)); \
                  insert into t select * from shape_rows";
    let changed = "drop table if exists t; create table t (like shape, primary key (l_orderkey, l_linenumber)); \
                   insert into t select * from shape_rows; update t set l_comment = l_comment || '.'; vacuum t";
    let way = |name, prepare, by| Way { name, prepare, by };
    let put = |command| By::Flight(command);
    vec![
        way("psql copy", fresh, By::Copy),
        way("append atomic", fresh, put(json!({"table": "t"}))),
        way("append atomic, HTTP by curl", fresh, By::Curl),
        way(
            "append batch, 2 lanes",
            fresh,
            put(json!({"table": "t", "commit": "batch", "lanes": 2})),
        ),
        way(
            "overwrite, empty table",
            keyed,
            put(json!({"table": "t", "write_mode": "overwrite"})),
        ),
        way(
            "overwrite, all changed",
            changed,
            put(json!({"table": "t", "write_mode": "overwrite"})),
        ),
        way(
            "overwrite, all unchanged",
            filled,
            put(json!({"table": "t", "write_mode": "overwrite"})),
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
    let bench = Bench::start(scale).await?;
    let ways: Vec<Way> = ways()
        .into_iter()
        .filter(|way| only.as_deref().is_none_or(|only| way.name.contains(only)))
        .collect();
    let mut figures: Vec<Figures> = ways.iter().map(|_| Figures::default()).collect();
    for _ in 0..runs {
        for (way, figures) in ways.iter().zip(&mut figures) {
            bench.run(way, figures).await?;
        }
    }
    let rows = bench.batches.iter().map(RecordBatch::num_rows).sum();
    report(&ways, &figures, rows, peak_mib(&bench.server)?);
    Ok(())
}

/// Largest resident memory of the server so far, in MiB.
fn peak_mib(server: &Server) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .ok_or("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("an odd status line")?.parse()?;
    Ok(kib / 1024)
}

impl Bench {
    /// Loads the rows once, keeps their table as a pattern, and writes the files that `psql` and `curl` read.
    async fn start(scale: f64) -> Result<Self, Failure> {
        let (cluster, http) = (Cluster::start()?, server::free_port()?);
        let server = Server::start(cluster.uri(), &["--http-listen", &format!("127.0.0.1:{http}")])?;
        let (client, connection) = tokio_postgres::connect(cluster.uri(), NoTls).await?;
        tokio::spawn(connection);
        let file = |kind| std::env::temp_dir().join(format!("pgflight-bench-{}.{kind}", std::process::id()));
        let bench = Self {
            flight: server.client().await?,
            cluster,
            server,
            http,
            client,
            batches: lineitem(scale)?,
            copy: file("copy"),
            arrow: file("arrows"),
        };
        bench
            .put(messages(&json!({"table": "shape_rows"}), &bench.batches).await?)
            .await?;
        bench
            .client
            .batch_execute("create table shape (like shape_rows)")
            .await?;
        bench.psql(&format!(
            "\\copy shape_rows to '{}' with (format binary)",
            bench.copy.display()
        ))?;
        let first = bench.batches.first().ok_or("no rows")?;
        let mut writer = StreamWriter::try_new(std::fs::File::create(&bench.arrow)?, &first.schema())?;
        for batch in &bench.batches {
            writer.write(batch)?;
        }
        writer.finish()?;
        Ok(bench)
    }

    async fn run(&self, way: &Way, figures: &mut Figures) -> Result<(), Failure> {
        for statement in way.prepare.split("; ").chain(["checkpoint"]) {
            self.client.batch_execute(statement).await?;
        }
        let messages = match &way.by {
            By::Flight(command) => messages(command, &self.batches).await?,
            By::Copy | By::Curl => Vec::new(),
        };
        let (cpu, start) = (cluster::cpu(self.server.pid())?, Instant::now());
        match way.by {
            By::Flight(_) => self.put(messages).await?,
            By::Copy => self.psql(&format!("\\copy t from '{}' with (format binary)", self.copy.display()))?,
            By::Curl => self.curl()?,
        }
        figures.seconds.push(start.elapsed().as_secs_f64());
        figures.cpu.push(cluster::cpu(self.server.pid())? - cpu);
        Ok(())
    }

    async fn put(&self, messages: Vec<FlightData>) -> Result<(), Failure> {
        let mut client = self.flight.clone();
        let mut answers = client.do_put(futures::stream::iter(messages)).await?.into_inner();
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    }

    fn curl(&self) -> Result<(), Failure> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "-o", "/dev/null", "-X", "POST", "-T"])
            .arg(&self.arrow)
            .args(["-H", "Content-Type: application/vnd.apache.arrow.stream"])
            .arg(format!("http://127.0.0.1:{}/v1/tables/public/t", self.http));
        done(&mut curl)
    }

    fn psql(&self, command: &str) -> Result<(), Failure> {
        done(
            self.cluster
                .program("psql")
                .args(["-qX", self.cluster.uri(), "-c", command]),
        )
    }
}

fn done(command: &mut Command) -> Result<(), Failure> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(format!("{command:?} failed").into()),
    }
}

/// TPC-H lineitem as record batches.
fn lineitem(scale: f64) -> Result<Vec<RecordBatch>, Failure> {
    let generator = tpchgen::generators::LineItemGenerator::new(scale, 1, 1);
    let batches = tpchgen_arrow::LineItemArrow::new(generator).with_batch_size(BATCH_ROWS);
    Ok(batches.collect::<Result<_, _>>()?)
}

async fn messages(command: &Value, batches: &[RecordBatch]) -> Result<Vec<FlightData>, Failure> {
    let descriptor = FlightDescriptor::new_cmd(command.to_string());
    let batches: Vec<_> = batches.iter().cloned().map(Ok).collect();
    let encoder = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(descriptor))
        .with_max_flight_data_size(4 << 20);
    Ok(encoder.build(futures::stream::iter(batches)).try_collect().await?)
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
        "{:<28} {:>9} {:>10} {:>22} {:>16}",
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
            "{:<28} {seconds:>9.3} {:>10.0} {:>22.2} {cpu:>16.2}",
            way.name,
            million * 1000.0 / seconds,
            line / seconds
        ));
    }
}
