//! `pgflight embeddings ...` and `pgflight serve` as processes, configured by a file as people do.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::database::Database;

/// A configuration file; removed when dropped.
#[derive(Debug)]
pub(super) struct ConfigFile(PathBuf);

impl ConfigFile {
    pub(super) fn write(database: &Database, mut settings: Value) -> Self {
        settings["connection_string"] = json!(database.uri());
        let file = std::env::temp_dir().join(format!("{}-{}.yaml", database.name(), fastrand::u64(..)));
        std::fs::write(&file, settings.to_string()).expect("the temporary directory can be written to");
        Self(file)
    }

    /// `pgflight <arguments> --config <file>`; killed when dropped.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgflight"));
        command
            .args(arguments)
            .arg("--config")
            .arg(&self.0)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Exit code and output of `pgflight embeddings <arguments>`.
pub(super) async fn run(database: &Database, settings: &Value, arguments: &[&str]) -> (Option<i32>, String) {
    let file = ConfigFile::write(database, settings.clone());
    let mut all = vec!["embeddings"];
    all.extend(arguments);
    let output = file.command(&all).output().await.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}
