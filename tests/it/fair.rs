//! Sessions are shared out fairly: clients that are silent, slow or many hold nobody else up, and lose nothing by that.

use std::time::{Duration, Instant};

use arrow_flight::{FlightData, Ticket};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};

use crate::support::cluster::{Cluster, Options, versions};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages};
use crate::support::server::Server;

/// Transactions that the server has open.
const OPEN: &str = "select count(*) from pg_stat_activity where datname = current_database() and xact_start is not null \
                    and application_name = 'pgflight'";
/// Far above what is promised (a second) and far below what it took before (30 s), for a machine that has other work.
const SOON: Duration = Duration::from_secs(10);

/// A put whose client may send more.
struct Slow {
    messages: UnboundedSender<FlightData>,
    put: JoinHandle<Result<Vec<Value>, Status>>,
}

impl Slow {
    fn begin(mut flight: Flight, first: Vec<FlightData>) -> Self {
        let (messages, rest) = unbounded_channel();
        for message in first {
            messages.send(message).expect("it is open");
        }
        let rest = UnboundedReceiverStream::new(rest);
        Self {
            messages,
            put: tokio::spawn(async move { flight.stream(rest).await }),
        }
    }

    /// Five rows in chunks of two: a transaction begins before the stream's end.
    fn rows(flight: Flight, table: &str, first: i64) -> Self {
        Self::begin(flight, chunked(table, first))
    }

    /// Sends five rows more, ends the stream and returns what it committed.
    async fn end(self, table: &str, first: i64) -> Result<i64, Status> {
        for message in chunked(table, first).into_iter().skip(1) {
            self.messages.send(message).expect("the put runs");
        }
        drop(self.messages);
        let answers = self.put.await.expect("no panic")?;
        Ok(answers.last().expect("an answer")["committed"]
            .as_i64()
            .expect("a number"))
    }
}

fn chunked(table: &str, first: i64) -> Vec<FlightData> {
    let rows = batch(vec![("id", longs(first..first + 5))]);
    messages(command(json!({"table": table, "batch_size": 2})), &[rows])
}

async fn client(server: &Server, principal: &str) -> Flight {
    let flight = Flight::connect(server).await;
    flight.with_header("authorization", &format!("Bearer {principal}"))
}

fn settings(more: Value) -> Value {
    let token = |name: &str| json!({"principal": name, "token": name});
    let mut settings = json!({
        "auth": {"tokens": [token("greedy"), token("modest")]},
        "limits": {"stream_idle_timeout": "120s"},
        "pool": {"acquire_timeout": "60s"},
    });
    for (key, value) in more.as_object().expect("a mapping") {
        let mut all = settings[key].as_object().cloned().unwrap_or_default();
        all.extend(value.as_object().expect("a mapping").clone());
        settings[key] = all.into();
    }
    settings
}

