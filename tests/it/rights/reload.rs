//! Tokens, rules and certificates change while a server runs: for the next call or handshake, and no stream notices.

use serde_json::json;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::flight_refusals::{refused, rows};
use crate::support::database::Database;
use crate::support::flight::{Flight, command, messages, path};
use crate::support::process::{Process, Signal};
use crate::support::server::Server;
use crate::tls::authority::Authority;

fn with(flight: &Flight, token: &str) -> Flight {
    flight.clone().with_header("authorization", &format!("Bearer {token}"))
}

fn auth(token: &str, may: &[&str]) -> serde_json::Value {
    json!({"pool": {"max_size": 24}, "auth": {
        "tokens": [{"principal": "etl", "token": token}],
        "rules": [{"principal": "etl", "tables": ["public.*"], "may": may}],
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tokens_and_rules_hold_for_the_next_call_and_no_stream_notices() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), auth("one", &["append", "migrate"])).await;
    let flight = Flight::connect(&server).await;
    let mut streams = Vec::new();
    database.execute("create table t (id bigint, name text)").await;
    for _ in 0..20 {
        let (sender, receiver) = tokio::sync::mpsc::channel(8);
        let to = command(json!({"table": "t", "commit": "batch"}));
        let mut all = messages(to, &[rows(), rows()]);
        let rest = all.split_off(2);
        for message in all {
            sender.send(message).await.unwrap();
        }
        let mut stream = with(&flight, "one");
        let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
        streams.push((sender, rest, tokio::spawn(async move { stream.stream(receiver).await })));
    }
    database.wait_for("select count(*) = 40 from t").await;
    assert_eq!(server.reload(auth("two", &["read"])), Ok(Vec::new()));
    let old = with(&flight, "one").put(path(&["late"]), &[rows()]).await;
    refused(old, Code::Unauthenticated, &["auth.tokens"]);
    let new = with(&flight, "two").put(path(&["late"]), &[rows()]).await;
    refused(new, Code::PermissionDenied, &["append"]);
    for (sender, rest, put) in streams {
        for message in rest {
            sender.send(message).await.unwrap();
        }
        drop(sender);
        let answers = put.await.unwrap().expect("what has begun goes on");
        assert_eq!(answers.last().unwrap()["rows"], 4);
    }
    assert_eq!(database.value("select count(*) from t").await, "80");
    assert_eq!(
        server.reload(json!({"pool": {"max_size": 24}, "lanes": 2})),
        Ok(vec!["lanes".to_owned()]),
        "named, and not in force"
    );
    assert_eq!(flight.clone().put(path(&["open"]), &[rows()]).await.unwrap()["rows"], 2);
}

async fn over_tls(server: &Server, authority: &Authority) -> Result<Flight, String> {
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let endpoint = Channel::from_shared(format!("https://localhost:{}", server.address().port())).expect("it works");
    let channel = endpoint.tls_config(trusting).expect("it works").connect().await;
    channel.map(Flight::over).map_err(|error| format!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_hold_for_the_next_handshake_and_connections_stay() {
    let database = Database::create().await;
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let issued = old.issue("localhost");
    let tls = json!({"tls": {"cert": issued.cert_file, "key": issued.key_file}});
    let server = Server::start_with(database.uri(), tls.clone()).await;
    let mut before = over_tls(&server, &old).await.unwrap();
    assert_eq!(before.put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
    std::fs::write(&issued.cert_file, "nothing").unwrap();
    let refused = server.reload(tls.clone()).unwrap_err();
    assert!(refused.contains("tls.cert"), "{refused}");
    over_tls(&server, &old).await.expect("the old ones stay");
    let renewed = new.issue("localhost");
    std::fs::write(&issued.cert_file, &renewed.cert).unwrap();
    let refused = server.reload(tls.clone()).unwrap_err();
    assert!(
        refused.contains("cannot be used"),
        "a key of another certificate: {refused}"
    );
    std::fs::write(&issued.key_file, &renewed.key).unwrap();
    assert_eq!(server.reload(tls), Ok(Vec::new()));
    assert_eq!(
        before.put(path(&["t"]), &[rows()]).await.unwrap()["rows"],
        2,
        "its connection stays"
    );
    over_tls(&server, &old).await.map(drop).unwrap_err();
    let mut after = over_tls(&server, &new).await.unwrap();
    assert_eq!(after.put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
    assert_eq!(
        server.reload(json!({})),
        Ok(vec!["tls".to_owned()]),
        "TLS itself needs a restart"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_configuration_again_and_ends_nothing() {
    let database = Database::create().await;
    let file = std::env::temp_dir().join(format!("pgflight-{:08x}.yaml", fastrand::u32(..)));
    let write = |token: &str, more: &str| {
        let text = format!(
            "connection_string: {}\nauth: {{tokens: [{{principal: etl, token: {token}}}]}}\n{more}\n",
            database.uri()
        );
        std::fs::write(&file, text).unwrap();
    };
    write("one", "");
    let process = Process::start_in(&[("PGFLIGHT_CONFIG", file.to_str().unwrap())]).await;
    let flight = Flight::reach(&process.http()).await;
    let put = async |token: &str| with(&flight, token).put(path(&["t"]), &[rows()]).await;
    put("one").await.unwrap();
    write("two", "limits: {max_streams: 3}");
    process.signal(Signal::Hangup);
    process.logs("were read again").await;
    process.logs("limits.max_streams").await;
    refused(put("one").await, Code::Unauthenticated, &["auth.tokens"]);
    put("two").await.unwrap();
    std::fs::write(&file, "auth: [").unwrap();
    process.signal(Signal::Hangup);
    process.logs("cannot be used; the one before stays in force").await;
    put("two").await.unwrap();
    // Without a signal, within some seconds.
    write("three", "");
    for _ in 0..600 {
        if put("three").await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    put("three").await.unwrap();
    refused(put("two").await, Code::Unauthenticated, &["auth.tokens"]);
    let log = process.log();
    assert!(
        !log.contains("one\"") && !log.contains("three"),
        "no token is told: {log}"
    );
    std::fs::remove_file(file).unwrap();
}
