//! What holds for every call of every door: tokens, and health.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::server::Server;

const FLIGHT: &str = "arrow.flight.protocol.FlightService";
/// Of Flight.proto.
const FLIGHT_CALLS: [&str; 10] = [
    "Handshake",
    "ListFlights",
    "GetFlightInfo",
    "PollFlightInfo",
    "GetSchema",
    "DoGet",
    "DoPut",
    "DoExchange",
    "DoAction",
    "ListActions",
];

/// Every call of the services that proto/ describes, and of Flight.
fn calls() -> Vec<String> {
    let mut calls: Vec<String> = FLIGHT_CALLS.iter().map(|call| format!("/{FLIGHT}/{call}")).collect();
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/cloudquery");
    for file in ["discovery/v0.proto", "discovery/v1.proto", "plugin/v3.proto"] {
        let text = std::fs::read_to_string(proto.join(file)).expect("a contract of ours");
        let word = |line: &str, keyword: &str| {
            let rest = line.trim().strip_prefix(keyword)?;
            rest.split(|c: char| !c.is_alphanumeric() && c != '.' && c != '_')
                .next()
                .map(str::to_owned)
        };
        let package = text.lines().find_map(|line| word(line, "package ")).expect("a package");
        let service = text.lines().find_map(|line| word(line, "service ")).expect("a service");
        let named = text.lines().filter_map(|line| word(line, "rpc "));
        calls.extend(named.map(|call| format!("/{package}.{service}/{call}")));
    }
    assert!(calls.len() >= 10 + 2 + 11, "{calls:?}");
    calls
}

