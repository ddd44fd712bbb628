//! Clients of other makers, with nothing of ours on their side: pyarrow's Flight client as a user would write it.

use serde_json::Value;

use crate::support::database::Database;
use crate::support::python::Python;
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn pyarrow_puts_rows_by_path_and_by_json_command() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let printed = Python::pinned().run("flight_put.py", &[&server.uri()]).await;
    let results: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON result"))
        .collect();
    assert_eq!(results.len(), 2, "{printed}");
    for result in &results {
        assert_eq!(
            (&result["rows"], &result["committed"]),
            (&Value::from(3), &Value::from(3)),
            "{result}"
        );
    }
    assert_eq!(results[1]["table"], "public.by_command");
    let types = "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum) from pg_attribute \
                 where attrelid = 'by_path'::regclass and attnum > 0";
    assert_eq!(
        database.value(types).await,
        "id bigint, name text, price numeric(10,2), born date, seen timestamp with time zone, tags text[], raw bytea, ok boolean"
    );
    for table in ["by_path", "by_command"] {
        let rows = database
            .lines(&format!(
                "select id, name, price, born, seen at time zone 'UTC', tags, raw, ok from {table} order by id"
            ))
            .await;
        assert_eq!(
            rows,
            [
                "1|Ünï|12.50|2020-02-29|2024-05-06 07:08:09.123456|{a,NULL}|\\x00ff|t",
                "2|<null>|-0.01|1969-12-31|1969-12-31 23:59:59.999999|{}|\\x|f",
                "3||<null>|<null>|<null>|<null>|<null>|<null>",
            ],
            "{table}"
        );
    }
}
