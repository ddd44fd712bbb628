//! Tables and indexes that come and go while the catalog is read: functions that describe them know nothing of them any more,
//! while the snapshot that asks still has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pgflight::postgres::catalog::{read_depth, read_table};
use tokio::task::JoinHandle;

use super::fixture::table;
use crate::support::database::Database;

/// Somebody who runs the same DDL again and again, each statement in a transaction of its own, so that others see it.
struct Changing {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Changing {
    async fn start(database: &Database, ddl: [&'static str; 2]) -> Self {
        let client = database.connect().await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                for ddl in ddl {
                    client.batch_execute(ddl).await.expect("nobody holds it");
                }
            }
        });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it ends well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_comes_and_goes_while_it_is_looked_at_is_there_or_it_is_not() {
    let database = Database::create().await;
    let changing = Changing::start(
        &database,
        ["create table t (id bigint primary key, n int)", "drop table t"],
    )
    .await;
    let (client, name) = (database.connect().await, table("t"));
    let (mut there, mut gone) = (0, 0);
    for _ in 0..300 {
        let found = read_table(&client, &name, None).await.expect("there or not");
        match found.table {
            Some(_) => there += 1,
            None => gone += 1,
        }
    }
    changing.stop().await;
    assert!(there > 0 && gone > 0, "A10 {there} times there, {gone} times not");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_comes_and_goes_while_it_is_described_is_there_or_it_is_not() {
    let database = Database::create().await;
    database.execute("create table t (id bigint primary key, n int)").await;
    let changing = Changing::start(&database, ["create index i on t (n, lower(n::text))", "drop index i"]).await;
    let (client, name) = (database.connect().await, table("t"));
    let found = read_table(&client, &name, None).await.expect("it is there");
    let found_table = found.table.expect("it is there");
    let (mut there, mut gone) = (0, 0);
    for _ in 0..1_000 {
        let depth = read_depth(&client, &found.name, &found_table)
            .await
            .expect("described or not");
        match depth.indexes.len() {
            2 => there += 1,
            _ => gone += 1,
        }
    }
    changing.stop().await;
    assert!(there > 0 && gone > 0, "A10 {there} times there, {gone} times not");
}
