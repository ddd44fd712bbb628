//! How the real programs meet the server: versions of the protocol, and logins that fail.

use serde_json::json;

use super::programs::program;
use super::{Plan, Scene};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn old_and_new_clients_find_version_3_by_either_discovery_service() {
    let scene = Scene::create().await;
    let asked = tokio::process::Command::new(program("discover"))
        .arg(scene.server.address().to_string())
        .env("NO_PROXY", "127.0.0.1,localhost")
        .output()
        .await
        .expect("the program starts");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "[v3] [3]");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn the_cli_prints_why_a_login_fails_and_no_password() {
    for &version in cluster::versions() {
        let cluster = Cluster::private(&crate::support::cluster::Options {
            version: Some(version),
            password: Some("right-password"),
            fast: true,
            ..Default::default()
        });
        let database = Database::create_in(&cluster).await;
        let server = Server::start_with(database.uri(), json!({})).await;
        let scene = Scene::over(database, server);
        let plan = Plan::new(json!({"write_mode": "append"}), 1, 1);
        let uri = scene.database.uri().to_owned();
        scene.sync(&plan).await;
        for (with, reason) in [
            (
                uri.replace("right-password", "wrong-password"),
                "password authentication failed",
            ),
            (
                uri.replace("postgres:right-password", "nobody:wrong-password"),
                "password authentication failed",
            ),
            (uri.replace(":right-password", ""), "password"),
        ] {
            let wrong = plan.clone().spec(json!({"connection_string": with}));
            for command in ["sync", "migrate", "test-connection"] {
                let text = scene.refused(command, &wrong).await;
                assert!(text.contains(reason), "{command} as {with}: {text}");
                assert!(
                    !text.contains("wrong-password") && !text.contains("right-password"),
                    "{text}"
                );
            }
        }
        assert_eq!(scene.count("peers_orders").await, "2");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn the_cli_prints_that_a_server_wants_a_token_which_it_cannot_send() {
    let database = Database::create().await;
    let tokens = json!({"auth": {"tokens": [{"principal": "etl", "token": "s3cret"}]}});
    let server = Server::start_with(database.uri(), tokens).await;
    let scene = Scene::over(database, server);
    let plan = Plan::new(json!({"write_mode": "append"}), 1, 1);
    for command in ["sync", "migrate"] {
        let text = scene.refused(command, &plan).await;
        for word in ["Unauthenticated", "auth.tokens"] {
            assert!(text.contains(word), "{command}, {word}: {text}");
        }
        assert!(!text.contains("s3cret"), "{text}");
    }
}
