//! TLS of this port, by the certificates of the other, and the example that curl runs.

use std::process::Output;

use serde_json::json;

use super::start_with;
use crate::support::database::Database;
use crate::support::server::Server;
use crate::tls::authority::Authority;

async fn curl(arguments: &[&str]) -> Output {
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body"])
        .args(arguments);
    curl.output().await.expect("curl")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_speaks_tls_to_those_who_trust_its_certificate_and_takes_theirs_for_a_name() {
    let database = Database::create().await;
    let (authority, stranger) = (Authority::new("ours"), Authority::new("a stranger"));
    let issued = authority.issue("localhost");
    let settings = json!({
        "http_listen": "127.0.0.1:0", "tls": {"cert": issued.cert_file, "key": issued.key_file, "client_ca": authority.file()},
        "auth": {"client_certificates": true, "rules": [{"principal": "tls:*", "tables": ["public.t"], "may": ["append", "migrate"]}]},
    });
    let server = Server::start_with(database.uri(), settings).await;
    let url = |table: &str| {
        format!(
            "https://localhost:{}/v1/tables/public/{table}",
            server.http_door().port()
        )
    };
    let (ca, other) = (authority.file(), stranger.file());
    let body = ["-H", "Content-Type: application/json", "-d", r#"{"id": 1}"#];
    let known = ["--cert", &*issued.cert_file, "--key", &*issued.key_file];
    let call = async |ca: &str, table: &str, known: &[&str]| {
        let url = url(table);
        curl(&[&["--cacert", ca, &*url][..], &body, known].concat()).await
    };
    for times in 1..=2 {
        let taken = call(&ca, "t", &known).await;
        assert!(taken.status.success(), "{times}: {taken:?}");
    }
    let other_table = call(&ca, "u", &known).await;
    assert_eq!(other_table.status.code(), Some(22), "{other_table:?}");
    assert!(
        String::from_utf8_lossy(&other_table.stdout).contains("PERMISSION_DENIED"),
        "{other_table:?}"
    );
    assert!(!call(&ca, "t", &[]).await.status.success(), "without a certificate");
    assert!(
        !call(&other, "t", &known).await.status.success(),
        "of another authority"
    );
    assert_eq!(database.value("select count(*) from t").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_loads_once_reads_and_ends_with_a_code_where_it_is_refused() {
    let auth = json!({"auth": {"tokens": [{"principal": "etl", "token": "s3cret"}]}});
    let (database, server) = start_with(auth).await;
    let run = async |token: &str, table: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/http.sh");
        let base = format!("http://{}", server.http_door());
        let mut shell = tokio::process::Command::new("sh");
        shell
            .args([script, &base, table])
            .env("PGFLIGHT_TOKEN", token)
            .output()
            .await
            .expect("a shell")
    };
    for times in 1..=2 {
        let output = run("s3cret", "people").await;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{times}: {output:?}");
        assert!(
            printed.ends_with("id,name\n1,a\n2,\n") && printed.contains("\"rows\":2"),
            "{printed}"
        );
    }
    assert_eq!(database.value("select count(*) from people").await, "2");
    let refused = run("wrong", "people").await;
    assert_eq!(refused.status.code(), Some(22), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("UNAUTHENTICATED"),
        "{refused:?}"
    );
}
