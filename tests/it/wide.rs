//! Tables as wide as Postgres allows: what fits the table once fits it again, although an overwrite stages rows with their position.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use serde_json::json;

use crate::support::flight::{batch, command, longs};
use crate::support::server::start;

/// Rows with `width` columns, of which those from `full` on are NULL; `sets` has the first and the second column's values.
fn rows(width: usize, full: usize, sets: &[(i64, i64)]) -> RecordBatch {
    let names: Vec<String> = (0..width).map(|at| format!("c{at}")).collect();
    let column = |at: usize| -> ArrayRef {
        match at {
            0 => longs(sets.iter().map(|set| set.0)),
            _ if at < full => longs(sets.iter().map(|set| set.1)),
            _ => Arc::new(Int64Array::from(vec![None; sets.len()])),
        }
    };
    batch(
        names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.as_str(), column(at)))
            .collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_1600_columns_and_rows_that_fill_a_page_are_overwritten_as_often_as_one_likes() {
    let (database, _server, mut flight) = start().await;
    // As many columns as a table can have, and as many bytes as a row can have (1017 of 8 and a header of 24).
    for (width, full, ty) in [(1600, 900, "bigint"), (1017, 1017, "bigint"), (1600, 1600, "integer")] {
        let columns: Vec<String> = (1..width).map(|at| format!("c{at} {ty}")).collect();
        let ways = [("overwrite", "fail"), ("overwrite", "reject"), ("replace", "fail")];
        for (mode, on_bad_row) in ways.into_iter().take(if width == full { 1 } else { 3 }) {
            let says = format!("{mode} {on_bad_row} {width} {ty}");
            let create = format!(
                "drop table if exists t; create table t (c0 bigint primary key, {})",
                columns.join(", ")
            );
            database.execute(&create).await;
            let load = || {
                command(
                    json!({"table": "t", "write_mode": mode, "on_bad_row": on_bad_row, "reject_values": true, "batch_size": 2,
                               "migrate_mode": "off"}),
                )
            };
            let last = format!(
                "select string_agg(c0 || ':' || c1 || ':' || c{}, ' ' order by c0) from t",
                full - 1
            );
            for (sets, left) in [
                (&[(1, 10), (2, 20), (3, 30)][..], "1:10:10 2:20:20 3:30:30"),
                (&[(1, 10), (2, 20), (3, 30)], "1:10:10 2:20:20 3:30:30"),
                (&[(3, 31), (2, 20), (1, 11)], "1:11:11 2:20:20 3:31:31"),
            ] {
                let answer = flight.put(load(), &[rows(width, full, sets)]).await;
                let answer = answer.unwrap_or_else(|error| panic!("{says}: {error:?}"));
                assert_eq!(answer["rows"], 3, "{says}");
                assert_eq!(database.value(&last).await, left, "{says}");
            }
            // The last row of a key, and a row that the table refuses.
            if mode == "overwrite" {
                database.execute("alter table t add check (c1 <> 666)").await;
                let sets = [(1, 5), (1, 6), (2, 666), (4, 40)];
                let put = flight.put(load(), &[rows(width, full, &sets)]).await;
                match on_bad_row {
                    "fail" => assert!(put.unwrap_err().message().contains("23514"), "{says}"),
                    _ => {
                        let answer = put.unwrap_or_else(|error| panic!("{says}: {error:?}"));
                        assert_eq!((&answer["rows"], &answer["rejected"]), (&json!(3), &json!(1)), "{says}");
                        assert_eq!(database.value(&last).await, "1:6:6 2:20:20 3:31:31 4:40:40", "{says}");
                        let kept = "select row_in_stream || ' ' || (row_values ->> 'c1') from pgflight.reject order by id desc limit 1";
                        assert_eq!(database.value(kept).await, "2 666", "{says}");
                    }
                }
            }
        }
    }
}
