//! A private, durable Postgres for measurements, and what processes cost. Measures nothing itself.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

/// Whatever stops a measurement.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Kernel clock ticks per second (`getconf CLK_TCK` on Linux).
const TICKS: f64 = 100.0;

/// A private cluster that stops when its standard input closes.
#[derive(Debug)]
pub(crate) struct Cluster {
    child: Child,
    input: Option<ChildStdin>,
    /// What `scripts/postgres start` says about it: `uri` of the database `postgres`, `bin_dir`, `pid` and more.
    pub(crate) about: Value,
}

impl Cluster {
    /// Starts one with Postgres' durable defaults, and room for a load between two checkpoints.
    pub(crate) fn start() -> Result<Self, Failure> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
        let mut child = Command::new(script)
            .args([
                "start",
                "--watch",
                "--set",
                "max_wal_size=8GB",
                "--set",
                "shared_buffers=512MB",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("no output of scripts/postgres")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let about = serde_json::from_str(&line)?;
        Ok(Self { child, input, about })
    }

    /// Its superuser's address of the database `postgres`.
    pub(crate) fn uri(&self) -> &str {
        self.about["uri"].as_str().unwrap_or_default()
    }

    /// A program of its version.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(Path::new(self.about["bin_dir"].as_str().unwrap_or_default()).join(name))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.wait());
    }
}

/// What `/proc/<pid>/stat` says of a process: the process that started it, its CPU seconds, and those of its children that
/// ended.
pub(crate) struct Stat {
    /// Its parent.
    pub(crate) parent: u32,
    /// User and system time.
    pub(crate) own: f64,
    /// The same of the children that were waited for.
    pub(crate) children: f64,
}

/// Reads it.
pub(crate) fn stat(pid: u32) -> Result<Stat, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(") ").ok_or("an odd stat line")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| -> Result<f64, Failure> { Ok(fields.get(at).ok_or("a short stat line")?.parse()?) };
    Ok(Stat {
        parent: number(1)? as u32,
        own: (number(11)? + number(12)?) / TICKS,
        children: (number(13)? + number(14)?) / TICKS,
    })
}

/// CPU seconds of a process and everything below it.
pub(crate) fn cpu(pid: u32) -> Result<f64, Failure> {
    let process = stat(pid)?;
    let mut all = process.own + process.children;
    for entry in std::fs::read_dir("/proc")? {
        let child = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        // A process can end between the two looks.
        if let Some(child) = child.filter(|child| stat(*child).is_ok_and(|stat| stat.parent == pid)) {
            all += cpu(child).unwrap_or(0.0);
        }
    }
    Ok(all)
}
