//! The embeddings service over https: trusted by the file that `SSL_CERT_FILE` names, and what is said where it is not.

use std::process::Stdio;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

use serde_json::json;

use super::authority::{Authority, Issued};
use super::terminator::server_config;
use crate::support::embeddings::{Stub, settings};

const DIMENSIONS: usize = 8;

/// Ends TLS before the stub; its port.
async fn encrypted(stub: &Stub, issued: &Issued) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(issued)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let behind = stub.address();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await.ok()?;
                let mut server = TcpStream::connect(behind).await.ok()?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()
            });
        }
    });
    port
}

/// `pgflight embeddings probe` at an address, with certificates from a file.
async fn probe(stub: &Stub, url: String, trusted: &str) -> (Option<i32>, String) {
    let mut settings = settings(stub, DIMENSIONS as u32);
    settings["connection_string"] = json!("postgres://nobody@localhost/none");
    settings["pgvector_config"]["openai_embedding"]["base_url"] = json!(url);
    let file = std::env::temp_dir().join(format!("pgflight-probe-{:016x}.yaml", fastrand::u64(..)));
    std::fs::write(&file, settings.to_string()).expect("the temporary directory can be written to");
    let output = Command::new(env!("CARGO_BIN_EXE_pgflight"))
        .args(["embeddings", "probe", "--config"])
        .arg(&file)
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the program starts");
    drop(std::fs::remove_file(&file));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embeddings_service_is_asked_over_tls_and_an_unknown_authority_is_named() {
    let stub = Stub::start(DIMENSIONS).await;
    let (authority, stranger) = (Authority::new("ours"), Authority::new("a stranger"));
    let port = encrypted(&stub, &authority.issue("localhost")).await;
    let url = format!("https://localhost:{port}/v1");
    let (code, text) = probe(&stub, url.clone(), &authority.file()).await;
    assert_eq!((code, text.contains("8 dimensions")), (Some(0), true), "{text}");
    assert_eq!(stub.take()[0].authorization.as_deref(), Some("Bearer sk-secret"));

    let (code, text) = probe(&stub, url, &stranger.file()).await;
    assert_eq!(code, Some(1), "{text}");
    for part in ["certificate of localhost", "unknown CA", "SSL_CERT_FILE"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, text) = probe(&stub, format!("https://127.0.0.1:{port}/v1"), &authority.file()).await;
    assert_eq!(
        (code, text.contains("no TLS with 127.0.0.1")),
        (Some(1), true),
        "{text}"
    );
    assert_eq!(stub.requests(), 0, "nothing is sent to whom nobody knows");
}
