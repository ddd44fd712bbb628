//! Python peers: pyarrow and the ADBC drivers at pinned versions, in a virtual environment outside the tree.
//!
//! The environment is made once per cache directory, by whichever test process comes first. A test that needs it fails when
//! it cannot be made; nothing here skips.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::cluster;

const REQUIREMENTS: &str = include_str!("../../peers/python/requirements.txt");
const DEADLINE: Duration = Duration::from_secs(180);

/// An interpreter that has everything in `tests/peers/python/requirements.txt`.
#[derive(Debug)]
pub(crate) struct Python {
    interpreter: PathBuf,
}

/// What a script left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Python {
    /// The environment of the pinned requirements, made now if this machine has none yet.
    pub(crate) fn pinned() -> &'static Self {
        static PINNED: OnceLock<Python> = OnceLock::new();
        PINNED.get_or_init(make)
    }

    /// Runs `tests/peers/python/<script>` beside the test.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.interpreter);
        command
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/peers/python")
                    .join(script),
            )
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs `tests/peers/python/<script>` and returns its standard output; panics with its standard error when it fails.
    pub(crate) async fn run(&self, script: &str, arguments: &[&str]) -> String {
        let finished = self.attempt(script, arguments).await;
        assert_eq!(
            finished.code,
            Some(0),
            "{script} failed\n{}\n{}",
            finished.stdout,
            finished.stderr
        );
        finished.stdout
    }

    /// Runs `tests/peers/python/<script>` to its end, whatever that is.
    pub(crate) async fn attempt(&self, script: &str, arguments: &[&str]) -> Finished {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/peers/python")
            .join(script);
        let running = tokio::process::Command::new(&self.interpreter)
            .arg(path)
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(DEADLINE, running)
            .await
            .unwrap_or_else(|_| panic!("{script} did not end within {DEADLINE:?}"))
            .unwrap_or_else(|error| panic!("{script} does not start: {error}"));
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn make() -> Python {
    let cache = PathBuf::from(output_of(cluster::script().arg("cache")));
    fs::create_dir_all(&cache).unwrap_or_else(|error| panic!("cannot make the cache {}: {error}", cache.display()));
    // Another Python or other requirements are another environment; none is ever changed.
    let version = output_of(Command::new("python3").args(["-c", "import sys; print(sys.version, sys.prefix)"]));
    let digest = Sha256::digest(format!("{version}\n{REQUIREMENTS}"));
    let name = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let directory = cache.join(format!("python-{name}"));
    let python = Python {
        interpreter: directory.join("bin/python"),
    };
    let complete = directory.join("complete");

    let lock = File::create(cache.join("python.lock")).expect("the cache can be written to");
    lock.lock().expect("the file system of the cache has locks");
    if !complete.exists() {
        eprintln!("pgflight: making a Python environment with pyarrow, ADBC and the CloudQuery SDK (400 MB, once)");
        install(&directory, &python.interpreter);
        File::create(complete).expect("the cache can be written to");
    }
    python
}

/// A virtual environment without a pip of its own, filled by the pip of the system, because Debian packs the former apart.
fn install(directory: &Path, interpreter: &Path) {
    output_of(
        Command::new("python3")
            .args(["-m", "venv", "--clear", "--without-pip"])
            .arg(directory),
    );
    let requirements = directory.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).expect("the cache can be written to");
    output_of(
        Command::new("python3")
            .args(["-m", "pip", "--python"])
            .arg(interpreter)
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
                "--only-binary=:all:",
            ])
            .arg("--no-deps")
            .arg("--requirement")
            .arg(requirements),
    );
}

fn output_of(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "tests need python3 >= 3.11 with pip, and a package index that pip reaches.\n{command:?} failed:\n{complaint}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
