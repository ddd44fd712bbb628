//! Columns that are created again from what was read: the type that a field's metadata names.

use serde_json::json;

use super::get;
use crate::support::database::Database;
use crate::support::flight::{Flight, command};
use crate::support::server::Server;

/// The columns of a table, by name and type.
const SHAPE: &str = "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum) \
     from pg_attribute where attnum > 0 and attrelid = ";

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_read_is_created_again_with_its_type_where_that_is_built_in() {
    let database = Database::create().await;
    database
        .execute(
            "create extension vector; create table first (a varchar(5), b char(4), c json, d timestamptz(0), e time(3), f oid, \
             g cidr, h bit(3), i varchar(7)[], j numeric(5,-2), k xid8, l timetz, m money, n vector(2), o int4range); \
             insert into first values ('ab', 'x', '{\"a\":  1}', '2024-01-01', '01:02:03.004', 4294967295, '10.0.0.0/8', \
             '101', '{a,NULL}', 12300, '7', '01:02+03', 12.34, '[1,2]', '[1,5)')",
        )
        .await;
    let server = Server::start(&database).await;
    let first = get(&server, json!({"table": "first"})).await.unwrap();
    let mut flight = Flight::connect(&server).await;
    flight
        .put(command(json!({"table": "second"})), std::slice::from_ref(&first))
        .await
        .unwrap();
    let shape = async |table: &str| database.value(&format!("{SHAPE} '{table}'::regclass")).await;
    // A range type may be one of a database's own, so its payload stays bytes.
    let expected = shape("first").await.replace("o int4range", "o bytea");
    assert_eq!(shape("second").await, expected);
    let rest = "select row(a, b, c, d, e, f, g, h, i, j, k, l, m, n)::text from";
    assert_eq!(
        database.value(&format!("{rest} first")).await,
        database.value(&format!("{rest} second")).await
    );
    let cloudquery = command(json!({"table": "third", "type_profile": "cloudquery"}));
    flight
        .put(cloudquery, &[first.project(&[0, 2]).unwrap()])
        .await
        .unwrap();
    assert_eq!(
        shape("third").await,
        "a text, c text",
        "the Go plugin knows no such names"
    );
}
