//! Bad rows of a sync, where the client's spec says that they are rejected.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use serde_json::json;

use super::client::{Cq, delete_stale, insert, key, migrate, schema};
use super::start;
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::process::Process;
use crate::support::server::Server;

/// Rows with a key go over several connections, each with a load of its own.
#[tokio::test(flavor = "multi_thread")]
async fn rejects_of_a_table_are_counted_together_however_many_connections_write_it() {
    for version in cluster::versions() {
        for (most, fits) in [(40, true), (39, false)] {
            let database = Database::create_in(Cluster::shared(*version)).await;
            let server = Server::start(&database).await;
            let mut cq = Cq::connect(&server).await;
            let spec = json!({"on_bad_row": "reject", "max_rejects": most, "batch_size": 100_000});
            cq.init(&spec).await.unwrap();
            let columns = vec![
                key(Field::new("id", DataType::Int64, false)),
                Field::new("v", DataType::Int64, true),
            ];
            let table = schema("split", columns);
            cq.put(vec![migrate(&table)]).await;
            database
                .execute("alter table split add constraint small check (v < 5)")
                .await;
            let rows = 4_000_i64;
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
            let values: ArrayRef = Arc::new(Int64Array::from_iter_values(
                (0..rows).map(|id| if id % 100 == 0 { 9 } else { 1 }),
            ));
            let batch = RecordBatch::try_new(Arc::clone(&table), vec![ids, values]).unwrap();
            let written = cq.write(vec![insert(&batch)]).await;
            match fits {
                true => {
                    written.unwrap();
                    assert_eq!(database.value("select count(*) from split").await, "3960");
                    assert_eq!(database.value("select count(*) from pgflight.reject").await, "40");
                }
                false => {
                    let refusal = written.unwrap_err().message().to_owned();
                    assert!(refusal.contains("max_rejects"), "{refusal}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_the_environment_tells_its_database_has_this_door_too() {
    for version in cluster::versions() {
        let cluster = Cluster::shared(*version);
        let database = Database::create_in(cluster).await;
        let port = cluster.address().port.to_string();
        let environment = [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &port),
            ("PGUSER", "postgres"),
            ("PGDATABASE", database.name()),
        ];
        let process = Process::start_in(&environment).await;
        let channel = tonic::transport::Endpoint::new(process.http())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut cq = Cq::over(channel);
        cq.init(&serde_json::Value::Null).await.unwrap();
        let table = schema("t", vec![Field::new("id", DataType::Int64, false)]);
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_new(Arc::clone(&table), vec![ids]).unwrap();
        cq.put(vec![migrate(&table), insert(&batch)]).await;
        assert_eq!(database.value("select count(*) from t").await, "2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_with_a_bad_row_stores_the_others_and_keeps_the_stale_ones() {
    let (database, server, _) = start().await;
    let mut cq = Cq::connect(&server).await;
    cq.init(&json!({"on_bad_row": "reject", "max_rejects": 5}))
        .await
        .unwrap();
    let columns = vec![
        key(Field::new("id", DataType::Int64, false)),
        Field::new("v", DataType::Int64, true),
        Field::new("_cq_source_name", DataType::Utf8, true),
        Field::new(
            "_cq_sync_time",
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
    ];
    let table = schema("rejecting", columns);
    cq.put(vec![migrate(&table)]).await;
    database
        .execute("alter table rejecting add constraint small check (v < 5)")
        .await;
    let rows = |ids: [i64; 2], v: i64, day: i64| {
        let times = arrow::array::TimestampMicrosecondArray::from(vec![day * 86_400_000_000; 2]).with_timezone("UTC");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids.to_vec())),
            Arc::new(Int64Array::from(vec![1, v])),
            Arc::new(StringArray::from(vec!["s", "s"])),
            Arc::new(times),
        ];
        RecordBatch::try_new(Arc::clone(&table), columns).unwrap()
    };
    cq.put(vec![insert(&rows([1, 2], 1, 1))]).await;
    cq.put(vec![
        insert(&rows([3, 2], 9, 2)),
        delete_stale("rejecting", "s", 2 * 86_400_000_000),
    ])
    .await;
    assert_eq!(
        database.lines("select id, v from rejecting order by id").await,
        ["1|1", "2|1", "3|1"]
    );
    assert_eq!(
        database
            .lines("select row_in_stream, table_name, constraint_name from pgflight.reject")
            .await,
        ["1|rejecting|small"]
    );
}
