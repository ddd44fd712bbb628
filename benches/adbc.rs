//! What a Python user gains: ADBC's driver for Flight SQL with pgflight against ADBC's driver for PostgreSQL, in one run on one machine.
//!
//! Starts a private Postgres with its durable defaults and the release server, writes TPC-H lineitem to an Arrow file, and lets
//! `adbc/ways.py` ingest and read it by both drivers in turn. `cargo bench --bench adbc`; `SF` (0.3334: two million rows) sets the rows, `RUNS`
//! (5) the repetitions. Needs `python3` with `venv`, and PyPI once.

#[expect(dead_code, reason = "shared by the benchmarks, each of which uses a part")]
mod cluster;
#[expect(dead_code, reason = "shared by the benchmarks, each of which uses a part")]
mod server;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use cluster::{Cluster, Failure};
use server::Server;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/adbc");

fn main() -> Result<(), Failure> {
    let number = |name: &str, default: f64| {
        let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
        given.unwrap_or(default)
    };
    let (scale, runs) = (number("SF", 0.3334), number("RUNS", 5.0) as usize);
    let python = python()?;
    let file = std::env::temp_dir().join(format!("pgflight-bench-{}.arrow", std::process::id()));
    lineitem(scale, &file)?;
    let cluster = Cluster::start()?;
    let server = Server::start(cluster.uri(), &["--set", "flight_sql.queries=read-only"])?;
    let measured = Command::new(python)
        .arg(Path::new(DIRECTORY).join("ways.py"))
        .args([cluster.uri(), &format!("grpc://{}", server.address())])
        .arg(&file)
        .args([runs.to_string(), server.pid().to_string()])
        .status();
    std::fs::remove_file(&file)?;
    match measured?.success() {
        true => Ok(()),
        false => Err("ways.py failed".into()),
    }
}

/// TPC-H lineitem as an Arrow file.
fn lineitem(scale: f64, to: &Path) -> Result<(), Failure> {
    let generator = tpchgen::generators::LineItemGenerator::new(scale, 1, 1);
    let mut batches = tpchgen_arrow::LineItemArrow::new(generator).with_batch_size(16_384);
    let first = batches.next().ok_or("no rows")??;
    let mut writer = arrow::ipc::writer::FileWriter::try_new(File::create(to)?, &first.schema())?;
    writer.write(&first)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(())
}

/// A Python that has both drivers, in a directory of the build.
fn python() -> Result<PathBuf, Failure> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adbc-bench");
    let (interpreter, complete) = (directory.join("bin/python"), directory.join("complete"));
    if !complete.exists() {
        let done = |mut command: Command| -> Result<(), Failure> {
            match command.status()?.success() {
                true => Ok(()),
                false => Err(format!("{command:?} failed").into()),
            }
        };
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&directory);
        done(make)?;
        let mut install = Command::new(&interpreter);
        let requirements = Path::new(DIRECTORY).join("requirements.txt");
        install.args(["-m", "pip", "install", "-q", "-r"]).arg(requirements);
        done(install)?;
        File::create(complete)?;
    }
    Ok(interpreter)
}