/// A one-row put by somebody else, and how long it took; the readiness probe beside it.
async fn others_go_on(server: &Server, table: &str) -> Duration {
    let since = Instant::now();
    let mut modest = client(server, "modest").await;
    let one = [batch(vec![("id", longs([-1]))])];
    let put = modest.put(command(json!({"table": table})), &one);
    let (put, (ready, _)) = tokio::time::timeout(SOON, async { tokio::join!(put, server.page("/readyz")) })
        .await
        .expect("nobody is held up");
    assert_eq!(put.expect("it is taken")["committed"], 1);
    assert!(ready.contains("200"), "{ready}");
    println!("a one-row put of another caller and /readyz took {:?}", since.elapsed());
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_silent_atomic_streams_of_one_connection_hold_nobody_up_and_lose_nothing() {
    for version in versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        database
            .execute("create table t (id bigint); create table other (id bigint)")
            .await;
        let server = Server::start_with(database.uri(), settings(json!({}))).await;
        let greedy = client(&server, "greedy").await;
        let streams: Vec<_> = (0..16).map(|n| Slow::rows(greedy.clone(), "t", n * 10)).collect();
        database.wait_for(&format!("select ({OPEN}) >= 12")).await;
        others_go_on(&server, "other").await;
        // More than may wait for clients at once: each gets its turn, and begins anew where it gave one up.
        for (n, stream) in (0..).zip(streams) {
            assert_eq!(stream.end("t", n * 10 + 5).await.unwrap(), 10);
        }
        let found = database
            .value("select count(*) || '/' || count(distinct id) || '/' || sum(id) from t")
            .await;
        assert_eq!(found, format!("160/160/{}", (0..16).map(|n| n * 100 + 45).sum::<i64>()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_silent_streams_of_one_client_hold_nobody_up() {
    let database = Database::create().await;
    database
        .execute("create table t (id bigint); create table other (id bigint)")
        .await;
    let limits = json!({"limits": {"max_streams": 600, "stream_idle_timeout": "120s"}});
    let server = Server::start_with(database.uri(), settings(limits)).await;
    let mut streams = Vec::new();
    for connection in 0..5 {
        let greedy = client(&server, "greedy").await;
        let begin = |n: i64| Slow::rows(greedy.clone(), "t", connection * 1000 + n * 10);
        streams.extend((0..100).map(begin));
    }
    database.wait_for(&format!("select ({OPEN}) >= 12")).await;
    for _ in 0..3 {
        others_go_on(&server, "other").await;
    }
    for stream in streams {
        stream.put.abort();
    }
}

/// As long as nobody waits, nothing is given up; then the one that is silent gives way, and runs again when its client goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_transaction_is_given_up_only_for_somebody_and_run_again_from_what_was_kept() {
    for version in versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        database
            .execute("create table t (id bigint primary key); create table other (id bigint)")
            .await;
        let server = Server::start_with(database.uri(), settings(json!({"pool": {"max_size": 2}}))).await;
        // Once, so that our own tables are there and none of the transactions below is theirs.
        let one = [batch(vec![("id", longs([1]))])];
        let put = client(&server, "modest")
            .await
            .put(command(json!({"table": "first"})), &one)
            .await;
        assert_eq!(put.unwrap()["committed"], 1);
        let greedy = client(&server, "greedy").await;
        let silent = Slow::rows(greedy.clone(), "t", 0);
        let backend = "select string_agg(backend_xid::text, ',') from pg_stat_activity where datname = current_database() \
                       and application_name = 'pgflight' and backend_xid is not null";
        database.wait_for(&format!("select ({backend}) is not null")).await;
        let first = database.value(backend).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert_eq!(database.value(backend).await, first, "nobody waits");
        // Another stream that waits for its client: of two sessions one may.
        let modest = Slow::rows(client(&server, "modest").await, "other", 0);
        database
            .wait_for(&format!("select ({backend}) is distinct from '{first}'"))
            .await;
        assert_eq!(modest.end("other", 5).await.unwrap(), 10);
        assert_eq!(silent.end("t", 5).await.unwrap(), 10);
        assert_eq!(
            database
                .value("select count(*) || '/' || count(distinct id) from t")
                .await,
            "10/10"
        );
    }
}

/// Too long to be run again, so they keep what they have, but never all.
#[tokio::test(flavor = "multi_thread")]
async fn silent_streams_that_cannot_be_run_again_leave_sessions_for_others() {
    let database = Database::create().await;
    database
        .execute("create table t (id bigint); create table other (id bigint)")
        .await;
    // A quarter of this keeps rows of open transactions: none of these streams fits.
    let memory =
        json!({"limits": {"max_inflight_bytes": 1 << 20, "max_message_bytes": 1 << 19, "stream_idle_timeout": "120s"}});
    let server = Server::start_with(database.uri(), settings(memory)).await;
    let greedy = client(&server, "greedy").await;
    let long = || {
        messages(
            command(json!({"table": "t", "batch_size": 40_000})),
            &[batch(vec![("id", longs(0..40_000))])],
        )
    };
    let streams: Vec<_> = (0..16).map(|_| Slow::begin(greedy.clone(), long())).collect();
    database.wait_for(&format!("select ({OPEN}) >= 12")).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    others_go_on(&server, "other").await;
    // And one that takes its time.
    let slow = Slow::rows(client(&server, "modest").await, "other", 0);
    let begun = "select count(*) > 0 from pg_locks l join pg_class c on c.oid = l.relation \
                 where c.relname = 'other' and l.mode = 'RowExclusiveLock'";
    database.wait_for(begun).await;
    assert_eq!(slow.end("other", 5).await.unwrap(), 10);
    for stream in streams {
        stream.put.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_to_new_tables_whose_clients_send_no_row_hold_nobody_up() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), settings(json!({}))).await;
    let greedy = client(&server, "greedy").await;
    let schema = |n: i64| chunked(&format!("t{n}"), 0).into_iter().take(1).collect();
    let streams: Vec<_> = (0..20).map(|n| Slow::begin(greedy.clone(), schema(n))).collect();
    database.wait_for(&format!("select ({OPEN}) >= 8")).await;
    others_go_on(&server, "other").await;
    for (n, stream) in (0..).zip(streams) {
        assert_eq!(stream.end(&format!("t{n}"), 0).await.unwrap(), 5);
    }
    assert_eq!(database.value("select count(*) from t0").await, "5");
    assert_eq!(database.value("select count(*) from t19").await, "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_hold_nobody_up() {
    let database = Database::create().await;
    database
        .execute("create table large as select n as id, repeat('x', 2000) as text from generate_series(1, 20000) n; create table other (id bigint)")
        .await;
    let server = Server::start_with(database.uri(), settings(json!({}))).await;
    let mut readers = Vec::new();
    for _ in 0..16 {
        let mut greedy = client(&server, "greedy").await;
        readers.push(tokio::spawn(async move {
            let mut request = tonic::Request::new(Ticket::new(json!({"table": "large"}).to_string()));
            *request.metadata_mut() = greedy.headers.clone();
            let mut rows = greedy.client.do_get(request).await?.into_inner();
            drop(rows.next().await);
            std::future::pending::<Result<(), Status>>().await
        }));
    }
    database.wait_for(&format!("select ({OPEN}) >= 12")).await;
    others_go_on(&server, "other").await;
    for reader in readers {
        reader.abort();
    }
}

/// As a load that runs already waits for Postgres, so does one that begins; what time does not heal is told at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_begins_while_postgres_is_away_waits_for_it() {
    for version in versions() {
        let options = Options {
            version: Some(*version),
            ..Options::default()
        };
        let mut cluster = Cluster::private(&options);
        let uri = cluster.uri("postgres");
        let server = Server::start_with(&uri, json!({"pool": {"acquire_timeout": "1s"}})).await;
        cluster.stop();
        let mut flight = Flight::connect(&server).await;
        let rows = [batch(vec![("id", longs(0..3))])];
        let mut waiting = flight.clone();
        let to = json!({"table": "t"});
        let (sent, to_wait) = (rows.clone(), to.clone());
        let put = tokio::spawn(async move { waiting.put(command(to_wait), &sent).await });
        // Its own deadline ends a call.
        let since = Instant::now();
        let mut hurried = flight.clone().with_header("grpc-timeout", "1500m");
        let late = hurried.put(command(to), &rows).await.unwrap_err();
        assert!(
            matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
            "{late}"
        );
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
        // Longer than one wait for a connection.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!put.is_finished(), "it waits");
        let (ready, why) = server.page("/readyz").await;
        assert!(ready.contains("503"), "{ready} {why}");
        cluster.start();
        assert_eq!(put.await.unwrap().unwrap()["committed"], 3);
        let answer = flight.act("pgflight.stream.status", json!({"stream_id": "s"})).await;
        assert!(answer.is_ok() || answer.is_err_and(|error| error.code() == Code::NotFound));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_with_a_login_that_is_refused_is_told_at_once() {
    let database = Database::create().await;
    let role = format!("locked_out_{}", database.name());
    database.execute(&format!("create role {role} nologin")).await;
    let port = Cluster::newest().address().port;
    let uri = format!("postgresql://{role}@127.0.0.1:{port}/{}", database.name());
    let server = Server::start_with(&uri, json!({})).await;
    let put = Flight::connect(&server)
        .await
        .put(command(json!({"table": "t"})), &[batch(vec![("id", longs(0..3))])])
        .await;
    let refused = put.unwrap_err();
    assert!(refused.message().contains("refused the login"), "{refused}");
    database.execute(&format!("drop role {role}")).await;
}
