//! F19, F20, F24: clients that stall, vanish, cancel, or knock without end.

use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use tonic::Code;

use super::{MODES, Mode, ROWS, Scene, endless, oracle_for, put};
use crate::cloudquery::client::Cq;
use crate::support::chaos::Proxy;
use crate::support::database::Database;
use crate::support::feed::{Plan, Tap, feed};
use crate::support::flight::{Flight, messages};
use crate::support::oracle::{self, leftovers};
use crate::support::process::Process;

/// F19: between two chunks a `batch` load holds nothing; an `atomic` one only until the idle timeout.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_holds_no_transaction() {
    for mode in MODES {
        let idle = if mode.atomic() { "2s" } else { "300s" };
        let scene = Scene::set_with(json!({"limits": {"stream_idle_timeout": idle}, "batch_timeout": "100ms"})).await;
        let mut oracle = oracle_for(mode);
        let tap = Tap::default();
        let stalling = Plan {
            pace: Duration::from_secs(300),
            chunks: Some(2),
            ..endless(mode, "stalled")
        };
        let load = tokio::spawn(feed(scene.client().await, stalling, tap.clone()));
        tap.wait_for(1).await;
        let open = "(select count(*) from pg_stat_activity where datname = current_database() and xact_start is not null \
                    and pid <> pg_backend_pid())";
        if !mode.atomic() {
            // The chunk is there, and nothing is open while the client still says nothing.
            let stored = format!("select exists (select from {})", mode.table());
            scene.database.wait_for(&stored).await;
            scene.database.wait_for(&format!("select {open} = 0")).await;
            assert_eq!(tap.sent(), 1, "{mode:?}");
            tap.close();
        }
        let fed = load.await.unwrap();
        scene.database.wait_for(&format!("select {open} = 0")).await;
        fed.tell(&mut oracle);
        match &fed.result {
            Ok(_) => assert!(!mode.atomic(), "{mode:?}"),
            Err(status) => assert_eq!(status.code(), Code::DeadlineExceeded, "{mode:?}: {}", fed.ending()),
        }
        oracle
            .assert_holds(&scene.database, &format!("{mode:?}: {}", fed.ending()))
            .await;
    }
}

/// F20: the client's host is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_in_the_middle_leaves_whole_chunks_and_nothing_else() {
    for mode in MODES {
        let scene = Scene::set().await;
        let leg = Proxy::opaque(scene.server.address()).await;
        let mut oracle = oracle_for(mode);
        let tap = Tap::default();
        let load = feed(
            Flight::reach(&leg.http()).await,
            endless(mode, "vanishing"),
            tap.clone(),
        );
        let load = tokio::spawn(load);
        tap.wait_for(5).await;
        leg.reset_all();
        let fed = load.await.unwrap();
        assert!(fed.result.is_err(), "A10 {}", fed.ending());
        fed.tell(&mut oracle);
        oracle
            .assert_holds(&scene.database, &format!("{mode:?}: {}", fed.ending()))
            .await;
        put(&mut scene.client().await, mode, &mut oracle, "after", 2)
            .await
            .unwrap();
        oracle.assert_holds(&scene.database, &format!("{mode:?}, after")).await;
    }
}

/// F20: the call is cancelled, or its deadline passes, or its program is stopped: a client of any language resets the HTTP/2
/// stream then. None of these is the end of the rows. (A dropped tonic call goes on sending, so h2 is used.)
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_is_rolled_back_and_leaves_nothing() {
    for mode in MODES {
        for reason in [h2::Reason::CANCEL, h2::Reason::NO_ERROR] {
            cancel(mode, reason).await;
        }
    }
}

async fn cancel(mode: Mode, reason: h2::Reason) {
    let scene = Scene::set().await;
    let mut oracle = oracle_for(mode);
    let batches: Vec<_> = (0..5).map(|seq| mode.rows("cancelled", seq, ROWS)).collect();
    let (mut body, driving) = open_call(&scene, DO_PUT).await;
    for (seq, message) in messages(mode.to(ROWS), &batches).into_iter().enumerate() {
        send(&mut body, &message);
        if let Some(seq) = seq.checked_sub(1) {
            oracle.sent("cancelled", seq as u64, ROWS);
        }
    }
    // A table with pages was written to, which stays to be seen however late somebody looks.
    let written = format!(
        "select coalesce(pg_relation_size(to_regclass('{}')), 0) > 0",
        mode.table()
    );
    let staged = "exists (select from pg_stat_activity where datname = current_database() and query ilike '%copy%' \
                  and application_name = 'pgflight')";
    scene.database.wait_for(&format!("{written} or {staged}")).await;
    body.send_reset(reason);
    let context = format!("{mode:?} {reason:?}");
    oracle.assert_holds(&scene.database, &context).await;
    if mode.atomic() {
        let count = format!("select count(*) from {}", mode.table());
        assert_eq!(scene.database.value(&count).await, "0", "{context}");
    }
    driving.abort();
}

/// A call on a connection of its own, frame by frame.
async fn open_call(
    scene: &Scene,
    method: &str,
) -> (h2::SendStream<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let socket = tokio::net::TcpStream::connect(scene.server.address()).await;
    let handshake = h2::client::handshake(socket.expect("it accepts")).await;
    let (requests, connection) = handshake.expect("HTTP/2");
    let driving = tokio::spawn(connection);
    let mut requests = requests.ready().await.expect("a place for a stream");
    let (_answer, body) = requests.send_request(call(method), false).expect("a stream");
    (body, driving)
}