/// Sends one empty message and reads the answer to its end.
async fn call(channel: &Channel, path: &str, token: Option<&str>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("the server listens");
    let mut request = Request::new(());
    if let Some(token) = token {
        let header = format!("Bearer {token}").parse().expect("ASCII");
        request.metadata_mut().insert("authorization", header);
    }
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answers = grpc
        .server_streaming(request, path.parse().expect("a path"), codec)
        .await?;
    let mut answers = answers.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_of_any_door_goes_in_without_its_token() {
    let database = Database::create().await;
    let auth = json!({"auth": {"tokens": [{"principal": "etl", "token": "s3cret"}]}});
    let server = Server::start_with(database.uri(), auth).await;
    let channel = Channel::from_shared(server.http())
        .expect("a URI")
        .connect()
        .await
        .expect("it listens");
    let mut let_in = BTreeMap::new();
    for path in calls() {
        for token in [None, Some("wrong"), Some("")] {
            let refused = call(&channel, &path, token)
                .await
                .map_err(|status| (status.code(), status.message().to_owned()));
            let (code, text) = refused.expect_err(&path);
            assert_eq!(code, Code::Unauthenticated, "{path} with {token:?}: {text}");
            assert!(text.contains("auth.tokens"), "{path}: {text}");
        }
        let code = call(&channel, &path, Some("s3cret"))
            .await
            .map_or_else(|status| status.code(), |()| Code::Ok);
        assert_ne!(code, Code::Unauthenticated, "{path}");
        let_in.insert(path, code);
    }
    assert_eq!(let_in[&format!("/{FLIGHT}/ListActions")], Code::Ok, "{let_in:?}");
    call(&channel, "/grpc.health.v1.Health/Check", None)
        .await
        .expect("probes have no token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_configuration_has_as_a_sha256_lets_in_and_its_sha256_does_not() {
    // Of "hello".
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let database = Database::create().await;
    let auth = json!({"auth": {"tokens": [{"principal": "etl", "sha256": digest}]}});
    let server = Server::start_with(database.uri(), auth).await;
    let channel = Channel::from_shared(server.http()).unwrap().connect().await.unwrap();
    let path = format!("/{FLIGHT}/ListActions");
    call(&channel, &path, Some("hello")).await.expect("the token itself");
    let refused = call(&channel, &path, Some(digest)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_others_can_reach_and_that_asks_nobody_does_not_start() {
    let start = async |settings: serde_json::Value| {
        let config = pgflight::config::Config::from_json(&settings).expect("usable settings");
        pgflight::app::serve::start(config, std::sync::Arc::new(String::new)).await
    };
    let open = json!({"listen": "0.0.0.0:0", "admin_listen": "off", "connection_string": "host=localhost user=u"});
    let refused = start(open.clone()).await.unwrap_err().to_string();
    assert!(
        refused.contains("nobody is asked who calls") && refused.contains("insecure: true"),
        "{refused}"
    );
    let mut http = open.clone();
    http["listen"] = json!("127.0.0.1:0");
    http["http_listen"] = json!("0.0.0.0:0");
    let refused = start(http).await.unwrap_err().to_string();
    assert!(
        refused.contains("`http_listen` is 0.0.0.0:0") && refused.contains("insecure: true"),
        "{refused}"
    );
    let mut known = open.clone();
    known["insecure"] = json!(true);
    start(known).await.expect("it was said");
    let mut asking = open;
    asking["auth"] = json!({"tokens": [{"principal": "a", "token": "x"}]});
    start(asking).await.expect("it asks who calls");
}

async fn asked(channel: &Channel, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = HealthClient::new(channel.clone()).check(request).await;
    answer
        .map(|answer| answer.get_ref().status())
        .map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_postgres_for_the_server_and_each_of_its_services() {
    let mut cluster = Cluster::private(&Options {
        fast: true,
        ..Default::default()
    });
    let server = Server::start_with(&cluster.uri("postgres"), json!({})).await;
    let channel = Channel::from_shared(server.http())
        .expect("a URI")
        .connect()
        .await
        .expect("it listens");
    let services = ["", FLIGHT, "cloudquery.plugin.v3.Plugin"];
    let request = HealthCheckRequest::default();
    let watched = HealthClient::new(channel.clone())
        .watch(request)
        .await
        .expect("Watch is served");
    let mut watched = watched.into_inner();
    let mut told = async || {
        let answer = tokio::time::timeout(Duration::from_secs(20), watched.message()).await;
        answer
            .expect("a change is told")
            .expect("no error")
            .map(|answer| answer.status())
    };
    assert_eq!(told().await, Some(ServingStatus::Serving));
    for service in services {
        assert_eq!(
            asked(&channel, service).await,
            Ok(ServingStatus::Serving),
            "{service:?}"
        );
    }
    assert_eq!(asked(&channel, "nobody").await, Err(Code::NotFound));
    cluster.stop();
    for service in services {
        assert_eq!(
            asked(&channel, service).await,
            Ok(ServingStatus::NotServing),
            "{service:?}"
        );
    }
    assert_eq!(told().await, Some(ServingStatus::NotServing));
    cluster.start();
    assert_eq!(told().await, Some(ServingStatus::Serving), "it comes back by itself");
    for service in services {
        assert_eq!(
            asked(&channel, service).await,
            Ok(ServingStatus::Serving),
            "{service:?}"
        );
    }
    tokio::join!(server.stop(), async {
        assert_eq!(
            told().await,
            Some(ServingStatus::NotServing),
            "those who watch hear of the end"
        );
        assert_eq!(told().await, None, "and hold nothing up");
    });
}

/// The health check of the image gives up after three seconds.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_gives_its_reason_before_a_health_check_gives_up() {
    // A server that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let uri = format!("postgresql://postgres@{}/postgres", silent.local_addr().expect("bound"));
    let server = Server::start_with(&uri, json!({})).await;
    let asking = (0..8).map(|_| async {
        let begun = std::time::Instant::now();
        let answer = server.page("/readyz").await;
        (begun.elapsed(), answer)
    });
    for (took, (status, body)) in futures::future::join_all(asking).await {
        assert_eq!(status, "HTTP/1.0 503 Service Unavailable");
        assert!(body.contains("Postgres did not answer within"), "{body}");
        assert!(took < Duration::from_millis(2_900), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_lent_is_no_reason_to_be_called_away() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"pool": {"max_size": 2}})).await;
    database.execute("create table t (id bigint)").await;
    let blocker = database.connect().await;
    blocker
        .batch_execute("begin; lock table t")
        .await
        .expect("nobody is in the way");
    let put = |table: &'static str| {
        let http = server.http();
        tokio::spawn(async move {
            use crate::support::flight::{Flight, batch, longs, path};
            Flight::reach(&http)
                .await
                .put(path(&[table]), &[batch(vec![("id", longs(0..3))])])
                .await
        })
    };
    let puts = [put("t"), put("t")];
    database
        .wait_for(
            "select count(*) = 2 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .await;
    let begun = std::time::Instant::now();
    assert_eq!(server.page("/readyz").await.0, "HTTP/1.0 200 OK");
    // The locks are held until the statement below: an answer that waited for them would never have come.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    blocker.batch_execute("commit").await.expect("it is there");
    for put in puts {
        put.await.expect("no panic").expect("both are taken");
    }
}
