//! Callers that send no token and are named by their connection: a client certificate, or the user of a unix socket.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use pgflight::app::serve;
use pgflight::config::Config;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::flight_refusals::{refused, rows};
use crate::support::database::Database;
use crate::support::flight::{Flight, path};
use crate::support::server::Server;
use crate::tls::authority::Authority;

fn auth(key: &str, principal: &str) -> Value {
    json!({
        key: true,
        "tokens": [{"principal": "etl", "token": "s3cret"}],
        "rules": [{"principal": principal, "tables": ["public.t"], "may": ["append", "migrate"]}],
    })
}

async fn judged(flight: Flight, expected: bool) {
    let put = flight.clone().put(path(&["t"]), &[rows()]).await;
    match expected {
        true => assert_eq!(put.expect("it works")["rows"], 2),
        false => refused(put, Code::PermissionDenied, &["may do nothing here"]),
    }
    let mut wrong = flight.clone().with_header("authorization", "Bearer nope");
    refused(
        wrong.put(path(&["t"]), &[rows()]).await,
        Code::Unauthenticated,
        &["no known token"],
    );
    let mut other = flight.with_header("authorization", "Bearer s3cret");
    refused(
        other.put(path(&["t"]), &[rows()]).await,
        Code::PermissionDenied,
        &["principal \"etl\""],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_names_a_caller_that_sends_no_token() {
    let database = Database::create().await;
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let (server_side, client_side) = (ours.issue("localhost"), clients.issue("client"));
    // The common name that the test's certificates have.
    for (principal, expected) in [("tls:rcgen*", true), ("tls:somebody", false)] {
        let settings = json!({
            "tls": {"cert": server_side.cert_file, "key": server_side.key_file, "client_ca": clients.file()},
            "auth": auth("client_certificates", principal),
        });
        let server = Server::start_with(database.uri(), settings).await;
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ours.pem()))
            .identity(Identity::from_pem(&client_side.cert, &client_side.key));
        let endpoint = Channel::from_shared(format!("https://localhost:{}", server.address().port())).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
        judged(Flight::over(channel), expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_at_the_other_end_of_a_unix_socket_names_a_caller_that_sends_no_token() {
    let database = Database::create().await;
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    for (principal, expected) in [
        (format!("unix:uid={uid}"), true),
        ("unix:uid=4294967294".to_owned(), false),
    ] {
        let socket = std::env::temp_dir().join(format!("pgflight-{:08x}.sock", fastrand::u32(..)));
        let settings = json!({
            "connection_string": database.uri(), "admin_listen": "off", "listen": format!("unix:{}", socket.display()),
            "auth": auth("unix_peers", &principal),
        });
        let _running = serve::start(Config::from_json(&settings).unwrap(), Arc::new(String::new))
            .await
            .unwrap();
        let channel = Endpoint::try_from(format!("unix:{}", socket.display()))
            .unwrap()
            .connect()
            .await
            .unwrap();
        judged(Flight::over(channel), expected).await;
        std::fs::remove_file(&socket).ok();
    }
}
