//! One table with a column of every type: loaded from text, loaded from Arrow's own types, and read back, on every server.
//! And columns that are created again from what was read: the type that a field's metadata names.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::json;

use super::types::{COLUMNS, fill, fill_with};
use super::{exactly, get};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::flight::{Flight, command};
use crate::support::server::Server;

/// Types of `pg_catalog` that have a binary form and that no value can be made of: their input functions refuse everything.
const NO_INPUT: [&str; 7] = [
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    // The servers of the tests are built without libxml.
    "xml",
];

/// Built-in types, arrays apart, that binary COPY takes and that the table `t` has no column of.
const WITHOUT_COLUMN: &str = "select typname from pg_type where typnamespace = 'pg_catalog'::regnamespace \
     and typtype in ('b', 'r', 'm') and typreceive <> 0 and not (typname like '\\_%' and typelem <> 0) \
     and oid not in (select atttypid from pg_attribute where attrelid = 't'::regclass) order by typname collate \"C\"";

/// Values that Arrow has no place for, so that text alone brings them.
const TEXT_ONLY: &[(&str, &[&str])] = &[
    ("date", &["infinity", "-infinity"]),
    ("timestamp", &["infinity", "-infinity", "294276-12-31 23:59:59.999999"]),
    (
        "timestamptz(3)",
        &["infinity", "-infinity", "4713-01-01 00:00:00+00 BC"],
    ),
    ("interval", &["9000000:00:00"]),
    ("numeric(6,2)", &["NaN", "-0.01"]),
    ("int4[]", &["{{1,2},{3,NULL}}", "{{{1}},{{2}}}"]),
    ("date[]", &["{infinity,2024-02-29}"]),
    ("text[]", &["{{\"a b\",\"{\"},{NULL,\"\"}}"]),
    ("tstzrange", &["[-infinity,infinity]"]),
];

async fn create(database: &Database, table: &str, columns: &[(&str, &[&str])]) {
    let columns = columns.iter().enumerate();
    let columns: String = columns.map(|(n, (ty, _))| format!(", c{n} {ty}")).collect();
    database
        .execute(&format!("create table {table} (row int4{columns})"))
        .await;
}

/// Rows of either table that the other has not, by what Postgres prints.
async fn differences(database: &Database, table: &str) -> Vec<String> {
    let (one, other) = ("select t::text from t", format!("select x::text from {table} as x"));
    database
        .lines(&format!(
            "({one} except all {other}) union all ({other} except all {one})"
        ))
        .await
}

fn into(table: &str) -> arrow_flight::FlightDescriptor {
    command(json!({"table": table, "migrate_mode": "off"}))
}

/// The table `t` as the text that Postgres prints, but for the numbers of the rows.
async fn texts(server: &Server, columns: usize) -> RecordBatch {
    let texts = (0..columns).map(|n| Field::new(format!("c{n}"), DataType::Utf8, true));
    let fields: Vec<Field> = [Field::new("row", DataType::Int32, true)]
        .into_iter()
        .chain(texts)
        .collect();
    get(server, exactly("t", Schema::new(fields)))
        .await
        .expect("the table is read")
}

/// Loads the table `t` from what it is read as, and from its text, into tables of the same types.
async fn there_and_back(database: &Database, server: &Server, columns: &[(&str, &[&str])], what: &str) {
    let mut flight = Flight::connect(server).await;
    let read = get(server, json!({"table": "t"})).await.expect("the table is read");
    let texts = texts(server, columns.len()).await;
    for (table, batch) in [("own", &read), ("from_text", &texts)] {
        create(database, table, columns).await;
        let put = flight.put(into(table), std::slice::from_ref(batch)).await;
        put.unwrap_or_else(|error| panic!("{what}, {table}: {error:?}"));
        assert_eq!(differences(database, table).await, [""; 0], "{what}, {table}");
        let back = get(server, json!({"table": table})).await.expect("the table is read");
        assert_eq!(back, read, "{what}, {table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_loaded_from_text_and_from_its_own_arrow_type_and_read_back() {
    for version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        fill(&database).await;
        assert_eq!(database.lines(WITHOUT_COLUMN).await, NO_INPUT, "PostgreSQL {version}");
        let server = Server::start(&database).await;
        there_and_back(&database, &server, COLUMNS, &format!("PostgreSQL {version}")).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_arrow_has_not_are_loaded_from_text() {
    for version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        fill_with(&database, TEXT_ONLY).await;
        let server = Server::start(&database).await;
        create(&database, "from_text", TEXT_ONLY).await;
        let texts = texts(&server, TEXT_ONLY.len()).await;
        let mut flight = Flight::connect(&server).await;
        flight.put(into("from_text"), &[texts]).await.unwrap();
        assert_eq!(
            differences(&database, "from_text").await,
            [""; 0],
            "PostgreSQL {version}"
        );
        server.stop().await;
    }
}

/// Types of extensions that come with PostgreSQL's own packages, and what a server with libxml has.
const CONTRIB: &[(&str, &[&str])] = &[
    (
        "hstore",
        &[
            "\"a\"=>\"1\", \"b c\"=>NULL, \"q\\\"\"=>\"\\\\\"",
            "",
            "\"n\"=>\"NULL\", \"\"=>\"\"",
        ],
    ),
    ("citext", &["MiXed", "", "grüß €𝄞"]),
    ("ltree", &["Top.Science.Astronomy", ""]),
    ("lquery", &["Top.*{1,2}.!a|b@*", "*"]),
    ("xml", &["<a b=\"1\">x<!-- y --></a>", "text"]),
    ("hstore[]", &["{\"\\\"a\\\"=>\\\"1\\\"\",NULL}"]),
    ("citext[]", &["{A,NULL,\"\"}"]),
    ("ltree[]", &["{a.b,c}"]),
    ("xml[]", &["{<a/>}"]),
    ("email", &["A@b.c"]),
];

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(contrib_server),
    ignore = "no apt of Debian 12 to bring contrib extensions, and PGFLIGHT_TEST_CONTRIB names no server"
)]
async fn types_of_contrib_extensions_and_xml_are_loaded_from_text_and_from_their_own_arrow_type() {
    let database = Database::create_at(Cluster::contrib()).await;
    database
        .execute(
            "create extension hstore; create extension citext; create extension ltree; \
             create domain email as citext check (value ~ '@')",
        )
        .await;
    fill_with(&database, CONTRIB).await;
    let server = Server::start(&database).await;
    there_and_back(
        &database,
        &server,
        CONTRIB,
        &database.value("show server_version").await,
    )
    .await;
    server.stop().await;
}

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
