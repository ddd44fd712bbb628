//! TLS on both sides: the gRPC port with and without client certificates, and Postgres by every `sslmode`.
//!
//! The servers that scripts/postgres brings are built without TLS, so a terminator stands before the real Postgres here:
//! it answers SSLRequest as Postgres does and passes on what it decrypts.

pub(crate) mod authority;
mod provider;
mod terminator;

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use self::authority::{Authority, Issued};
use self::terminator::Terminator;
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, longs, path};
use crate::support::process::Process;
use crate::support::server::Server;

async fn door(database: &Database, issued: &Issued, client_ca: Option<&str>) -> Server {
    let mut tls = json!({"cert": issued.cert_file, "key": issued.key_file});
    if let Some(file) = client_ca {
        tls["client_ca"] = json!(file);
    }
    Server::start_with(database.uri(), json!({"tls": tls})).await
}

/// Puts one row over TLS; what cannot be connected is an error text.
async fn put_over(server: &Server, tls: ClientTlsConfig) -> Result<u64, String> {
    let address = format!("https://localhost:{}", server.address().port());
    let endpoint = Channel::from_shared(address)
        .expect("a URI")
        .tls_config(tls)
        .expect("usable certificates");
    let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
    let mut flight = Flight::over(channel);
    let answer = flight.put(path(&["t"]), &[batch(vec![("a", longs([1]))])]).await;
    answer
        .map(|answer| answer["committed"].as_u64().expect("a number"))
        .map_err(|status| format!("{status:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_speaks_tls_to_those_who_trust_its_certificate_and_to_nobody_else() {
    let database = Database::create().await;
    let authority = Authority::new("ours");
    let server = door(&database, &authority.issue("localhost"), None).await;
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    assert_eq!(put_over(&server, trusting).await, Ok(1));
    let stranger = Authority::new("a stranger");
    let wary = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(stranger.pem()));
    let refused = put_over(&server, wary).await.unwrap_err();
    assert!(
        refused.contains("UnknownIssuer") || refused.contains("BadSignature"),
        "{refused}"
    );
    let plain = Channel::from_shared(server.http()).unwrap().connect_lazy();
    let status = Flight::over(plain)
        .put(path(&["t"]), &[batch(vec![("a", longs([1]))])])
        .await
        .unwrap_err();
    // The connection ends before anything is answered; how the transport names that depends on where it was.
    assert_ne!(status.code(), Code::Ok, "{status:?}");
    assert!(status.metadata().is_empty(), "an answer came: {status:?}");
    assert_eq!(database.value("select count(*) from t").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_goes_to_the_wrong_port_says_which_one_it_is() {
    let database = Database::create().await;
    let authority = Authority::new("ours");
    let (plain, with_tls) = (
        Server::start(&database).await,
        door(&database, &authority.issue("localhost"), None).await,
    );
    let ca = authority.file();
    let tls_port = format!("localhost:{}", with_tls.address().port());
    let plain_port = format!("localhost:{}", plain.address().port());
    for (to, expected) in [
        (
            format!("grpc://{}", plain.admin()),
            "is pgflight's admin port".to_owned(),
        ),
        (
            format!("grpc+tls://{}", plain.admin()),
            "is pgflight's admin port".to_owned(),
        ),
        (
            format!("grpc://{tls_port}"),
            format!("speaks TLS; write grpc+tls://{tls_port}"),
        ),
        (
            format!("grpc+tls://{plain_port}"),
            format!("speaks no TLS; write grpc://{plain_port}"),
        ),
    ] {
        for command in ["load", "plan"] {
            let words = [
                command,
                "-",
                "--format",
                "csv",
                "--table",
                "t",
                "--to",
                &to,
                "--ca-file",
                &ca,
            ];
            let output = run(&words, "a\n1\n").await;
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{command} {to}: {told}");
            assert!(told.contains(&expected), "{command} {to}: {told}");
        }
    }
}

/// The program with these words and this input; nothing of our environment configures it.
async fn run(words: &[&str], input: &str) -> std::process::Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pgflight"));
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PGFLIGHT_")) {
        command.env_remove(name);
    }
    let mut child = command.spawn().expect("the binary was built");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that has failed by then does not read its input.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    child.wait_with_output().await.expect("the program ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_client_authority_only_its_certificates_are_let_in() {
    let database = Database::create().await;
    let authority = Authority::new("ours");
    let clients = Authority::new("clients");
    let server = door(&database, &authority.issue("localhost"), Some(&clients.file())).await;
    let trusting = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    put_over(&server, trusting()).await.unwrap_err();
    let foreign = authority.issue("client");
    put_over(
        &server,
        trusting().identity(Identity::from_pem(&foreign.cert, &foreign.key)),
    )
    .await
    .unwrap_err();
    let known = clients.issue("client");
    let admitted = put_over(
        &server,
        trusting().identity(Identity::from_pem(&known.cert, &known.key)),
    )
    .await;
    assert_eq!(admitted, Ok(1));
}

/// What came of one put through a connection string.
async fn put_by(database: &Database, port: u16, parameters: &str) -> Result<u64, String> {
    let connection = format!(
        "host=localhost port={port} dbname={} user=postgres connect_timeout=5 {parameters}",
        database.name()
    );
    let settings = json!({"retry_timeout": "1s"});
    let server = Server::start_with(&connection, settings).await;
    let mut flight = Flight::connect(&server).await;
    let answer = flight.put(path(&["t"]), &[batch(vec![("a", longs([1]))])]).await;
    answer
        .map(|answer| answer["committed"].as_u64().expect("a number"))
        .map_err(|status| status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sslmode_verifies_what_it_says() {
    let database = Database::create().await;
    let (authority, stranger) = (Authority::new("ours"), Authority::new("a stranger"));
    let ours = format!("sslrootcert={}", authority.file());
    let other = format!("sslrootcert={}", stranger.file());
    let right = Terminator::start(&database, &authority.issue("localhost")).await;
    let misnamed = Terminator::start(&database, &authority.issue("other.example")).await;
    for (server, parameters, encrypted) in [
        (&right, "sslmode=disable".to_owned(), false),
        (&right, "sslmode=prefer".to_owned(), true),
        (&right, "sslmode=require".to_owned(), true),
        (&right, format!("sslmode=verify-ca {ours}"), true),
        (&right, format!("sslmode=verify-full {ours}"), true),
        (&misnamed, format!("sslmode=verify-ca {ours}"), true),
        (&misnamed, "sslmode=require".to_owned(), true),
    ] {
        let (tls, plain) = (server.encrypted(), server.plain());
        let landed = put_by(&database, server.port(), &parameters).await;
        assert_eq!(landed, Ok(1), "{parameters}");
        let grown = (server.encrypted() > tls, server.plain() > plain);
        assert_eq!(grown, (encrypted, !encrypted), "{parameters}");
    }
    for (server, parameters, reason) in [
        (&misnamed, format!("sslmode=verify-full {ours}"), "localhost"),
        (&right, format!("sslmode=verify-full {other}"), "certificate"),
        (&right, format!("sslmode=verify-ca {other}"), "certificate"),
        (&right, format!("sslmode=require {other}"), "certificate"),
    ] {
        let plain = server.plain();
        let refused = put_by(&database, server.port(), &parameters).await.unwrap_err();
        assert!(refused.contains(reason), "{parameters}: {refused}");
        assert_eq!(
            server.plain(),
            plain,
            "{parameters}: never in plain text after a refusal"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_without_tls_is_used_only_by_modes_that_allow_plain_text() {
    let database = Database::create().await;
    let port: u16 = database.value("show port").await.parse().unwrap();
    for mode in ["disable", "allow", "prefer"] {
        let landed = put_by(&database, port, &format!("sslmode={mode}")).await;
        assert_eq!(landed, Ok(1), "{mode}");
    }
    let refused = put_by(&database, port, "sslmode=require").await.unwrap_err();
    assert!(refused.contains("TLS"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefer_says_once_that_it_goes_on_in_plain_text() {
    let database = Database::create().await;
    let (authority, stranger) = (Authority::new("ours"), Authority::new("a stranger"));
    let distrusted = Terminator::start(&database, &authority.issue("localhost")).await;
    let without: u16 = database.value("show port").await.parse().unwrap();
    for (port, reason) in [(distrusted.port(), "certificate"), (without, "the server has no TLS")] {
        let connection = format!(
            "host=localhost port={port} dbname={} user=postgres sslmode=prefer sslrootcert={}",
            database.name(),
            stranger.file()
        );
        // Sessions do not outlive a put, so that each makes one of its own.
        let mut process = Process::start(&connection, &[("pool.max_lifetime", "1ms")]).await;
        let mut flight = Flight::reach(&process.http()).await;
        for _ in 0..3 {
            let answer = flight
                .put(path(&["t"]), &[batch(vec![("a", longs([1]))])])
                .await
                .unwrap();
            assert_eq!(answer["committed"], 1, "{answer}");
        }
        process.kill();
        let log = process.log();
        let told: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("is not encrypted, because"))
            .collect();
        assert_eq!(told.len(), 1, "{log}");
        assert!(
            told[0].contains("WARN") && told[0].contains(reason) && told[0].contains(&format!("localhost:{port}")),
            "{}",
            told[0]
        );
    }
}
