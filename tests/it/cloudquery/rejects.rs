//! Bad rows of a sync, where the client's spec says that they are rejected.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use serde_json::json;

use super::client::{Cq, delete_stale, insert, key, migrate, schema};
use super::start;

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