fn send(body: &mut h2::SendStream<Bytes>, message: &FlightData) {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a small message").to_be_bytes();
    let framed = [&[0][..], &length, &message].concat();
    body.send_data(framed.into(), false).expect("the stream is open");
}

/// F19: memory is held for a message whose length has come, but not for good.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_announce_a_message_and_fall_silent_do_not_keep_its_memory() {
    for method in [DO_PUT, CLOUDQUERY_WRITE] {
        fall_silent(method).await;
    }
}

async fn fall_silent(method: &str) {
    let limits = json!({"max_inflight_bytes": 3 << 20, "max_message_bytes": 1 << 20, "stream_idle_timeout": "1s"});
    let scene = Scene::set_with(json!({"limits": limits})).await;
    // What a Write needs; it holds for calls on other connections, too.
    let _client = Cq::ready(&scene.server).await;
    let (mode, mut silent) = (MODES[0], Vec::new());
    for _ in 0..3 {
        let (mut body, driving) = open_call(&scene, method).await;
        if method == DO_PUT {
            send(&mut body, &messages(mode.to(ROWS), &[mode.rows("silent", 0, ROWS)])[0]);
        }
        let announced = [&[0][..], &(1_u32 << 20).to_be_bytes()].concat();
        body.send_data(announced.into(), false).expect("the stream is open");
        silent.push((body, driving));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut oracle = oracle_for(mode);
    let mut client = scene.client().await;
    let honest = put(&mut client, mode, &mut oracle, "honest", 4);
    let honest = tokio::time::timeout(Duration::from_secs(60), honest).await;
    honest
        .unwrap_or_else(|_| panic!("{method} holds an honest client up for good"))
        .expect("its rows are taken");
    oracle
        .assert_holds(&scene.database, &format!("after the silence of {method}"))
        .await;
    for (_, driving) in silent {
        driving.abort();
    }
}

/// An end of stream that lacks what a strict stream promised commits nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_stream_that_ends_early_but_cleanly_is_refused_when_it_is_strict() {
    let scene = Scene::set().await;
    let mode = MODES[1];
    let mut flight = scene.client().await.with_header("pgflight-expected-rows", "1000");
    let error = flight
        .put(mode.to(ROWS), &[oracle::rows("s", 0, ROWS)])
        .await
        .expect_err("800 rows are missing");
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert_eq!(scene.database.value("select count(*) from append_atomic").await, "0");
    assert_eq!(leftovers(&scene.database).await, Vec::<String>::new());
}

/// F24: connections and calls without end cost bounded memory and do not keep an honest client from loading.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_connections_resets_and_empty_frames_cost_bounded_memory() {
    let database = Database::create().await;
    for mode in MODES {
        database.execute(&mode.create_table()).await;
    }
    let process = Process::start(database.uri(), &[]).await;
    let address = process.http().replace("http://", "");
    let before = process.peak_memory();
    let mut idle = Vec::new();
    for _ in 0..1_500 {
        idle.push(tokio::net::TcpStream::connect(&address).await.expect("it accepts"));
    }
    let resets = flood(&address, Flood::RapidReset);
    let empties = flood(&address, Flood::EmptyData);
    let mode = MODES[0];
    let mut oracle = oracle_for(mode);
    let honest = async {
        let mut flight = Flight::reach(&process.http()).await;
        for stream in 0..5 {
            put(&mut flight, mode, &mut oracle, &format!("{stream}"), 4)
                .await
                .unwrap();
        }
    };
    let started = Instant::now();
    let ((), resets, empties) = tokio::join!(honest, resets, empties);
    let grown = process.peak_memory().saturating_sub(before) >> 20;
    println!(
        "{resets} resets and {empties} empty frames in {:?}: {grown} MiB more",
        started.elapsed()
    );
    assert!(resets > 0 && empties > 0, "A10");
    assert!(grown < 128, "A9 {grown} MiB more at the peak");
    oracle.assert_holds(&database, "flood").await;
    drop(idle);
}

#[derive(Clone, Copy, Debug)]
enum Flood {
    RapidReset,
    EmptyData,
}

/// Floods for a while or until the server ends the connection, whichever is first; counts what was sent.
async fn flood(address: &str, kind: Flood) -> u64 {
    let socket = tokio::net::TcpStream::connect(address).await.expect("it accepts");
    let (mut requests, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    let driving = tokio::spawn(connection);
    let until = Instant::now() + Duration::from_secs(2);
    let mut sent = 0;
    while Instant::now() < until {
        let Ok(ready) = requests.ready().await else { break };
        requests = ready;
        let Ok((answer, mut body)) = requests.send_request(call(DO_PUT), false) else {
            break;
        };
        match kind {
            Flood::RapidReset => {
                body.send_reset(h2::Reason::CANCEL);
                sent += 1;
            }
            Flood::EmptyData => {
                while Instant::now() < until && body.send_data(Bytes::new(), false).is_ok() {
                    sent += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
        drop(answer);
        tokio::task::yield_now().await;
    }
    driving.abort();
    sent
}

const DO_PUT: &str = "arrow.flight.protocol.FlightService/DoPut";
const CLOUDQUERY_WRITE: &str = "cloudquery.plugin.v3.Plugin/Write";

fn call(method: &str) -> axum::http::Request<()> {
    axum::http::Request::post(format!("http://127.0.0.1/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}
