//! Which rows an overwrite writes: those that differ in any byte, and no other, whatever their types think of equality.

use arrow::array::ArrayRef;
use serde_json::json;

use crate::read::get;
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, texts};
use crate::support::server::Server;

const EVERYTHING: &str = "
    create type pair as (a int, b text);
    create table t (id bigint primary key, n numeric, n2 numeric(10,2), f float8, g float4, j json, jb jsonb, s text, c char(5),
        long text, longer jsonb, a numeric[], words text[], r numrange, m nummultirange, p pair, i interval, tz timetz,
        point point, polygon polygon, tv tsvector, ip inet, bits varbit, v vector(3), h halfvec(2), u uuid, b bytea, mac macaddr);
    insert into t values (1, 1.50, 2.5, '-0', 'NaN', '{\"a\":  1.0}', '{\"b\": 1.00, \"a\": [null, \"x\"]}', 'grüß', 'ab',
        repeat('long ', 50000), jsonb_build_object('k', repeat('longer ', 50000)), '{1.0,NULL}', '{a,NULL,\"\"}', '[1.0,2.00)',
        '{[1,2),[3,4]}', '(1,)', '1 month -3 days', '12:00+02', '(1,-0)', '((0,0),(1,1),(1,0))', '''a'':1A ''b'':2', '10.0.0.1/8',
        '10101', '[1,2,3]', '[0.5,-1]', '00010203-0405-0607-0809-0a0b0c0d0e0f', '\\x00ff', '08:00:2b:01:02:03');
    insert into t (id) values (2);";

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_the_same_in_every_byte_stay_untouched() {
    let database = Database::create().await;
    database.execute("create extension if not exists vector").await;
    database.execute(EVERYTHING).await;
    let server = Server::start(&database).await;
    let rows = get(&server, json!({"table": "t"})).await.unwrap();
    let places = "select id || ' ' || ctid || ' ' || xmin from t order by id";
    let before = database.lines(places).await;
    let to = command(json!({"table": "t", "write_mode": "overwrite", "primary_key": ["id"]}));
    let answer = Flight::connect(&server).await.put(to, &[rows]).await.unwrap();
    assert_eq!(answer["rows"], 2);
    assert_eq!(database.lines(places).await, before);
}

/// A type, a value, and another value that its equality takes for the same.
const EQUAL: [(&str, &str, &str); 6] = [
    ("numeric", "1.0", "1.00"),
    ("double precision", "0", "-0"),
    ("interval", "1 mon", "30 days"),
    ("jsonb", "{\"a\": 1.0}", "{\"a\": 1.00}"),
    ("numeric[]", "{1.0}", "{1.00}"),
    ("numrange", "[1.0,2)", "[1.00,2)"),
];

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_equal_and_read_differently_are_written() {
    let database = Database::create().await;
    let columns: Vec<String> = (0..EQUAL.len()).map(|at| format!("c{at} {}", EQUAL[at].0)).collect();
    let values: Vec<String> = EQUAL.iter().map(|(ty, value, _)| format!("'{value}'::{ty}")).collect();
    let (columns, values) = (columns.join(", "), values.join(", "));
    database
        .execute(&format!(
            "create table t (id bigint primary key, {columns}); insert into t select n, {values} from generate_series(0, {}) n",
            EQUAL.len() - 1
        ))
        .await;
    let server = Server::start(&database).await;
    // Row n differs in column n.
    let ids = longs(0..EQUAL.len() as i64);
    let column = |at: usize| -> ArrayRef {
        let (_, value, other) = EQUAL[at];
        let cells: Vec<_> = (0..EQUAL.len())
            .map(|row| Some(if row == at { other } else { value }))
            .collect();
        texts(&cells)
    };
    let names: Vec<String> = (0..EQUAL.len()).map(|at| format!("c{at}")).collect();
    let named = names.iter().enumerate().map(|(at, name)| (name.as_str(), column(at)));
    let rows = batch(std::iter::once(("id", ids)).chain(named).collect());
    let to = command(json!({"table": "t", "write_mode": "overwrite", "primary_key": ["id"]}));
    Flight::connect(&server).await.put(to, &[rows]).await.unwrap();
    for (at, (ty, _, other)) in EQUAL.iter().enumerate() {
        let stored = database
            .value(&format!("select c{at}::text from t where id = {at}"))
            .await;
        assert_eq!(stored, *other, "{ty}");
    }
}

/// A type of a key, the value that is stored, and an equal one that is sent.
const KEYS: [(&str, &str, &str); 5] = [
    ("numeric", "1.0", "1.00"),
    ("double precision", "0", "-0"),
    ("interval", "1 mon", "30 days"),
    ("jsonb", "{\"a\": 1.0}", "{\"a\": 1.00}"),
    ("numeric[]", "{1.0}", "{1.00}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_equal_and_read_differently_are_written() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    for (at, (ty, stored, sent)) in KEYS.iter().enumerate() {
        for (others, skip_unchanged) in [(", v text", true), (", v text", false), ("", true)] {
            let table = format!("t{at}{}{skip_unchanged}", others.len());
            database
                .execute(&format!(
                    "create table {table} (k {ty} primary key{others}); insert into {table} values ('{stored}')"
                ))
                .await;
            let to = command(
                json!({"table": table, "write_mode": "overwrite", "primary_key": ["k"], "skip_unchanged": skip_unchanged}),
            );
            let rows = batch(vec![("k", texts(&[Some(sent)]))]);
            flight.put(to, &[rows]).await.unwrap();
            let keys = database.lines(&format!("select k::text from {table}")).await;
            assert_eq!(keys, [*sent], "{ty}{others}");
        }
    }
}
