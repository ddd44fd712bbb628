//! What is no load: reads, migrations, deletions, rejects, streams, the other doors and programs, beside a neighbour.

use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};
use serde_json::{Value, json};

use super::{Behind, beside_a_neighbour, people, schemas_of_t};
use crate::cloudquery::client::{self, Cq};
use crate::load::{Scratch, load};
use crate::read;
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::embeddings::{self, Stub};
use crate::support::flight::{Flight, batch, command, longs, messages, metadata, texts};
use crate::support::pgbouncer::{Bouncer, Neighbour, lent};

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn streams_rejects_migrations_reads_and_deletions_leave_a_neighbours_session_alone() {
    for &version in cluster::versions() {
        let settings = json!({"create_performance_indexes": true});
        let (database, server, neighbour) = beside_a_neighbour(version, settings).await;
        let mut flight = Flight::connect(&server).await;
        for (id, commit) in [(1, "atomic"), (2, "batch")] {
            let to = command(json!({"table": "t", "stream_id": commit, "commit": commit, "primary_key": ["id"]}));
            let numbered = || {
                let mut sent = messages(to.clone(), &[people(&[id], commit)]);
                if let (Some(rows), "batch") = (sent.last_mut(), commit) {
                    rows.app_metadata = json!({"seq": 0}).to_string().into();
                }
                sent.push(metadata(&json!({"commit": {"rows": 1}}).to_string()));
                sent
            };
            flight.send(numbered()).await.unwrap();
            let again = flight.send(numbered()).await.unwrap().pop().unwrap();
            assert_eq!(again["duplicate"], true, "{again}");
            let status = flight.act("pgflight.stream.status", json!({"stream_id": commit})).await;
            assert_eq!(status.unwrap()["rows"], 1);
        }
        // A migration, and rows that are rejected.
        let wider = batch(vec![("id", longs([3])), ("more", longs([9]))]);
        flight.put(command(json!({"table": "t"})), &[wider]).await.unwrap();
        let bad = batch(vec![("id", texts(&[Some("x"), Some("5")]))]);
        let to = command(json!({"table": "t", "on_bad_row": "reject"}));
        assert_eq!(flight.put(to, &[bad]).await.unwrap()["rejected"], 1);

        let read = read::get(&server, json!({"table": "t", "columns": ["id"]}))
            .await
            .unwrap();
        assert_eq!(read.num_rows(), 4);
        neighbour.look().await;
        let (ready, _) = server.page("/readyz").await;
        assert!(ready.contains("200"), "{ready}");
        let looks = neighbour.looks();
        neighbour.look().await;
        assert_eq!(neighbour.looks(), looks + 1, "the session is still the same one");
        assert_eq!(schemas_of_t(&database).await, ["public"]);
        let left = "select string_agg(id || coalesce(name, '-') || coalesce(more::text, '-'), ' ' order by id) from t";
        assert_eq!(database.value(left).await, "1atomic- 2batch- 3-9 5--");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn cloudquery_migrates_writes_deletes_and_reads_beside_a_neighbour() {
    for &version in cluster::versions() {
        let settings = json!({"create_performance_indexes": true});
        let (database, server, neighbour) = beside_a_neighbour(version, settings).await;
        let mut cq = Cq::ready(&server).await;
        let schema = |extra: DataType| {
            let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            let fields = [
                ("name", DataType::Utf8),
                ("_cq_source_name", DataType::Utf8),
                ("_cq_sync_time", time),
                ("extra", extra),
            ];
            let fields = fields.into_iter().map(|(name, ty)| Field::new(name, ty, true));
            let id = client::key(Field::new("id", DataType::Int64, false));
            client::schema("t", std::iter::once(id).chain(fields).collect())
        };
        let rows = |ids: &[i64], name: &str, micros: i64, extra: ArrayRef| {
            let (sources, names) = (vec![Some("s"); ids.len()], vec![Some(name); ids.len()]);
            let times = TimestampMicrosecondArray::from(vec![micros; ids.len()]).with_timezone("UTC");
            let schema = schema(extra.data_type().clone());
            let columns: Vec<ArrayRef> = vec![
                longs(ids.iter().copied()),
                texts(&names),
                texts(&sources),
                Arc::new(times),
                extra,
            ];
            RecordBatch::try_new(schema, columns).unwrap()
        };
        let (first, second) = (1_700_000_000_000_000, 1_700_000_001_000_000);
        let before = rows(&[1, 2, 3], "a", first, texts(&[Some("x"); 3]));
        cq.put(vec![client::migrate(&before.schema()), client::insert(&before)])
            .await;
        let after = rows(&[2, 3, 4], "b", second, longs([7, 8, 9]));
        cq.put(vec![
            client::migrate_with(&after.schema(), true),
            client::insert(&after),
            client::delete_stale("t", "s", second),
        ])
        .await;
        let gone = client::all_of(vec![client::equals("id", longs([4]))]);
        cq.put(vec![client::delete_records("t", vec![gone], &[])]).await;
        let read = cq.read(&after.schema()).await;
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
        neighbour.look().await;
        assert!(neighbour.looks() >= 4, "{}", neighbour.looks());
        assert_eq!(schemas_of_t(&database).await, ["public"]);
        assert_eq!(
            database
                .value("select string_agg(id || name || extra, ' ' order by id) from t")
                .await,
            "2b7 3b8"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn the_program_load_and_the_program_check_work_beside_a_neighbour() {
    for &version in cluster::versions() {
        let (database, server, neighbour) = beside_a_neighbour(version, json!({})).await;
        let scratch = Scratch::new();
        let file = scratch.file("t.csv", "id,name\n1,a\n2,b\n");
        let loaded = load(&server.uri(), &[&file, "--table", "t"], "").await;
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        neighbour.look().await;
        for pooler in ["auto", "none", "transaction"] {
            let checked = Command::new(env!("CARGO_BIN_EXE_pgflight"))
                .args(["check", "--json", "--connection-string", server.bouncer.uri()])
                .args(["--set", &format!("pool.pooler={pooler}")])
                .env_clear()
                .output()
                .expect("the program starts");
            let report: Value = serde_json::from_slice(&checked.stdout).expect("a report");
            assert_eq!(
                (&report["pooler"], &report["schema"], &report["role"]),
                (&"transaction".into(), &"public".into(), &"postgres".into()),
                "{pooler}: {report}"
            );
            assert_eq!(report["problems"], json!([]), "{pooler}");
            let settings = report["settings"].to_string();
            assert!(!settings.contains("=11") && !settings.contains("=77"), "{settings}");
        }
        let looks = neighbour.looks();
        neighbour.look().await;
        assert_eq!(neighbour.looks(), looks + 1, "the session is still the same one");
        assert_eq!(schemas_of_t(&database).await, ["public"]);
        let attributes = format!("{}?target_session_attrs=read-write", server.bouncer.uri());
        let other = crate::support::server::Server::start_with(&attributes, json!({})).await;
        let mut flight = Flight::connect(&other).await;
        flight
            .put(command(json!({"table": "t"})), &[people(&[3], "c")])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn embeddings_come_behind_a_pooler_and_leave_its_sessions_alone() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        database.execute("create extension vector").await;
        let stub = Stub::start(8).await;
        // A load prepares the vectors of its table on a second connection.
        let mut settings = embeddings::settings(&stub, 8);
        settings["embeddings"]["index"] = json!("hnsw");
        let server = Behind::start(&database, &["default_pool_size = 2"], settings).await;
        let neighbour = Neighbour::move_in(server.bouncer.uri(), &server.http()).await;
        let mut flight = Flight::connect(&server).await;
        let to = || command(json!({"table": "docs", "write_mode": "overwrite", "primary_key": ["id"]}));
        let docs = |ids: &[i64], body: &str| {
            let (kinds, bodies) = (vec![Some("k"); ids.len()], vec![Some(body); ids.len()]);
            batch(vec![
                ("id", longs(ids.iter().copied())),
                ("kind", texts(&kinds)),
                ("body", texts(&bodies)),
            ])
        };
        flight
            .put(
                to(),
                &[docs(&[1, 2, 3], "one text that is longer than what one chunk may have")],
            )
            .await
            .unwrap();
        embeddings::drained(&database).await;
        flight.put(to(), &[docs(&[2], "short")]).await.unwrap();
        embeddings::drained(&database).await;
        neighbour.look().await;
        assert!(neighbour.looks() > 0, "no look found the session of before");
        let chunks = "select string_agg(id || ':' || n, ' ' order by id) from (select id, count(*) as n from docs_vectors group by id) c";
        assert_eq!(database.value(chunks).await, "1:2 2:1 3:2");
        database
            .wait_for("select exists (select from pg_indexes where indexdef like '%hnsw%')")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn a_pooler_that_keeps_sessions_finds_them_empty_afterwards() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        let bouncer = Bouncer::before(database.uri(), &["pool_mode = session"]);
        let (process, before) = lent(bouncer.uri()).await;
        let settings = json!({"pool": {"pooler": "session", "max_size": 1}});
        let server = crate::support::server::Server::start_with(bouncer.uri(), settings).await;
        let mut flight = Flight::connect(&server).await;
        for name in ["a", "b", "c"] {
            let to = command(json!({"table": "t", "write_mode": "overwrite", "primary_key": ["id"]}));
            flight.put(to, &[people(&[1, 2], name)]).await.unwrap();
        }
        server.stop().await;
        assert_eq!(lent(bouncer.uri()).await, (process, before));
        assert_eq!(
            database
                .value("select string_agg(id || name, ' ' order by id) from t")
                .await,
            "1c 2c"
        );
    }
}

/// PgBouncer tells of a server that is gone as of an error of the statement, under a code that says nothing.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn a_server_that_crashes_behind_a_pooler_costs_no_row_and_doubles_none() {
    const PUTS: i64 = 30;
    for &version in cluster::versions() {
        let mut cluster = Cluster::private(&cluster::Options {
            version: Some(version),
            ..Default::default()
        });
        let mut database = Database::create_in(&cluster).await;
        let server = Behind::start(&database, &["default_pool_size = 4"], json!({})).await;
        let writers: Vec<_> = (0..4_i64)
            .map(|writer| {
                let address = server.http();
                tokio::spawn(async move {
                    let mut flight = Flight::reach(&address).await;
                    let commit = if writer % 2 == 0 { "atomic" } else { "batch" };
                    for at in 0..PUTS {
                        let to = command(json!({"table": "t", "commit": commit}));
                        let first = (writer * PUTS + at) * 100;
                        let ids: Vec<i64> = (first..first + 100).collect();
                        let put = flight.put(to, &[people(&ids, commit)]).await;
                        put.unwrap_or_else(|error| panic!("{commit} {at}: {error:?}"));
                        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            // Puts go on on other threads.
            cluster.crash();
            cluster.start();
        }
        for writer in writers {
            writer.await.expect("all puts go through");
        }
        database.reconnect().await;
        let rows = "select count(*), count(distinct id) from t";
        assert_eq!(database.value(rows).await, "12000|12000");
    }
}
