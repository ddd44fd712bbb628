//! Connections that say nothing, and more of them than there is room for: others are served all the same, and the log and
//! the metrics say what is going on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, path};
use crate::support::process::{Process, free_address};
use crate::support::server::{Server, page};
use crate::tls::authority::Authority;

/// What is promised to others is a second; a program that is not optimised, beside other tests, is given more.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
/// The first bytes of a TLS handshake: a record that announces 512 bytes and holds six.
const HALF_A_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
/// The client's preface of HTTP/2 and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// HEADERS of stream 1 that announce 200 bytes and hold two.
const HALF_A_CALL: &[u8] = &[0, 0, 200, 1, 4, 0, 0, 0, 1, 0x83, 0x86];

/// So many connections that say only that, held by the caller.
async fn silent(count: usize, address: SocketAddr, says: &'static [u8]) -> Vec<TcpStream> {
    let open = (0..count).map(|_| async move {
        let mut stream = TcpStream::connect(address).await.expect("the port listens");
        stream.write_all(says).await.ok();
        stream
    });
    futures::future::join_all(open).await
}

/// Puts over connections of their own and asks for readiness, each in time once the silent ones are all there: the first
/// stand behind them in the kernel's queue.
async fn assert_served(endpoint: &Endpoint, admin: SocketAddr) {
    for round in 0..10 {
        let begun = Instant::now();
        let channel = endpoint.connect().await.expect("others are let in");
        let rows = [batch(vec![("id", longs(0..3))])];
        let answer = Flight::over(channel).put(path(&["t"]), &rows).await;
        assert_eq!(answer.expect("others are served")["committed"], 3);
        let put = begun.elapsed();
        let begun = Instant::now();
        assert_eq!(page(admin, "/readyz").await.0, "HTTP/1.0 200 OK");
        let (asked, limit) = (begun.elapsed(), SOON);
        assert!(
            round == 0 || put < limit && asked < limit,
            "{round}: put {put:?}, readiness {asked:?}"
        );
    }
}

