//! Rows through the Flight door into tables with a history: dropped columns, a serial and an identity that the stream does
//! not carry, a generated column, defaults, a domain, an enum, a view on top, a partitioned parent.

use serde_json::json;

use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, texts};
use crate::support::server::Server;

const TABLE: &str = "create type mood as enum ('sad', 'ok'); create domain positive as int not null check (value > 0);
    create table t (dropped int, id bigserial, k bigint primary key, gone text, n int not null default 7, m mood default 'ok',
        p positive default 1, twice int generated always as (n * 2) stored, always int generated always as identity,
        name varchar(9));
    alter table t drop column dropped; alter table t drop column gone;
    create view v as select k, n, name from t; insert into t (k, name) values (1, 'old')";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_a_history_takes_rows_in_every_mode_and_fills_what_they_do_not_carry() {
    for &version in cluster::versions() {
        for mode in ["append", "overwrite"] {
            let database = Database::create_in(Cluster::shared(version)).await;
            database.execute(TABLE).await;
            let server = Server::start(&database).await;
            let mut flight = Flight::connect(&server).await;
            // An append brings new keys only; an overwrite meets the one that is there.
            let first = if mode == "append" { 2 } else { 1 };
            let rows = batch(vec![
                ("name", texts(&[Some("new"), None])),
                ("k", longs([first, 3])),
                ("extra", longs([5, 6])),
            ]);
            let answer = flight
                .put(command(json!({"table": "t", "write_mode": mode})), &[rows])
                .await
                .unwrap_or_else(|error| panic!("{version}, {mode}: {error}"));
            // The view keeps the type of `name`; the column that is missing is added.
            assert_eq!(
                answer["migration"],
                json!(["ALTER TABLE \"public\".\"t\" ADD COLUMN \"extra\" bigint"])
            );
            let all = "select k, n, m, p, twice, name, extra, id is not null, always is not null from t order by k";
            let mut expected = vec![
                format!("{first}|7|ok|1|14|new|5|t|t"),
                "3|7|ok|1|14|<null>|6|t|t".to_owned(),
            ];
            if mode == "append" {
                expected.insert(0, "1|7|ok|1|14|old|<null>|t|t".to_owned());
            }
            assert_eq!(database.lines(all).await, expected, "{version}, {mode}");
            let counts = "select (select count(*) from v) = count(*), count(distinct id) = count(*), count(distinct always) = count(*) from t";
            assert_eq!(database.lines(counts).await, ["t|t|t"], "{version}, {mode}");
            // What the column cannot hold is refused by name, and nothing of it stays.
            let long = batch(vec![
                ("k", longs([8, 9])),
                ("name", texts(&[Some("short"), Some("longer than nine")])),
            ]);
            let error = flight
                .put(command(json!({"table": "t", "write_mode": mode})), &[long])
                .await
                .unwrap_err();
            assert!(error.message().contains("\"name\""), "{version}, {mode}: {error}");
            assert_eq!(database.lines(all).await, expected, "{version}, {mode}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_parent_takes_rows_and_a_new_column_in_every_mode() {
    for &version in cluster::versions() {
        for mode in ["append", "overwrite"] {
            let database = Database::create_in(Cluster::shared(version)).await;
            database
                .execute(
                    "create table t (gone int, k bigint, n int default 3, place bigint, primary key (k, place)) partition by range (place);
                     alter table t drop column gone;
                     create table t_1 partition of t for values from (0) to (10); create table t_rest partition of t default;
                     create view v as select * from t; insert into t (k, place) values (1, 1)",
                )
                .await;
            let server = Server::start(&database).await;
            let mut flight = Flight::connect(&server).await;
            let first = if mode == "append" { 2 } else { 1 };
            let rows = batch(vec![
                ("extra", texts(&[Some("a"), Some("b")])),
                ("place", longs([1, 50])),
                ("k", longs([first, 3])),
            ]);
            let to = command(json!({"table": "t", "write_mode": mode}));
            let answer = flight.put(to, &[rows]).await;
            let answer = answer.unwrap_or_else(|error| panic!("{version}, {mode}: {error}"));
            assert_eq!(answer["migration"].as_array().map(Vec::len), Some(1), "{answer}");
            let mut expected = vec![format!("t_1|{first}|3|1|a"), "t_rest|3|3|50|b".to_owned()];
            if mode == "append" {
                expected.insert(0, "t_1|1|3|1|<null>".to_owned());
            }
            let all = "select tableoid::regclass::text, k, n, place, extra from t order by k";
            assert_eq!(database.lines(all).await, expected, "{version}, {mode}");
            assert_eq!(
                database.value("select count(*) from v").await,
                expected.len().to_string()
            );
        }
    }
}
