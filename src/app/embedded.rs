//! A private, throw-away PostgreSQL for `demo`, run by the `scripts/postgres` that is built into the program.
//!
//! The script watches the other end of a pipe: when this process ends in whatever way, the pipe closes, and the script
//! stops the server and deletes its data. Never for production: the cluster trusts everyone on this machine.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const SCRIPT: &str = include_str!("../../scripts/postgres");
/// Longer than the script itself waits for PostgreSQL to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The script could not be put where python3 finds it.
    #[error("cannot write a temporary file in {directory:?}")]
    TemporaryFile {
        /// The directory for temporary files.
        directory: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// No python3.
    #[error(
        "cannot run python3, which brings and starts PostgreSQL; install it, or use `pgflight serve` with your own server"
    )]
    Python(#[source] std::io::Error),
    /// The script gave up; its reason is on standard error.
    #[error("PostgreSQL could not be started ({0}); the reason is above")]
    Refused(ExitStatus),
    /// The script's answer is not the JSON line that it promises.
    #[error("scripts/postgres answered with something else than its address")]
    Answer(#[source] serde_json::Error),
    /// The pipe to the script broke.
    #[error("lost the process that runs PostgreSQL")]
    Pipe(#[source] std::io::Error),
}

/// Where the server is.
#[derive(Clone, Debug, Deserialize)]
pub struct Address {
    /// Major version.
    pub version: u16,
    /// Directory with `psql` and its kin, where the server brought them.
    pub bin_dir: PathBuf,
    /// Connection string of a superuser.
    pub uri: String,
}

/// A cluster that lives as long as this value; end it with [`EmbeddedPostgres::stop`] to wait until it is gone.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    script: Child,
    lifeline: Option<ChildStdin>,
    answers: Option<BufReader<ChildStdout>>,
    /// Needed until python3 has read it.
    script_file: ScriptFile,
}

impl EmbeddedPostgres {
    /// Starts the script and returns at once; [`EmbeddedPostgres::address`] waits for the server.
    pub fn spawn() -> Result<Self, EmbeddedError> {
        let script_file = ScriptFile::write()?;
        let mut script = Command::new("python3")
            .arg(script_file.path())
            .args(["start", "--watch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(EmbeddedError::Python)?;
        let lifeline = script.stdin.take();
        let answers = script.stdout.take().map(BufReader::new);
        Ok(Self {
            script,
            lifeline,
            answers,
            script_file,
        })
    }

    /// Waits until the server accepts connections. The first time on a machine this downloads it.
    pub async fn address(&mut self) -> Result<Address, EmbeddedError> {
        let mut line = String::new();
        if let Some(answers) = &mut self.answers {
            answers.read_line(&mut line).await.map_err(EmbeddedError::Pipe)?;
        }
        self.script_file.remove();
        if line.is_empty() {
            return Err(EmbeddedError::Refused(
                self.script.wait().await.map_err(EmbeddedError::Pipe)?,
            ));
        }
        serde_json::from_str(&line).map_err(EmbeddedError::Answer)
    }

    /// Stops the server, deletes its data, and waits until both are done.
    pub async fn stop(mut self) {
        drop(self.lifeline.take());
        match tokio::time::timeout(STOP_TIMEOUT, self.script.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "cannot wait for the process that runs postgres"),
            Err(_) => tracing::warn!(timeout = ?STOP_TIMEOUT, "postgres takes long to stop; it goes on stopping alone"),
        }
    }
}

/// The script as a file of ours, removed as soon as it is not needed.
#[derive(Debug)]
struct ScriptFile(Option<PathBuf>);

impl ScriptFile {
    fn write() -> Result<Self, EmbeddedError> {
        let directory = std::env::temp_dir();
        let path = directory.join(format!("pgflight-postgres-{:016x}.py", fastrand::u64(..)));
        let file = Self(Some(path.clone()));
        let created = std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        created
            .and_then(|mut opened| opened.write_all(SCRIPT.as_bytes()))
            .map_err(|source| EmbeddedError::TemporaryFile { directory, source })?;
        Ok(file)
    }

    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    fn remove(&mut self) {
        if let Some(path) = self.0.take() {
            // It was ours alone; if somebody cleaned up before, that is as good.
            std::fs::remove_file(path).ok();
        }
    }
}

impl Drop for ScriptFile {
    fn drop(&mut self) {
        self.remove();
    }
}
