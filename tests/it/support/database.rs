//! One fresh database per test, dropped when the test ends, and short ways to ask it something.
//!
//! These go through tokio-postgres alone, so that what a test sees does not come from the code under test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, SimpleQueryMessage};

use super::cluster::Cluster;

/// A database of its own in a shared or private cluster.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    uri: String,
    administration_uri: String,
    client: Client,
}

impl Database {
    /// A database in the shared cluster of the newest version.
    pub(crate) async fn create() -> Self {
        Self::create_in(Cluster::newest()).await
    }

    pub(crate) async fn create_in(cluster: &Cluster) -> Self {
        Self::create_at(&cluster.uri("")).await
    }

    /// A database on the server at `stem`, a connection string up to the name of the database.
    pub(crate) async fn create_at(stem: &str) -> Self {
        static SEQUENCE: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "test_{}_{}",
            std::process::id(),
            SEQUENCE.fetch_add(1, Ordering::Relaxed)
        );
        let administration_uri = format!("{stem}postgres");
        let administration = connect(&administration_uri).await;
        administration
            .batch_execute(&format!("create database {name}"))
            .await
            .expect("a new database name is free");
        let uri = format!("{stem}{name}");
        let client = connect(&uri).await;
        Self {
            name,
            uri,
            administration_uri,
            client,
        }
    }

    /// A new session of this handle's own after the server went down; waits until the server is back.
    pub(crate) async fn reconnect(&mut self) {
        for _ in 0..1_000 {
            let Ok((client, connection)) = tokio_postgres::connect(&self.uri, NoTls).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            tokio::spawn(connection);
            self.client = client;
            return;
        }
        panic!("{} is not back within 20 s", self.uri);
    }

    /// The same database on the server that took over; this handle drops it no more.
    pub(crate) async fn moved_to(self, port: u16) -> Self {
        let moved = |uri: &str| {
            let (head, rest) = uri.rsplit_once(':').expect("a port");
            let (_, database) = rest.split_once('/').expect("a database");
            format!("{head}:{port}/{database}")
        };
        let uri = moved(&self.uri);
        Self {
            name: self.name.clone(),
            administration_uri: moved(&self.administration_uri),
            client: connect(&uri).await,
            uri,
        }
    }

    /// The connection string for the service under test.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// This database's own session, for anything that the methods below do not do.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Another session, for tests with locks and several users.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.uri).await
    }

    /// Runs one or several statements without parameters.
    pub(crate) async fn execute(&self, statements: &str) {
        self.client
            .batch_execute(statements)
            .await
            .unwrap_or_else(|error| panic!("{statements}\n{error:?}"));
    }

    pub(crate) async fn query(&self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.client
            .query(statement, parameters)
            .await
            .unwrap_or_else(|error| panic!("{statement}\n{error:?}"))
    }

    /// The answer as text, as `psql -At` prints it: a line per row, `|` between values, NULL as `<null>`.
    pub(crate) async fn lines(&self, statement: &str) -> Vec<String> {
        let answer = self
            .client
            .simple_query(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}\n{error:?}"));
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| {
            (0..row.len())
                .map(|i| row.get(i).unwrap_or("<null>"))
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect()
    }

    /// Waits until a question is answered with true; a missing table counts as false.
    pub(crate) async fn wait_for(&self, question: &str) {
        // A machine that does other work, too, is given its time: only a failure takes so long.
        for _ in 0..2_400 {
            if let Ok(row) = self.client.query_one(question, &[]).await
                && row.get::<_, bool>(0)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not within 120 s: {question}");
    }

    /// The only value of an answer with one row and one column, as text.
    pub(crate) async fn value(&self, statement: &str) -> String {
        let lines = self.lines(statement).await;
        assert_eq!(lines.len(), 1, "{statement} answers with {lines:?}, not with one row");
        lines.into_iter().next().unwrap_or_default()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (uri, statement) = (
            self.administration_uri.clone(),
            format!("drop database if exists {} with (force)", self.name),
        );
        // A drop cannot await, and the test's own runtime may be ending: a thread with a runtime of its own does it.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                // The server of a private cluster may be down by now, and its data are deleted with it.
                let Ok((client, connection)) = tokio_postgres::connect(&uri, NoTls).await else {
                    return;
                };
                tokio::spawn(connection);
                let dropped = tokio::time::timeout(Duration::from_secs(10), client.batch_execute(&statement)).await;
                if !matches!(dropped, Ok(Ok(()))) {
                    eprintln!("{statement}: {dropped:?}");
                }
            });
            std::io::Result::Ok(())
        });
        if let Ok(Err(error)) = dropping.join() {
            eprintln!("cannot drop {}: {error}", self.name);
        }
    }
}

async fn connect(uri: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(uri, NoTls)
        .await
        .unwrap_or_else(|error| panic!("{uri}: {error:?}"));
    tokio::spawn(async move {
        // A test may kill its server: the client then reports it where it matters.
        drop(connection.await);
    });
    client
}
