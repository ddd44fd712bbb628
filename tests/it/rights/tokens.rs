//! Signed tokens over a real door: taken from a file's and a URL's keys, and refused with the kind of reason.

use std::sync::atomic::Ordering;

use serde_json::json;
use tonic::Code;

use super::provider::{Provider, jwt, served};
use crate::flight_refusals::{refused, rows};
use crate::support::database::Database;
use crate::support::flight::{Flight, path};
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_is_its_holder_s_and_rules_hold_for_the_holder() {
    let provider = Provider::new();
    let (url, asked) = served(provider.set()).await;
    let file = std::env::temp_dir().join(format!("pgflight-keys-{:08x}.json", fastrand::u32(..)));
    std::fs::write(&file, provider.set()).unwrap();
    for jwks in [url.as_str(), file.to_str().unwrap()] {
        let database = Database::create().await;
        let auth = json!({"auth": {
            "jwt": jwt(jwks),
            "tokens": [{"principal": "etl", "token": "s3cret"}],
            "rules": [{"principal": "etl", "tables": ["public.t"], "may": ["append", "migrate"]}],
        }});
        let server = Server::start_with(database.uri(), auth).await;
        let flight = Flight::connect(&server).await;
        let with = |header: String| flight.clone().with_header("authorization", &header);
        let put = async |header: String| with(header).put(path(&["t"]), &[rows()]).await;
        for _ in 0..3 {
            assert_eq!(
                put(format!("Bearer {}", provider.token("etl", 600))).await.unwrap()["rows"],
                2
            );
        }
        assert_eq!(
            put("Bearer s3cret".to_owned()).await.unwrap()["rows"],
            2,
            "static tokens are taken as well"
        );
        let other = put(format!("Bearer {}", provider.token("bi", 600))).await;
        refused(other, Code::PermissionDenied, &["principal \"bi\""]);
        let expired = provider.token("etl", -600);
        let late = put(format!("Bearer {expired}")).await;
        assert!(!format!("{late:?}").contains(&expired), "the token is not repeated");
        refused(late, Code::Unauthenticated, &["signed token", "has expired"]);
        let stranger = put(format!("Bearer {}", Provider::new().token("etl", 600))).await;
        refused(stranger, Code::Unauthenticated, &["signature"]);
        refused(
            put("Bearer nope".to_owned()).await,
            Code::Unauthenticated,
            &["no known token"],
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the keys are kept");
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_fetched_make_signed_tokens_wait_and_others_not() {
    let database = Database::create().await;
    let auth =
        json!({"auth": {"jwt": jwt("http://127.0.0.1:1/keys"), "tokens": [{"principal": "etl", "token": "s3cret"}]}});
    let server = Server::start_with(database.uri(), auth).await;
    let flight = Flight::connect(&server).await;
    let with = |token: &str| flight.clone().with_header("authorization", &format!("Bearer {token}"));
    let token = Provider::new().token("etl", 600);
    refused(
        with(&token).put(path(&["t"]), &[rows()]).await,
        Code::Unavailable,
        &["auth.jwt.jwks"],
    );
    assert_eq!(with("s3cret").put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
}

/// Shakes hands with Basic credentials; the header to send from then on.
async fn shaken(flight: &Flight, header: &str) -> Result<String, tonic::Status> {
    let mut client = flight.client.clone();
    let mut request = tonic::Request::new(futures::stream::iter([arrow_flight::HandshakeRequest::default()]));
    request
        .metadata_mut()
        .insert("authorization", header.parse().expect("it works"));
    let answer = client.handshake(request).await?;
    Ok(answer
        .metadata()
        .get("authorization")
        .expect("it works")
        .to_str()
        .expect("it works")
        .to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_gives_a_session_that_every_replica_takes_and_that_ends() {
    let database = Database::create().await;
    let auth = |key: &str| {
        json!({"auth": {
            "tokens": [{"principal": "etl", "token": "s3cret"}],
            "session": {"key": key, "lifetime": "2s"},
        }})
    };
    let key = "k".repeat(32);
    let (ours, replica, other) = (
        Server::start_with(database.uri(), auth(&key)).await,
        Server::start_with(database.uri(), auth(&key)).await,
        Server::start_with(database.uri(), auth(&"o".repeat(32))).await,
    );
    let basic = "Basic ZXRsOnMzY3JldA==";
    let header = shaken(&Flight::connect(&ours).await, basic).await.unwrap();
    assert!(header.starts_with("Bearer ") && !header.contains("s3cret"), "{header}");
    let put = async |server: &Server, header: &str| {
        let flight = Flight::connect(server).await.with_header("authorization", header);
        flight.clone().put(path(&["t"]), &[rows()]).await
    };
    assert_eq!(put(&replica, &header).await.unwrap()["rows"], 2);
    refused(put(&other, &header).await, Code::Unauthenticated, &["no known token"]);
    let again = shaken(&Flight::connect(&ours).await, &header).await.unwrap();
    assert_eq!(again, header, "a session does not prolong itself");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    refused(put(&ours, &header).await, Code::Unauthenticated, &["session has ended"]);
    refused(
        put(&ours, "Bearer pgflight-session.x.1.y").await,
        Code::Unauthenticated,
        &["no known token"],
    );
}
