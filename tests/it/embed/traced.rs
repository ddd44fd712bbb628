//! A request to the embeddings service is a span, without the texts and the key.

use std::time::{Duration, Instant};

use serde_json::json;

use super::process::ConfigFile;
use super::{DIMENSIONS, docs, upsert};
use crate::support::collector::Collector;
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::flight::Flight;
use crate::support::process::{Signal, free_address, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_the_service_is_a_span_without_its_texts() {
    let (database, stub) = (Database::create().await, Stub::start(DIMENSIONS).await);
    let (collector, address) = (Collector::start().await, free_address());
    let mut settings = settings(&stub, DIMENSIONS as u32);
    settings["listen"] = json!(address.to_string());
    settings["admin_listen"] = json!("off");
    settings["traces"] = json!({"endpoint": collector.url});
    let file = ConfigFile::write(&database, settings);
    let mut server = file.command(&["serve"]).spawn().expect("the program starts");
    let started = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut flight = Flight::reach(&format!("http://{address}")).await;
    flight
        .put(upsert(), &[docs(&[(1, "k", Some("marmalade"))])])
        .await
        .expect("rows can be put");
    drained(&database).await;
    send(Signal::Terminate, server.id().expect("it runs"));
    assert!(server.wait().await.expect("it ends").success());
    let spans = collector.spans("marmalade");
    let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((named("load"), named("embed")), (1, stub.take().len()), "{spans:#?}");
    assert!(
        named("embed") > 0
            && spans
                .iter()
                .all(|span| span.name != "embed" || span.parent_span_id.is_empty())
    );
}