fn closed(metrics: &str, port: &str, reason: &str) -> u64 {
    let name = format!("pgflight_connections_closed_total{{port=\"{port}\",reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |value| value.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_silent_connections_keep_nobody_out() {
    let database = Database::create().await;
    database.execute("create table t (id bigint)").await;
    let admin = free_address();
    let settings = [("admin_listen", &*admin.to_string())];
    let process = Process::start_within(database.uri(), &settings, Some(256)).await;
    let endpoint = Channel::from_shared(process.http()).expect("a URI");
    for says in [&b""[..], PREFACE, HALF_A_CALL] {
        let both = (silent(1_000, process.address(), says), silent(1_000, admin, b"GET /"));
        let _silent = tokio::join!(both.0, both.1);
        assert_served(&endpoint, admin).await;
    }
    let metrics = page(admin, "/metrics").await.1;
    assert!(closed(&metrics, "grpc", "replaced") > 800, "{metrics}");
    assert!(closed(&metrics, "admin", "replaced") > 800, "{metrics}");
    assert!(process.log().contains("made no call were closed"), "{}", process.log());
}

/// Both at once, and the streams come from the address of those who are to be served: sessions are shared out by connection then.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_stalled_atomic_streams_beside_a_thousand_silent_connections_keep_nobody_out() {
    let database = Database::create().await;
    database.execute("create table t (id bigint)").await;
    let admin = free_address();
    let settings = [
        ("admin_listen", &*admin.to_string()),
        ("limits.max_streams", "600"),
        ("limits.stream_idle_timeout", "300s"),
    ];
    let process = Process::start_within(database.uri(), &settings, Some(256)).await;
    let endpoint = Channel::from_shared(process.http()).expect("a URI");
    let mut stalled = Vec::new();
    for _ in 0..5 {
        let flight = Flight::over(endpoint.connect().await.expect("the port listens"));
        for _ in 0..100 {
            let (sender, rest) = tokio::sync::mpsc::unbounded_channel();
            let to = command(json!({"table": "t", "batch_size": 2}));
            for message in messages(to, &[batch(vec![("id", longs(0..5))])]) {
                sender.send(message).expect("it is open");
            }
            let mut flight = flight.clone();
            let put = async move { flight.stream(UnboundedReceiverStream::new(rest)).await.map(drop) };
            stalled.push((sender, tokio::spawn(put)));
        }
    }
    let open = "select count(*) >= 8 from pg_stat_activity where datname = current_database() and xact_start is not null \
                and application_name = 'pgflight'";
    database.wait_for(open).await;
    let _silent = silent(1_000, process.address(), PREFACE).await;
    assert_served(&endpoint, admin).await;
    let ended = stalled.iter().filter(|(_, put)| put.is_finished()).count();
    assert_eq!(ended, 0, "they are stalled, not refused");
    for (_, put) in stalled {
        put.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_stalled_tls_handshakes_keep_nobody_out() {
    let database = Database::create().await;
    database.execute("create table t (id bigint)").await;
    let (admin, authority) = (free_address(), Authority::new("ours"));
    let issued = authority.issue("localhost");
    let settings = [
        ("admin_listen", &*admin.to_string()),
        ("tls.cert", &issued.cert_file),
        ("tls.key", &issued.key_file),
    ];
    let process = Process::start_within(database.uri(), &settings, Some(256)).await;
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let endpoint = Channel::from_shared(format!("https://localhost:{}", process.address().port()))
        .expect("a URI")
        .tls_config(trusting)
        .expect("usable certificates");
    for says in [&b""[..], HALF_A_HELLO] {
        let _silent = silent(1_000, process.address(), says).await;
        assert_served(&endpoint, admin).await;
    }
}

/// How long the server leaves a connection open that says only this.
async fn left_open(address: SocketAddr, says: Vec<u8>) -> Duration {
    let mut stream = TcpStream::connect(address).await.expect("the port listens");
    let begun = Instant::now();
    stream.write_all(&says).await.expect("it is taken");
    let mut scrap = [0; 256];
    let closed = async { while !matches!(stream.read(&mut scrap).await, Ok(0) | Err(_)) {} };
    let closed = tokio::time::timeout(Duration::from_secs(20), closed).await;
    closed.unwrap_or_else(|_| panic!("never closed: {says:?}"));
    begun.elapsed()
}

/// A channel that counts how often it connects.
async fn counting(endpoint: Endpoint, address: SocketAddr) -> (Flight, Arc<AtomicUsize>) {
    let connects = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connects);
    let connector = tower::service_fn(move |_: http::Uri| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { TcpStream::connect(address).await.map(hyper_util::rt::TokioIo::new) }
    });
    let channel = endpoint.connect_with_connector(connector).await.expect("it listens");
    (Flight::over(channel), connects)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_makes_no_call_is_closed_in_time_and_one_that_made_a_call_stays() {
    let database = Database::create().await;
    let authority = Authority::new("ours");
    let issued = authority.issue("localhost");
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let plain = json!({"limits": {"handshake_timeout": "1s"}});
    let mut secure = plain.clone();
    secure["tls"] = json!({"cert": issued.cert_file, "key": issued.key_file});
    let half_a_call = [PREFACE, HALF_A_CALL].concat();
    for (settings, silent) in [
        (plain, vec![vec![], b"PRI".to_vec(), PREFACE.to_vec(), half_a_call]),
        (secure, vec![vec![], HALF_A_HELLO.to_vec()]),
    ] {
        let server = Server::start_with(database.uri(), settings.clone()).await;
        let endpoint = match settings["tls"].is_null() {
            true => Endpoint::from_shared(server.http()).expect("a URI"),
            false => Endpoint::from_static("https://localhost")
                .tls_config(trusting.clone())
                .expect("usable certificates"),
        };
        let (mut flight, connects) = counting(endpoint, server.address()).await;
        let mut put = async || {
            let rows = [batch(vec![("id", longs(0..3))])];
            flight.put(path(&["t"]), &rows).await.expect("it is taken")
        };
        put().await;
        let all = silent.into_iter().map(|says| left_open(server.address(), says));
        for open in futures::future::join_all(all).await {
            assert!(open > Duration::from_millis(900), "closed after {open:?}");
        }
        put().await;
        assert_eq!(
            connects.load(Ordering::SeqCst),
            1,
            "{settings}: the connection with a call stayed"
        );
    }
}

/// Each call has its place among the streams of a connection, and its connection one among all.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_message_never_comes_is_ended() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"limits": {"stream_idle_timeout": "500ms"}})).await;
    let stream = TcpStream::connect(server.address()).await.expect("the port listens");
    let (mut requests, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    for (call, says) in [
        ("arrow.flight.protocol.FlightService/GetFlightInfo", &b""[..]),
        ("arrow.flight.protocol.FlightService/DoAction", &[0, 0, 0, 1, 0, b'x']),
        ("arrow.flight.protocol.FlightService/DoPut", b""),
        ("cloudquery.plugin.v3.Plugin/Init", b""),
        ("grpc.health.v1.Health/Check", b""),
    ] {
        let request = http::Request::post(format!("http://localhost/{call}"))
            .header("content-type", "application/grpc")
            .body(())
            .expect("a request");
        let (answer, mut body) = requests.send_request(request, false).expect("a stream");
        body.send_data(bytes::Bytes::from_static(says), false)
            .expect("it is taken");
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
        let answer = answer
            .unwrap_or_else(|_| panic!("{call} waits for good"))
            .expect("an answer");
        assert_eq!(
            answer.headers().get("grpc-status").expect("a status"),
            "4",
            "{call}: {answer:?}"
        );
    }
}

/// A connection from an address of this machine that has made a call.
async fn talking(process: &Process, from: &str) -> Result<h2::client::SendRequest<bytes::Bytes>, String> {
    let socket = TcpSocket::new_v4().expect("a socket");
    let from: SocketAddr = format!("{from}:0").parse().expect("an address");
    socket.bind(from).expect("an address of this machine");
    let stream = socket
        .connect(process.address())
        .await
        .map_err(|error| error.to_string())?;
    let (mut requests, connection) = h2::client::handshake(stream).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = http::Request::post("http://localhost/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .body(())
        .expect("a request");
    let (answer, mut body) = requests
        .send_request(request, false)
        .map_err(|error| error.to_string())?;
    body.send_data(vec![0; 5].into(), true)
        .map_err(|error| error.to_string())?;
    answer.await.map_err(|error| error.to_string())?;
    Ok(requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limits_are_closed_counted_and_warned_about() {
    let database = Database::create().await;
    let admin = free_address();
    let settings = [
        ("admin_listen", &*admin.to_string()),
        ("limits.max_connections", "5"),
        ("limits.max_connections_per_address", "3"),
    ];
    let process = Process::start(database.uri(), &settings).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(talking(&process, "127.0.0.1").await.expect("below the limit"));
    }
    talking(&process, "127.0.0.1")
        .await
        .expect_err("a fourth of this address");
    for from in ["127.0.0.2", "127.0.0.3"] {
        held.push(talking(&process, from).await.expect("another address"));
    }
    talking(&process, "127.0.0.4").await.expect_err("a sixth");
    let metrics = page(admin, "/metrics").await.1;
    assert_eq!(
        (closed(&metrics, "grpc", "address"), closed(&metrics, "grpc", "total")),
        (1, 1),
        "{metrics}"
    );
    let log = process.log();
    assert!(log.contains("limits.max_connections_per_address"), "{log}");
    // A place comes back with the connection that had it.
    held.truncate(4);
    let mut tries = 0;
    while let Err(error) = talking(&process, "127.0.0.4").await {
        tries += 1;
        assert!(tries < 200, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_the_log_says_so_and_the_admin_port_answers() {
    let database = Database::create().await;
    let admin = free_address();
    let settings = [("admin_listen", &*admin.to_string())];
    // Fewer than what is kept back for Postgres, for files and for the admin port.
    let process = Process::start_within(database.uri(), &settings, Some(40)).await;
    let both = (silent(50, process.address(), b""), silent(50, admin, b""));
    let _silent = tokio::join!(both.0, both.1);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !process.log().contains("connections cannot be taken") {
        assert!(Instant::now() < deadline, "{}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for round in 0..5 {
        let begun = Instant::now();
        assert_eq!(page(admin, "/healthz").await.0, "HTTP/1.0 200 OK");
        let asked = begun.elapsed();
        assert!(round == 0 || asked < SOON, "{round}: {asked:?}");
    }
    let log = process.log();
    assert!(log.contains("the limit of open files"), "{log}");
    assert!(
        log.matches("connections cannot be taken").count() < 5,
        "now and then is enough: {log}"
    );
}

/// The connection is not polled any more, so that nobody answers pings.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_answers_no_ping_is_closed_after_the_keepalive_timeout() {
    let database = Database::create().await;
    let limits = json!({"limits": {"http2_keepalive_interval": "200ms", "http2_keepalive_timeout": "300ms"}});
    let server = Server::start_with(database.uri(), limits).await;
    let stream = std::net::TcpStream::connect(server.address()).expect("the port listens");
    stream.set_nonblocking(true).expect("a socket");
    let watched = TcpStream::from_std(stream.try_clone().expect("a descriptor")).expect("a runtime");
    let stream = TcpStream::from_std(stream).expect("a runtime");
    let (mut requests, mut connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let request = http::Request::post("http://localhost/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .body(())
        .expect("a request");
    let (answer, mut body) = requests.send_request(request, false).expect("a stream");
    body.send_data(bytes::Bytes::from_static(&[0; 5]), true)
        .expect("a body");
    tokio::select! {
        answer = answer => assert_eq!(answer.expect("an answer").status(), 200),
        ended = &mut connection => panic!("{ended:?}"),
    }
    let begun = Instant::now();
    let mut watched = watched;
    let mut scrap = [0; 1024];
    let gone = async { while !matches!(watched.read(&mut scrap).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(Duration::from_secs(15), gone)
        .await
        .expect("the connection is given up");
    assert!(begun.elapsed() > Duration::from_millis(400), "{:?}", begun.elapsed());
}
