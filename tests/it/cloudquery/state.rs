//! A source that keeps its state in the destination: a connection of its own, no Init, beside the sync's long Write.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field};
use pgflight::server::cloudquery::pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::client::{Cq, insert, key, migrate, schema};
use super::generator::rows;
use super::start;
use crate::support::python::Python;

#[tokio::test(flavor = "multi_thread")]
async fn a_state_backend_client_works_beside_the_write_stream_without_init() {
    let (database, server, mut cq) = start().await;
    let main = schema("main", vec![key(Field::new("id", DataType::Int64, false))]);
    let (messages, open) = mpsc::channel(8);
    let long = tokio::spawn(async move { cq.plugin.write(ReceiverStream::new(open)).await });
    messages
        .send(pb::write::Request {
            message: Some(migrate(&main)),
        })
        .await
        .unwrap();

    let mut state = Cq::connect(&server).await;
    let columns = vec![
        key(Field::new("key", DataType::Utf8, true)),
        Field::new("value", DataType::Utf8, true),
        Field::new("version", DataType::UInt64, true),
    ];
    let table = schema("cq_state", columns);
    state.put(vec![migrate(&table)]).await;
    assert!(state.read(&table).await.is_empty());
    for version in [1, u64::MAX] {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["cursor"])),
            Arc::new(StringArray::from(vec![format!("page {version}")])),
            Arc::new(UInt64Array::from(vec![version])),
        ];
        let row = RecordBatch::try_new(Arc::clone(&table), columns).unwrap();
        state.put(vec![insert(&row)]).await;
        assert_eq!(
            state.read(&table).await,
            [row],
            "durable when the answer comes, and read in the types that were asked"
        );
    }

    messages
        .send(pb::write::Request {
            message: Some(insert(&rows(&main, 0..5, false))),
        })
        .await
        .unwrap();
    drop(messages);
    long.await.unwrap().unwrap();
    assert_eq!(database.value("select count(*) from main").await, "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_python_stubs_speak_to_this_door() {
    let (database, server, _cq) = start().await;
    let address = server.uri().trim_start_matches("grpc://").to_owned();
    let output = Python::pinned().run("cloudquery_write.py", &[&address]).await;
    let seen: serde_json::Value = serde_json::from_str(&output).expect("the script prints JSON");
    let wanted = serde_json::json!({
        "versions": [3], "name": "pgflight", "schema": "#/$defs/Spec", "test": true, "read": 99, "seven": false,
        "junk": "INVALID_ARGUMENT",
    });
    assert_eq!(seen, wanted);
    assert_eq!(
        database
            .value("select count(*) || ' ' || obj_description('from_python'::regclass) from from_python")
            .await,
        "99 made by a test"
    );
}
