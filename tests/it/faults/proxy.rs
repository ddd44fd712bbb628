//! The proxy is tested against Postgres alone, with plain tokio-postgres: each deed does what it says, at the point it was
//! aimed at, and the trace tells.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::{Client, NoTls};

use crate::support::chaos::{Deed, Fault, Point, Proxy, Shape};
use crate::support::database::Database;

struct Line {
    database: Database,
    proxy: Proxy,
    uri: String,
}

impl Line {
    async fn lay() -> Self {
        let database = Database::create().await;
        database.execute("create table t (v int)").await;
        let (proxy, uri) = Proxy::before(database.uri()).await;
        Self { database, proxy, uri }
    }

    async fn client(&self) -> Client {
        self.connect().await.expect("nothing is armed at the start")
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.uri, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn count(&self) -> String {
        self.database.value("select count(*) from t").await
    }
}

/// `begin`, a COPY of some pieces, `commit`.
async fn load(client: &Client, pieces: u32) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("begin").await?;
    let sink = client.copy_in::<_, Bytes>("copy t from stdin").await?;
    let mut sink = std::pin::pin!(sink);
    for _ in 0..pieces {
        sink.send(Bytes::from("7\n".repeat(4000))).await?;
    }
    sink.finish().await?;
    client.batch_execute("commit").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unarmed_proxy_changes_nothing_and_counts_what_passes() {
    let line = Line::lay().await;
    let client = line.client().await;
    load(&client, 3).await.unwrap();
    assert_eq!(line.count().await, "12000");
    let passed = |point| line.proxy.passed(point);
    assert_eq!(passed(Point::ConnectionStart), 1);
    assert_eq!(passed(Point::CopyInResponse), 1);
    assert_eq!(passed(Point::CopyData), 3);
    assert_eq!((passed(Point::Commit), passed(Point::CommitAnswer)), (1, 1));
    assert_eq!(passed(Point::ReadyAfterCommit), 1);
    client.batch_execute("begin; select 1; commit").await.unwrap();
    assert_eq!(
        passed(Point::CommitAnswer),
        1,
        "only a transaction that copied rows counts"
    );
    assert_eq!(line.proxy.fired(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn cutting_before_commit_rolls_back_and_cutting_its_answer_does_not() {
    for (at, deed, kept) in [
        (Point::Begin, Deed::Cut, "0"),
        (Point::CopyInResponse, Deed::Cut, "0"),
        (Point::CopyData, Deed::DeliverThenCut, "0"),
        (Point::CopyDone, Deed::DeliverThenCut, "0"),
        (Point::CopyAnswer, Deed::Cut, "0"),
        (Point::Commit, Deed::Cut, "0"),
        (Point::Commit, Deed::DeliverThenCut, "4000"),
        (Point::CommitAnswer, Deed::Cut, "4000"),
        (
            Point::CommitAnswer,
            Deed::SwallowThenCut(Duration::from_millis(50)),
            "4000",
        ),
        (Point::ReadyAfterCommit, Deed::Cut, "4000"),
    ] {
        let line = Line::lay().await;
        let client = line.client().await;
        line.proxy.arm(at, 1, deed);
        load(&client, 1).await.expect_err("the connection is cut");
        assert_eq!(
            line.proxy.fired(),
            [Fault { at, nth: 1, deed }],
            "{}",
            line.proxy.trace()
        );
        // Postgres works through what it got before it notices the reset.
        let deadline = Instant::now() + Duration::from_secs(60);
        while line.count().await != kept && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(line.count().await, kept, "{at:?} {deed:?}\n{}", line.proxy.trace());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nth_occurrence_is_counted_over_connections_and_fires_once() {
    let line = Line::lay().await;
    line.proxy.arm(Point::CopyData, 4, Deed::Cut);
    load(&line.client().await, 3).await.unwrap();
    load(&line.client().await, 3)
        .await
        .expect_err("the fourth piece is cut");
    load(&line.client().await, 3).await.unwrap();
    assert_eq!(line.count().await, "24000");
    assert_eq!(line.proxy.fired().len(), 1);
    assert!(line.proxy.trace().contains("connection 2"), "{}", line.proxy.trace());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_keeps_its_locks_until_it_is_buried() {
    let line = Line::lay().await;
    let client = line.client().await;
    line.proxy.arm(Point::CopyAnswer, 1, Deed::LeaveZombie);
    load(&client, 1).await.expect_err("the client is cut off");
    let locks = "select count(*) > 0 from pg_locks where relation = 't'::regclass";
    assert_eq!(line.database.value(locks).await, "t");
    line.proxy.bury_zombies();
    let deadline = Instant::now() + Duration::from_secs(60);
    while line.database.value(locks).await == "t" && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(line.database.value(locks).await, "f");
}

#[tokio::test(flavor = "multi_thread")]
async fn delay_bandwidth_latency_and_black_hole_take_time_and_lose_nothing() {
    let line = Line::lay().await;
    let client = line.client().await;
    let timed = async |pieces| {
        let started = Instant::now();
        load(&client, pieces).await.unwrap();
        started.elapsed()
    };
    line.proxy
        .arm(Point::CommitAnswer, 1, Deed::Delay(Duration::from_millis(300)));
    assert!(timed(1).await >= Duration::from_millis(300));
    line.proxy.shape(Shape {
        bytes_per_second: 40_000,
        ..Shape::default()
    });
    assert!(timed(2).await >= Duration::from_millis(400), "16 kB at 40 kB/s");
    line.proxy.shape(Shape {
        latency: Duration::from_millis(30),
        ..Shape::default()
    });
    assert!(
        timed(1).await >= Duration::from_millis(240),
        "at least four round trips"
    );
    line.proxy.shape(Shape {
        black_hole: true,
        ..Shape::default()
    });
    let stuck = tokio::time::timeout(Duration::from_millis(200), client.batch_execute("select 1")).await;
    assert!(stuck.is_err(), "nothing passes");
    line.proxy.shape(Shape::default());
    load(&client, 1).await.unwrap();
    assert_eq!(line.count().await, "20000");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_refused_reset_and_swallowed_on_demand() {
    let line = Line::lay().await;
    line.proxy.shape(Shape {
        refuse: true,
        ..Shape::default()
    });
    line.connect().await.expect_err("refused");
    line.proxy.shape(Shape::default());
    line.proxy.arm(Point::ConnectionStart, 1, Deed::Cut);
    line.connect().await.expect_err("cut at its start");
    let client = line.client().await;
    line.proxy.reset_all();
    client
        .batch_execute("select 1")
        .await
        .expect_err("the connection was reset");
    let client = line.client().await;
    line.proxy.arm(Point::AnyMessage, 2, Deed::BlackHole);
    let silent = tokio::time::timeout(Duration::from_millis(200), client.batch_execute("select 1; select 2")).await;
    assert!(silent.is_err(), "the answer never comes");
    assert_eq!(line.proxy.fired().len(), 2);
}
