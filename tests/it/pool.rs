//! The pool of sessions: which server it reaches, why it could not, and what a session keeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_flight::FlightData;
use pgflight::config::FixedSource;
use pgflight::config::Pooler;
use pgflight::model::ident::{Ident, TableName};
use pgflight::postgres::catalog::read_table;
use pgflight::postgres::connect::{ConnectError, ConnectPlan, Connector};
use pgflight::postgres::error::Error;
use pgflight::postgres::pool::{Connections, PoolSettings};
use pgflight::postgres::session::SessionSettings;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::cluster::{Cluster, versions};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages};
use crate::support::process::free_address;
use crate::support::server::Server;

const SETTINGS: PoolSettings = PoolSettings {
    max_size: 8,
    wait: Duration::from_millis(300),
    away: Duration::from_millis(300),
    max_lifetime: Duration::from_secs(3600),
    idle_timeout: Duration::from_secs(3600),
    pooler: Pooler::Auto,
};

fn pool(text: &str, settings: PoolSettings) -> Connections {
    let plan = ConnectPlan::new(text, Duration::from_secs(5), &FixedSource::new()).expect(text);
    Connections::new(Connector::new(plan), SessionSettings::default(), settings).expect("settings")
}

/// Why no session of that string can be had.
async fn why(text: &str) -> ConnectError {
    match pool(text, SETTINGS).get().await {
        Err(Error::Connect(why)) => *why,
        other => panic!("{text}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_are_followed_and_each_refusal_has_its_own_reason() {
    for version in versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        let (port, name) = (Cluster::shared(*version).address().port, database.name());
        let closed = free_address().port();
        let crowded = format!("crowded_{name}");
        let locked_out = format!("locked_out_{name}");
        database
            .execute(&format!(
                "create role {crowded} login connection limit 0; create role {locked_out} nologin"
            ))
            .await;
        let at = |ports: &str, more: &str| {
            let hosts = ports.split(',').map(|_| "127.0.0.1").collect::<Vec<_>>().join(",");
            format!("host={hosts} port={ports} dbname={name} user=postgres {more}")
        };
        let followed = pool(&at(&format!("{closed},{port}"), ""), SETTINGS).get().await;
        let answer = followed
            .expect("the second host")
            .client()
            .query_one("select current_database()", &[])
            .await;
        assert_eq!(answer.expect("an answer").get::<_, String>(0), name);

        use ConnectError as E;
        let both = why(&at(&format!("{closed},{closed}"), "")).await;
        assert!(matches!(&both, E::AllFailed(all) if all.len() == 2), "{both}");
        let unknown = why("host=no-such-host.invalid user=postgres").await;
        assert!(matches!(unknown, E::Dns { .. }), "{unknown}");
        let unreachable = why(&at(&closed.to_string(), "")).await;
        assert!(matches!(unreachable, E::Unreachable { .. }), "{unreachable}");
        let at = |more: &str| at(&port.to_string(), more);
        let login = why(&at(&format!("user={locked_out}"))).await;
        assert!(matches!(login, E::Auth { .. }), "{login}");
        let missing = why(&at("dbname=nowhere")).await;
        assert!(matches!(missing, E::UnknownDatabase { .. }), "{missing}");
        let plain = why(&at("sslmode=require")).await;
        assert!(matches!(plain, E::Tls { .. }), "{plain}");
        let full = why(&at(&format!("user={crowded}"))).await;
        assert!(matches!(full, E::TooManyConnections { .. }), "{full}");
        let standby = why(&at("target_session_attrs=read-write default_transaction_read_only=on")).await;
        assert!(matches!(standby, E::WrongRole { .. }), "{standby}");
        let starting = why(&refuser("57P03").await).await;
        assert!(matches!(starting, E::NotReady { .. }), "{starting}");
        database
            .execute(&format!("drop role {crowded}; drop role {locked_out}"))
            .await;
    }
}

/// A server that refuses everybody, each with another sentence.
async fn refuser(code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        for turn in 1.. {
            let Ok((mut socket, _)) = listener.accept().await else {
                return;
            };
            tokio::spawn(async move {
                let mut startup = [0; 1024];
                drop(socket.read(&mut startup).await);
                let fields = format!("SFATAL\0VFATAL\0C{code}\0Mrefusal {turn}.\0\0");
                let length = u32::try_from(fields.len() + 4).expect("short").to_be_bytes();
                // All have come before the first is refused.
                tokio::time::sleep(Duration::from_millis(300)).await;
                let answer = [&b"E"[..], &length, fields.as_bytes()].concat();
                drop(socket.write_all(&answer).await);
            });
        }
    });
    format!("host=127.0.0.1 port={port} user=u sslmode=disable")
}

