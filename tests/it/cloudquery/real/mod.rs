//! The real CLI, a source on the published plugin SDK, and the SDK's published test suite, against pgflight.
//!
//! `scripts/cloudquery-peers` builds them from `tests/peers/go`. Where no Go was found that can build them when the tests
//! were built, every test here is listed as ignored with that reason, and never as passed.

mod commands;
mod doors;
mod ending;
mod languages;
mod modes;
mod programs;
pub(super) mod recorded;
mod schemas;
mod sync;
mod tables;
mod transformer;
mod vectors;

use std::path::PathBuf;

use serde_json::{Value, json};

use programs::cli;
use programs::program;
pub(super) use programs::{finish, start};

use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::server::Server;

/// Lists of `kind` documents, as the CLI reads them: JSON is YAML.
fn documents(documents: &[Value]) -> String {
    let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
    texts.join("\n---\n")
}

/// A directory of a test's own, deleted with everything in it.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn create() -> Self {
        let path = std::env::temp_dir().join(format!(
            "pgflight-cli-{}-{:016x}",
            std::process::id(),
            fastrand::u64(..)
        ));
        std::fs::create_dir_all(&path).expect("the temporary directory can be written to");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left in the temporary directory harms nobody.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What the CLI is asked to do.
#[derive(Debug, Clone)]
struct Plan {
    /// The source's own spec, see `tests/peers/go/source`.
    rows: Value,
    /// Options of the source that the CLI reads.
    source: Value,
    /// Options of the destination that the CLI reads.
    destination: Value,
    /// The destination's own spec.
    spec: Value,
}

impl Plan {
    /// A sync of `orders` orders per account and `types` rows of every type.
    fn new(destination: Value, orders: u32, revision: u32) -> Self {
        Self {
            rows: json!({"orders": orders, "items": 2, "notes": 1, "types": orders, "revision": revision}),
            source: json!({}),
            destination,
            spec: json!({}),
        }
    }

    fn rows(mut self, more: Value) -> Self {
        merge(&mut self.rows, more);
        self
    }

    fn source(mut self, more: Value) -> Self {
        merge(&mut self.source, more);
        self
    }

    fn spec(mut self, more: Value) -> Self {
        merge(&mut self.spec, more);
        self
    }
}

fn merge(into: &mut Value, more: Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else {
        panic!("options are JSON objects");
    };
    into.extend(more);
}

/// pgflight over a database, and a directory for what the CLI and the source write.
#[derive(Debug)]
struct Scene {
    database: Database,
    server: Server,
    directory: Directory,
}

impl Scene {
    async fn create() -> Self {
        let database = Database::create().await;
        let server = Server::start(&database).await;
        Self::over(database, server)
    }

    fn over(database: Database, server: Server) -> Self {
        Self {
            database,
            server,
            directory: Directory::create(),
        }
    }

    /// One on a server of each PostgreSQL version.
    async fn of_every_version() -> Vec<Self> {
        let mut scenes = Vec::new();
        for version in cluster::versions() {
            let database = Database::create_in(Cluster::shared(*version)).await;
            // Embeddings are looked for often, where there are some.
            let quick = json!({"embeddings": {"poll_interval": "20ms"}});
            let server = Server::start_with(database.uri(), quick).await;
            scenes.push(Self::over(database, server));
        }
        scenes
    }

    /// Where the source writes down the rows of a sync.
    fn expected(&self, revision: &Value) -> PathBuf {
        self.directory.file(&format!("expected-{revision}.jsonl"))
    }

    fn config(&self, plan: &Plan) -> String {
        let address = self.server.address().to_string();
        self.config_of(plan, &json!({"registry": "grpc", "path": address}))
    }

    /// `place` says what the destination is: `registry` and `path`.
    fn config_of(&self, plan: &Plan, place: &Value) -> String {
        let mut rows = plan.rows.clone();
        rows["expected"] = json!(self.expected(&rows["revision"]));
        let mut source = json!({
            "name": "peers", "registry": "local", "path": program("source"), "version": "v1.0.0",
            "tables": ["*"], "destinations": ["target"], "spec": rows,
        });
        merge(&mut source, plan.source.clone());
        let mut spec = json!({"connection_string": self.database.uri()});
        merge(&mut spec, plan.spec.clone());
        let mut destination = json!({"name": "target", "version": "v1.0.0", "spec": spec});
        merge(&mut destination, place.clone());
        merge(&mut destination, plan.destination.clone());
        documents(&[
            json!({"kind": "source", "spec": source}),
            json!({"kind": "destination", "spec": destination}),
        ])
    }

    /// A command of the CLI that must work.
    async fn run(&self, command: &str, plan: &Plan) -> String {
        let config = self.config(plan);
        cli(command, &config)
            .await
            .unwrap_or_else(|text| panic!("{command} of\n{config}\n{text}"))
    }

    /// A command of the CLI that must fail, and what it prints.
    async fn refused(&self, command: &str, plan: &Plan) -> String {
        cli(command, &self.config(plan))
            .await
            .expect_err("the command is to fail")
    }

    async fn sync(&self, plan: &Plan) {
        let text = self.run("sync", plan).await;
        assert!(text.contains("Sync completed successfully"), "{text}");
    }
}
