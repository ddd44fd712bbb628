//! What keys do that no other test shows.

use std::time::{Duration, Instant};

use serde_json::json;
use tonic::transport::Channel;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, longs, path};
use crate::support::process::{Process, Signal, free_address};
use crate::support::server::{Server, page};

/// The sessions of a server under test.
const SESSIONS: &str = "select string_agg(pid::text, ',' order by pid) from pg_stat_activity where datname = current_database() \
                        and pid <> pg_backend_pid() and backend_type = 'client backend'";

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_with_their_lifetime_and_their_idle_time() {
    for settings in [
        json!({"max_lifetime": "300ms"}),
        json!({"idle_timeout": "300ms"}),
        json!({}),
    ] {
        let database = Database::create().await;
        let server = Server::start_with(database.uri(), json!({"pool": settings})).await;
        let mut flight = Flight::connect(&server).await;
        let put = async |flight: &mut Flight| {
            flight
                .put(path(&["t"]), &[batch(vec![("id", longs(0..3))])])
                .await
                .expect("it is taken");
        };
        put(&mut flight).await;
        let first = database.value(SESSIONS).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        put(&mut flight).await;
        let second = database.value(SESSIONS).await;
        let stayed = second
            .split(',')
            .any(|process| first.split(',').any(|earlier| earlier == process));
        assert_eq!(stayed, settings == json!({}), "{settings}: {first}, then {second}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_opens_no_more_connections_than_it_may() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"pool": {"max_size": 3}})).await;
    let puts = (0..12).map(|_| async {
        let rows = vec![batch(vec![("id", longs(0..1_000))]); 20];
        Flight::connect(&server)
            .await
            .put(path(&["t"]), &rows)
            .await
            .expect("it is taken")
    });
    futures::future::join_all(puts).await;
    let sessions = database.value(SESSIONS).await;
    assert!((1..=3).contains(&sessions.split(',').count()), "{sessions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_schema_is_in_the_configured_one() {
    let database = Database::create().await;
    database.execute("create schema landing").await;
    let server = Server::start_with(database.uri(), json!({"schema": "landing"})).await;
    let mut flight = Flight::connect(&server).await;
    flight
        .put(path(&["t"]), &[batch(vec![("id", longs(0..3))])])
        .await
        .expect("it is taken");
    assert_eq!(database.value("select count(*) from landing.t").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_leaves_takes_calls_for_as_long_as_configured() {
    let database = Database::create().await;
    let admin = free_address();
    let settings = [("admin_listen", &*admin.to_string()), ("shutdown.delay", "5s")];
    let mut process = Process::start(database.uri(), &settings).await;
    let started = Instant::now();
    // The admin port is opened after the one that the process is waited for by.
    while tokio::net::TcpStream::connect(admin).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "{}", process.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    process.signal(Signal::Terminate);
    while page(admin, "/readyz").await.1 != "draining\n" {
        assert!(begun.elapsed() < Duration::from_secs(4), "readiness goes off at once");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let channel = Channel::from_shared(process.http())
        .expect("a URI")
        .connect()
        .await
        .expect("the port is open");
    let put = Flight::over(channel)
        .put(path(&["t"]), &[batch(vec![("id", longs(0..3))])])
        .await;
    assert_eq!(put.expect("calls are taken")["committed"], 3);
    assert_eq!(process.exit_code(Duration::from_secs(20)).await, Some(0));
    assert!(begun.elapsed() > Duration::from_millis(1_900), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_as_its_keys_say() {
    let database = Database::create().await;
    let log_of = async |settings: &[(&str, &str)]| {
        let process = Process::start(database.uri(), settings).await;
        let mut flight = Flight::reach(&process.http()).await;
        flight
            .put(path(&["t"]), &[batch(vec![("id", longs(0..3))])])
            .await
            .expect("it is taken");
        process.log()
    };
    let plain = log_of(&[]).await;
    assert!(
        plain.contains("INFO") && plain.contains("serving") && !plain.contains("DEBUG"),
        "{plain}"
    );
    assert_eq!(log_of(&[("log.level", "error")]).await, "");
    assert!(log_of(&[("log.level", "debug")]).await.contains("DEBUG"));
    let filtered = log_of(&[("log.filter", "h2=debug,pgflight=off")]).await;
    assert!(
        filtered.contains("DEBUG") && filtered.contains("h2::") && !filtered.contains("serving"),
        "{filtered}"
    );
    let sql = log_of(&[("log.level", "error"), ("pgx_log_level", "debug")]).await;
    assert!(sql.contains("DEBUG") && !sql.contains("h2::"), "{sql}");
    let json = log_of(&[("log.format", "json")]).await;
    let is_object = |line: &str| serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(line).is_ok();
    assert!(json.contains("serving") && json.lines().all(is_object), "{json}");
}