/// The trait of `deadpool-postgres` returns an error that says nothing: what it stands for must be of the same attempt.
#[tokio::test(flavor = "multi_thread")]
async fn of_attempts_at_once_each_tells_its_own_failure() {
    let connections = Arc::new(pool(&refuser("XX000").await, SETTINGS));
    for _ in 0..3 {
        let attempts = (0..8).map(|_| {
            let connections = Arc::clone(&connections);
            tokio::spawn(async move { connections.get().await.err().map(|error| error.to_string()) })
        });
        let mut told = Vec::new();
        for attempt in attempts.collect::<Vec<_>>() {
            told.push(attempt.await.expect("it ends").expect("it is refused"));
        }
        told.sort();
        let count = told.len();
        told.dedup();
        assert_eq!(told.len(), count, "{told:?}");
        assert!(told.iter().all(|text| text.contains("refusal ")), "{told:?}");
    }
}

/// How often the catalog was asked for by a statement that the session keeps.
const KEPT: &str = "select coalesce(sum(generic_plans + custom_plans), 0)::bigint, count(*) from pg_prepared_statements \
                    where statement like '-- One table as the catalog%'";

/// Looks a table up three times on one session; how often by how many kept statements.
async fn look_three_times(text: &str, pooler: Pooler) -> (i64, i64) {
    let settings = PoolSettings {
        max_size: 1,
        pooler,
        ..SETTINGS
    };
    let connections = pool(text, settings);
    let table = TableName::bare(Ident::new("t").expect("a name"));
    for _ in 0..3 {
        let connection = connections.get().await.expect("a session");
        let found = read_table(connection.client(), &table, None).await.expect("an answer");
        assert!(found.table.is_some());
    }
    let connection = connections.get().await.expect("a session");
    let rows = connection.client().query_typed(KEPT, &[]).await.expect("an answer");
    (rows[0].get(0), rows[0].get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_prepares_the_look_at_the_catalog_once_unless_a_pooler_stands_between() {
    for version in versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        database.execute("create table t (id bigint)").await;
        let uri = database.uri();
        assert_eq!(look_three_times(uri, Pooler::Auto).await, (3, 1));
        assert_eq!(look_three_times(uri, Pooler::Session).await, (3, 1));
        assert_eq!(look_three_times(uri, Pooler::Transaction).await, (0, 0));
        let port = greeter(Cluster::shared(*version).address().port).await;
        let greeted = format!("host=127.0.0.1 port={port} user=postgres dbname={}", database.name());
        assert_eq!(look_three_times(&greeted, Pooler::Auto).await, (0, 0));
        assert_eq!(look_three_times(&greeted, Pooler::Session).await, (3, 1));
    }
}

/// Passes everything on, and greets clients with a process number of its own, as poolers do.
async fn greeter(postgres: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", postgres)).await.expect("Postgres");
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut piece = vec![0; 64 << 10];
                while let Ok(length @ 1..) = from_server.read(&mut piece).await {
                    // BackendKeyData: type, length 12, process, key.
                    let head = piece[..length].windows(5).position(|five| five == b"K\0\0\0\x0c");
                    if let Some(at) = head {
                        piece[at + 5] ^= 0x55;
                    }
                    if to_client.write_all(&piece[..length]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Each update of a stream's row notes what its session keeps.
const SPY: &str = "create table seen (statement text, runs bigint); \
    create function spy() returns trigger language plpgsql as $$ begin delete from seen; \
    insert into seen select statement, generic_plans + custom_plans from pg_prepared_statements; return new; end $$; \
    create trigger spy after update on pgflight.stream for each row execute function spy()";

fn stream(stream_id: &str, seqs: std::ops::Range<i64>) -> Vec<FlightData> {
    let batches: Vec<_> = seqs.clone().map(|seq| batch(vec![("id", longs([seq]))])).collect();
    let to = command(json!({"table": "t", "stream_id": stream_id, "acks": "progress"}));
    let mut messages = messages(to, &batches);
    for (message, seq) in messages.iter_mut().skip(1).zip(seqs) {
        message.app_metadata = json!({"seq": seq, "token": format!("t{seq}")}).to_string().into();
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_look_at_catalog_and_streams_by_statements_that_are_prepared_once() {
    for version in versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        let server = Server::start_with(
            database.uri(),
            json!({"pool": {"max_size": 1}, "batch_timeout": "10ms"}),
        )
        .await;
        let mut flight = Flight::connect(&server).await;
        flight.send(stream("first", 0..1)).await.unwrap();
        database.execute(SPY).await;
        // Otherwise the plan would be used again, without a look at the catalog.
        database.execute("create table heir () inherits (t)").await;
        for n in 0..8 {
            flight.send(stream(&format!("s{n}"), 0..2)).await.unwrap();
        }
        for beginning in [
            "-- One table as the catalog",
            "-- $1 text: schema. Whether our own tables",
            "-- Newest migration of our own tables",
            "-- Opens a stream",
            "-- Locks a stream",
            "-- Moves a stream on",
        ] {
            let kept =
                format!("select count(*) || ' ' || (min(runs) >= 8) from seen where statement like '{beginning}%'");
            assert_eq!(
                database.value(&kept).await,
                "1 true",
                "{beginning}: {:?}",
                database.lines("table seen").await
            );
        }
    }
}

/// `0A000 cached plan must not change result type`, inside the transaction of a chunk and between two loads.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_statement_whose_columns_changed_is_prepared_anew() {
    for version in versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        let server = Server::start_with(
            database.uri(),
            json!({"pool": {"max_size": 2}, "batch_timeout": "10ms"}),
        )
        .await;
        let mut flight = Flight::connect(&server).await;
        flight.send(stream("before", 0..3)).await.unwrap();
        let (sender, messages) = tokio::sync::mpsc::unbounded_channel();
        let mut running = Flight::connect(&server).await;
        let messages = tokio_stream::wrappers::UnboundedReceiverStream::new(messages);
        let put = tokio::spawn(async move { running.stream(messages).await });
        let sent = AtomicUsize::new(0);
        let send = |count: usize| {
            let from = sent.fetch_add(count, Ordering::Relaxed);
            for message in stream("running", 0..4).into_iter().skip(from).take(count) {
                sender.send(message).expect("the put runs");
            }
        };
        for (round, ty) in ["varchar", "text", "varchar"].into_iter().enumerate() {
            send(if round == 0 { 2 } else { 1 });
            let rows = format!(
                "select count(*) = {} from pgflight.stream where stream_id = 'running' and rows = {}",
                1,
                round + 1
            );
            database.wait_for(&rows).await;
            database
                .execute(&format!("alter table pgflight.stream alter column token type {ty}"))
                .await;
        }
        send(2);
        drop(sender);
        put.await.unwrap().unwrap();
        database
            .execute("alter table pgflight.stream alter column token type text")
            .await;
        flight.send(stream("after", 0..3)).await.unwrap();
        assert_eq!(database.value("select count(*) from t").await, "10");
    }
}
