//! PostgreSQL clusters for tests, all started by `scripts/postgres start --watch`.
//!
//! The script stops and deletes its cluster when our end of its standard input closes, so a panic, Ctrl-C or SIGKILL of the
//! test process leaves nothing behind. Tests share one cluster per version; a test that stops or crashes its server takes a
//! private one. A server that cannot be had fails the test: nothing here skips.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::process::{Signal, is_alive, send};

/// Where a cluster is, as `scripts/postgres` prints it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Address {
    pub(crate) version: u16,
    pub(crate) bin_dir: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) port: u16,
    pub(crate) uri: String,
    pub(crate) pid: u32,
    pub(crate) socket_dir: PathBuf,
    pub(crate) log: PathBuf,
}

/// How to start a private cluster. Durable unless `fast`: a test that crashes the server must not lose what was committed.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) version: Option<u16>,
    pub(crate) password: Option<&'static str>,
    pub(crate) fast: bool,
    /// Server settings, `name=value`.
    pub(crate) settings: Vec<String>,
    /// Debian's PostgreSQL 15 with contrib extensions, libxml, LZ4 and PostGIS, and without pgvector.
    pub(crate) contrib: bool,
}

/// A running cluster; dropping it stops the server and deletes its data.
#[derive(Debug)]
pub(crate) struct Cluster {
    address: Address,
    watcher: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

static SHARED: Mutex<BTreeMap<u16, &'static Cluster>> = Mutex::new(BTreeMap::new());

impl Cluster {
    /// The cluster of a major version that all tests of this process share.
    pub(crate) fn shared(version: u16) -> &'static Self {
        let mut clusters = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.entry(version).or_insert_with(|| {
            // A static is never dropped; the end of the process closes the pipe, and that stops the server.
            Box::leak(Box::new(Self::private(&Options {
                version: Some(version),
                fast: true,
                settings: vec!["max_connections=300".to_owned()],
                ..Options::default()
            })))
        })
    }

    /// The shared cluster of the newest version under test.
    pub(crate) fn newest() -> &'static Self {
        let newest = versions().last().expect("scripts/postgres brings at least one version");
        Self::shared(*newest)
    }

    /// The shared cluster that has contrib extensions, libxml and PostGIS, as `uri` takes it: a connection string without the database.
    /// `PGFLIGHT_TEST_CONTRIB` names another server.
    pub(crate) fn contrib() -> &'static str {
        static STEM: OnceLock<String> = OnceLock::new();
        STEM.get_or_init(|| {
            let uri = std::env::var("PGFLIGHT_TEST_CONTRIB").unwrap_or_else(|_| {
                let options = Options {
                    fast: true,
                    contrib: true,
                    ..Options::default()
                };
                Box::leak(Box::new(Self::private(&options))).uri("postgres")
            });
            uri.strip_suffix("postgres").expect("it ends in /postgres").to_owned()
        })
    }

    /// A cluster of this test's own, to stop, crash and start again.
    pub(crate) fn private(options: &Options) -> Self {
        let mut command = script();
        command.args(["start", "--watch"]);
        if let Some(version) = options.version {
            command.args(["--version", &version.to_string()]);
        }
        if let Some(password) = options.password {
            command.args(["--password", password]);
        }
        if options.contrib {
            command.arg("--contrib");
        }
        if options.fast {
            command.arg("--fast");
        }
        for setting in &options.settings {
            command.args(["--set", setting]);
        }
        let mut watcher = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/postgres starts: it needs python3");
        let orders = watcher.stdin.take();
        let mut answers = BufReader::new(watcher.stdout.take().expect("standard output is a pipe"));
        let address = serde_json::from_str(&read_answer(&mut answers)).expect("the address is JSON");
        Self {
            address,
            watcher,
            orders,
            answers,
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// A connection string for a database of this cluster.
    pub(crate) fn uri(&self, database: &str) -> String {
        let stem = self
            .address
            .uri
            .strip_suffix("postgres")
            .expect("the printed address ends in the database `postgres`");
        format!("{stem}{database}")
    }

    /// Fast shutdown: sessions are ended, everything is flushed.
    pub(crate) fn stop(&mut self) {
        self.order("stop");
    }

    /// Immediate shutdown: what a crash of the server leaves, to be recovered by the next `start`.
    pub(crate) fn crash(&mut self) {
        self.order("crash");
    }

    /// `kill -9` of the postmaster; back when its children have noticed and left.
    pub(crate) async fn kill(&self) {
        let postmaster = self.address.pid;
        let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let children = children.expect("Linux, and it runs");
        let children: Vec<u32> = children
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        send(Signal::Kill, postmaster);
        while children.iter().any(|pid| is_alive(*pid)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts a stopped or crashed server again, on the same port.
    pub(crate) fn start(&mut self) {
        self.address = serde_json::from_str(&self.order("start")).expect("the address is JSON");
    }

    fn order(&mut self, verb: &str) -> String {
        let orders = self
            .orders
            .as_mut()
            .expect("the pipe is open until the cluster is dropped");
        writeln!(orders, "{verb}").expect("the watcher reads its orders");
        read_answer(&mut self.answers)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Err(error) = self.watcher.wait() {
            eprintln!("cannot wait for scripts/postgres: {error}");
        }
    }
}

/// Major versions under test, oldest first: `PGFLIGHT_TEST_PG` (such as `16` or `16,18`), else all that can be had.
pub(crate) fn versions() -> &'static [u16] {
    static VERSIONS: OnceLock<Vec<u16>> = OnceLock::new();
    VERSIONS.get_or_init(|| {
        let list = std::env::var("PGFLIGHT_TEST_PG")
            .ok()
            .filter(|list| !list.trim().is_empty());
        let list = list.unwrap_or_else(|| {
            let output = script()
                .arg("versions")
                .stderr(Stdio::inherit())
                .output()
                .expect("python3 runs scripts/postgres");
            assert!(
                output.status.success(),
                "scripts/postgres versions failed: {}",
                output.status
            );
            String::from_utf8(output.stdout).expect("versions are ASCII")
        });
        let mut versions: Vec<u16> = list
            .split([',', ' ', '\n'])
            .filter(|word| !word.is_empty())
            .map(|word| {
                word.parse()
                    .unwrap_or_else(|_| panic!("PGFLIGHT_TEST_PG takes versions like 16,18, found {word:?}"))
            })
            .collect();
        versions.sort_unstable();
        assert!(
            !versions.is_empty(),
            "no PostgreSQL with pgvector can be had: run scripts/postgres install"
        );
        versions
    })
}

/// `scripts/postgres` of this working tree.
pub(crate) fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres"))
}

fn read_answer(answers: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    answers.read_line(&mut line).expect("the watcher answers in UTF-8");
    assert!(
        !line.is_empty(),
        "scripts/postgres ended without an answer: its message is on standard error"
    );
    assert!(!line.starts_with("{\"error\""), "scripts/postgres refused: {line}");
    line
}
