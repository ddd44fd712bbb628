//! Many flushes of one call over several connections: of one key the last row wins, and no row is lost or doubled.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use serde_json::json;

use super::client::{Cq, insert, key, migrate, schema};
use crate::support::database::Database;
use crate::support::server::Server;

const RECORDS: i64 = 60;
const ROWS: i64 = 500;

#[tokio::test(flavor = "multi_thread")]
async fn the_last_row_of_a_key_wins_and_rows_without_a_key_all_stay() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut cq = Cq::connect(&server).await;
    // Flushes of three records each go over several connections.
    cq.init(&json!({"batch_size": 1_500})).await.unwrap();
    let place = || Field::new("place", DataType::Int64, false);
    let keyed = schema("keyed", vec![key(Field::new("id", DataType::Int64, false)), place()]);
    let plain = schema("plain", vec![Field::new("id", DataType::Int64, false), place()]);

    fastrand::seed(7);
    let mut last = BTreeMap::new();
    let mut messages = vec![migrate(&keyed), migrate(&plain)];
    for record in 0..RECORDS {
        let ids: Vec<i64> = (0..ROWS).map(|_| fastrand::i64(0..4_000)).collect();
        let places: Vec<i64> = (record * ROWS..(record + 1) * ROWS).collect();
        last.extend(ids.iter().copied().zip(places.iter().copied()));
        for schema in [&keyed, &plain] {
            let columns: Vec<arrow::array::ArrayRef> = vec![
                Arc::new(Int64Array::from(ids.clone())),
                Arc::new(Int64Array::from(places.clone())),
            ];
            messages.push(insert(&RecordBatch::try_new(Arc::clone(schema), columns).unwrap()));
        }
    }
    cq.put(messages).await;

    let expected: Vec<String> = last.iter().map(|(id, place)| format!("{id}|{place}")).collect();
    assert_eq!(
        database.lines("select id, place from keyed order by id").await,
        expected
    );
    let all = RECORDS * ROWS;
    assert_eq!(
        database
            .value("select count(*), count(distinct place), min(place), max(place) from plain")
            .await,
        format!("{all}|{all}|0|{}", all - 1)
    );
}
