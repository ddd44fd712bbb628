//! The programs that `scripts/cloudquery-peers` builds, and how the CLI is run: nothing of it may reach beyond this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::Directory;

const DEADLINE: Duration = Duration::from_secs(240);

/// A program of `tests/peers/go`, built now if this machine has not built it yet.
pub(super) fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cloudquery-peers");
        let output = Command::new(script)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("scripts/cloudquery-peers starts");
        assert!(output.status.success(), "scripts/cloudquery-peers failed; see above");
        PathBuf::from(String::from_utf8(output.stdout).expect("a path is text").trim())
    });
    directory.join(name)
}

/// Runs the CLI on a configuration; its output when it ends with success, or as the error when it does not.
pub(super) async fn cli(command: &str, config: &str) -> Result<String, String> {
    cli_with(command, config, &[]).await
}

/// The same with more words on its command line.
pub(super) async fn cli_with(command: &str, config: &str, more: &[&str]) -> Result<String, String> {
    finish(start_with(&program("cloudquery"), command, config, more)).await
}

/// A CLI that runs, and the directory that it runs in.
#[derive(Debug)]
pub(in super::super) struct Running {
    pub(super) child: tokio::process::Child,
    _directory: Directory,
}

/// Starts the CLI. Telemetry is off and every proxy leads nowhere.
pub(in super::super) fn start(program: &Path, command: &str, config: &str) -> Running {
    start_with(program, command, config, &[])
}

fn start_with(program: &Path, command: &str, config: &str, more: &[&str]) -> Running {
    let directory = Directory::create();
    std::fs::write(directory.file("config.yml"), config).expect("a temporary file can be written");
    let nowhere = "http://127.0.0.1:9";
    let child = tokio::process::Command::new(program)
        .args([command, "config.yml", "--log-console", "--telemetry-level", "none"])
        .args(more)
        .current_dir(&directory.0)
        .envs([
            ("HTTPS_PROXY", nowhere),
            ("HTTP_PROXY", nowhere),
            ("CLOUDQUERY_API_URL", nowhere),
            ("NO_PROXY", "127.0.0.1,localhost"),
            ("CQ_TELEMETRY_LEVEL", "none"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    Running {
        child,
        _directory: directory,
    }
}

/// Waits for the end of a CLI.
pub(in super::super) async fn finish(running: Running) -> Result<String, String> {
    let Running { child, _directory } = running;
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .expect("the CLI ends in time")
        .expect("the CLI can be waited for");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() { Ok(text) } else { Err(text) }
}
