//! `pgvector_config` in a CloudQuery client's own spec, with the Go plugin's keys.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};

use super::{DIMENSIONS, wanted};
use crate::cloudquery::client::{Cq, insert, key, migrate, schema};
use crate::support::database::Database;
use crate::support::embeddings::{Fault, Stub, drained, settings};
use crate::support::server::Server;

/// Rows with ids from `first`, as CloudQuery sends them.
fn rows(first: i64, bodies: &[&str]) -> RecordBatch {
    let schema = schema(
        "docs",
        vec![
            key(Field::new("id", DataType::Int64, false)),
            Field::new("kind", DataType::Utf8, true),
            Field::new("body", DataType::Utf8, true),
        ],
    );
    let ids: Vec<i64> = (first..).take(bodies.len()).collect();
    let kinds = vec!["k"; bodies.len()];
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(Int64Array::from(ids)),
        Arc::new(StringArray::from(kinds)),
        Arc::new(StringArray::from(bodies.to_vec())),
    ];
    RecordBatch::try_new(schema, columns).expect("columns of one length")
}

fn spec(database: &Database, stub: &Stub) -> Value {
    let mut vectors = settings(stub, DIMENSIONS as u32)["pgvector_config"].clone();
    vectors["openai_embedding"]["api_key"] = json!("sk-clients");
    json!({"connection_string": database.uri(), "pgvector_config": vectors})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_s_own_pgvector_config_embeds_its_rows_also_after_it_has_gone() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let server = Server::start_with(database.uri(), json!({"embeddings": {"poll_interval": "20ms"}})).await;
    let mut plain = Cq::ready(&server).await;
    let mut cq = Cq::connect(&server).await;
    cq.init(&spec(&database, &stub))
        .await
        .expect("loopback clients may say what is embedded");
    let first = rows(0, &["one", "two", "three"]);
    cq.put(vec![migrate(&first.schema()), insert(&first)]).await;
    drained(&database).await;
    assert_eq!(super::chunks(&database).await, wanted(&database).await);
    assert_eq!(super::chunks(&database).await.len(), 3);
    let asked = stub.take();
    assert_eq!(asked[0].authorization.as_deref(), Some("Bearer sk-clients"));

    // The client is gone before the service has answered.
    stub.set_delay(Duration::from_millis(1500));
    cq.put(vec![insert(&rows(10, &["four", "five"]))]).await;
    drop(cq);
    drained(&database).await;
    assert_eq!(super::chunks(&database).await.len(), 5);
    // Another client without it embeds nothing.
    plain.put(vec![insert(&rows(20, &["six"]))]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(super::chunks(&database).await.len(), 5);
    server.stop().await;
}

/// A server with a client that has put five rows and gone, while the service holds its answer to them back.
async fn client_that_has_gone(database: &Database, stub: &Stub) -> Server {
    let quick = json!({"embeddings": {"poll_interval": "20ms", "retry_after": "300ms"}});
    let server = Server::start_with(database.uri(), quick).await;
    let mut cq = Cq::connect(&server).await;
    cq.init(&spec(database, stub))
        .await
        .expect("loopback clients may say what is embedded");
    stub.hold(true);
    let first = rows(0, &["one", "two", "three", "four", "five"]);
    cq.put(vec![migrate(&first.schema()), insert(&first)]).await;
    while stub.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(cq);
    // It is looked once a second whether a client is still there.
    tokio::time::sleep(Duration::from_secs(4)).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_when_a_client_goes_is_not_asked_for_again() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let server = client_that_has_gone(&database, &stub).await;
    stub.hold(false);
    drained(&database).await;
    assert_eq!(super::chunks(&database).await, wanted(&database).await);
    assert_eq!(stub.take_texts().len(), 5, "each text once");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_client_that_has_gone_are_tried_again_while_the_server_runs() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    stub.fail_next([401, 401, 401].map(|status| Fault::Status(status, "")));
    let server = client_that_has_gone(&database, &stub).await;
    stub.hold(false);
    drained(&database).await;
    assert_eq!(super::chunks(&database).await, wanted(&database).await);
    assert_eq!(super::chunks(&database).await.len(), 5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_decides_alone_refuses_a_client_s_pgvector_config() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let only_ours = json!({"cloudquery": {"allow_client_pgvector_config": "equal"}});
    let server = Server::start_with(database.uri(), only_ours).await;
    let mut cq = Cq::connect(&server).await;
    let refused = cq
        .init(&spec(&database, &stub))
        .await
        .expect_err("it is not the server's");
    assert!(refused.message().contains("allow_client_pgvector_config"), "{refused}");
}
