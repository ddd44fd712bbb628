//! `embeddings migrate`: another model is built beside the old one and swapped in while loads go on.

use std::time::Duration;

use pgflight::embed::hash_test;
use serde_json::{Value, json};

use super::process::{ConfigFile, run};
use super::{Bench, DIMENSIONS, wanted};
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::server::Server;

/// The settings of a bench, for a model with 16 dimensions behind another stub.
async fn better() -> (Stub, Value) {
    let stub = Stub::start(2 * DIMENSIONS).await;
    let mut settings = settings(&stub, 2 * DIMENSIONS as u32);
    settings["pgvector_config"]["openai_embedding"]["model_name"] = json!("better");
    (stub, settings)
}

async fn filled(bench: &mut Bench, rows: i64) {
    let bodies: Vec<String> = (0..rows).map(|id| format!("text of row {id}")).collect();
    let rows = bodies.iter().zip(0..).map(|(body, id)| (id, "k", Some(body.as_str())));
    bench.put(&rows.collect::<Vec<_>>()).await;
    drained(&bench.database).await;
}

async fn column(bench: &Bench) -> String {
    let ty = "select format_type(atttypid, atttypmod) from pg_attribute \
              where attrelid = 'docs_vectors'::regclass and attname = 'embedding'";
    bench.database.value(ty).await
}

/// Every stored vector is the new model's of its own chunk.
async fn all_of_the_new_model(bench: &Bench) {
    for row in bench
        .database
        .query("select chunk, embedding::text from docs_vectors", &[])
        .await
    {
        let (chunk, vector): (String, String) = (row.get(0), row.get(1));
        let numbers: Vec<f32> = vector
            .trim_matches(['[', ']'])
            .split(',')
            .map(|x| x.parse().expect("a number"))
            .collect();
        let wanted = hash_test::vector(&chunk, 2 * DIMENSIONS);
        let near = numbers.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(numbers.len() == wanted.len() && near, "{chunk}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_is_planned_first_and_swapped_in_when_it_is_complete() {
    let mut bench = Bench::start().await;
    filled(&mut bench, 40).await;
    bench
        .database
        .execute("create view nearest as select chunk from docs_vectors")
        .await;
    let (stub, settings) = better().await;
    let (code, text) = run(&bench.database, &settings, &["migrate"]).await;
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "\"model\":\"stub\"",
        "\"model\":\"better\"",
        "40",
        "public.nearest",
        "--confirm does it",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert_eq!((stub.requests(), column(&bench).await.as_str()), (0, "vector(8)"));

    // The old server goes on with the old configuration, before, while and after the tables are swapped.
    stub.set_delay(Duration::from_millis(300));
    let file = ConfigFile::write(&bench.database, settings.clone());
    let migrating = file.command(&["embeddings", "migrate", "--confirm"]).output();
    let loading = async {
        bench
            .database
            .wait_for("select exists (select from pgflight.embed_table where successor is not null)")
            .await;
        for id in 30..60 {
            bench
                .put(&[(id, "k", Some(&format!("another text of row {id}")))])
                .await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bench.database.execute("delete from docs where id < 5").await;
    };
    let (output, ()) = tokio::join!(migrating, loading);
    let output = output.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("docs_vectors__old_"), "{text}");
    assert_eq!(column(&bench).await, "vector(16)");
    // A load with the old configuration is noted for the new table.
    bench.put(&[(70, "k", Some("after the swap"))]).await;

    let server = Server::start_with(bench.database.uri(), settings.clone()).await;
    run(&bench.database, &settings, &["reconcile"]).await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    all_of_the_new_model(&bench).await;
    let old = "select count(*) from pg_tables where tablename like 'docs\\_vectors\\_\\_old%'";
    assert_eq!(bench.database.value(old).await, "1");
    let (code, text) = run(&bench.database, &settings, &["migrate"]).await;
    assert_eq!((code, text.contains("needs no migration")), (Some(0), true), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_table_has_the_owner_and_the_grants_of_the_old_one() {
    let mut bench = Bench::start().await;
    filled(&mut bench, 3).await;
    let role = format!("owner_of_{}", bench.database.name());
    bench
        .database
        .execute(&format!(
            "create role {role}; grant select on docs_vectors to public; \
             grant update (chunk, id) on docs_vectors to public; alter table docs_vectors owner to {role}"
        ))
        .await;
    let (_stub, settings) = better().await;
    let (code, text) = run(&bench.database, &settings, &["migrate", "--confirm"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(column(&bench).await, "vector(16)");
    let grants = "select has_table_privilege('public', 'docs_vectors', 'select')::text";
    assert_eq!(bench.database.value(grants).await, "true");
    let columns = "select string_agg(attname, ' ' order by attnum) from pg_attribute \
                   where attrelid = 'docs_vectors'::regclass and attacl is not null";
    assert_eq!(bench.database.value(columns).await, "id chunk");
    let owner = "select tableowner from pg_tables where tablename = 'docs_vectors'";
    assert_eq!(bench.database.value(owner).await, role);
    bench
        .database
        .execute(&format!("reassign owned by {role} to current_user; drop role {role}"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_the_old_model_stores_nothing_after_the_swap() {
    let mut bench = Bench::start().await;
    filled(&mut bench, 3).await;
    let (_stub, settings) = better().await;
    // The old worker has asked and waits for the answer while the tables are swapped.
    bench.stub.take();
    bench.stub.set_delay(Duration::from_secs(8));
    bench.put(&[(1, "k", Some("changed"))]).await;
    while bench.stub.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (code, text) = run(&bench.database, &settings, &["migrate", "--confirm"]).await;
    assert_eq!(code, Some(0), "{text}");
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    all_of_the_new_model(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_is_killed_goes_on_where_it_was() {
    let mut bench = Bench::start().await;
    filled(&mut bench, 64).await;
    let (stub, mut settings) = better().await;
    settings["embeddings"]["lease"] = json!("2s");
    settings["embeddings"]["index"] = json!("hnsw");
    stub.set_delay(Duration::from_millis(300));
    let file = ConfigFile::write(&bench.database, settings.clone());
    let mut migrating = file
        .command(&["embeddings", "migrate", "--confirm"])
        .spawn()
        .expect("the program starts");
    let some = "select exists (select from docs_vectors__next)";
    bench.database.wait_for(some).await;
    migrating.kill().await.expect("it runs");
    assert_eq!(column(&bench).await, "vector(8)", "the old vectors serve");
    stub.set_delay(Duration::ZERO);
    let kept: i64 = bench
        .database
        .value("select count(*) from docs_vectors__next")
        .await
        .parse()
        .expect("a number");
    stub.take();
    let (code, text) = run(&bench.database, &settings, &["migrate", "--confirm"]).await;
    assert_eq!(code, Some(0), "{text}");
    let asked = stub.take_texts().len() as i64;
    assert!(asked <= 64 - kept, "{asked} texts after {kept} were stored");
    assert_eq!(column(&bench).await, "vector(16)");
    all_of_the_new_model(&bench).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    let indexes = "select string_agg(indexname, ',' order by indexname) from pg_indexes \
                   where tablename = 'docs_vectors' and indexname like '%embedding_idx'";
    assert_eq!(bench.database.value(indexes).await, "docs_vectors_embedding_idx");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_new_model_does_not_take_stop_the_swap_until_they_are_left_out() {
    let mut bench = Bench::start().await;
    filled(&mut bench, 5).await;
    let (stub, settings) = better().await;
    stub.poison(Some("row 3"));
    let (code, text) = run(&bench.database, &settings, &["migrate", "--confirm"]).await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("1 were given up") && text.contains("bad_input"), "{text}");
    assert_eq!(column(&bench).await, "vector(8)");
    let (code, text) = run(&bench.database, &settings, &["migrate", "--confirm", "--incomplete"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [0, 1, 2, 4]);
}

/// Three rows, and a vector table as the Go plugin leaves one: a row that has changed since, one without chunks, one that is gone.
async fn made_by_the_go_plugin(bench: &Bench) {
    let id = |n: i32| format!("5f0e2b3c-0000-4000-8000-00000000000{n}");
    let vector = |text: &str| format!("{:?}", hash_test::vector(text, DIMENSIONS));
    bench
        .database
        .execute(&format!(
            "create extension vector; \
             create table docs (_cq_id uuid not null unique, id bigint primary key, kind text, body text); \
             insert into docs values ('{0}', 1, 'k', 'one'), ('{1}', 2, 'k', 'two is new'), ('{2}', 3, 'k', 'three'); \
             create table docs_vectors (_cq_id uuid, id bigint not null, kind text, chunk text, embedding vector(8)); \
             create index docs_vectors_cqid_idx on docs_vectors (_cq_id); \
             insert into docs_vectors values ('{0}', 1, 'k', 'one', '{3}'), ('{1}', 2, 'old', 'two was old', '{4}'), \
             ('{1}', 2, 'old', 'in two chunks', '{4}'), ('{5}', 9, 'k', 'gone', '{3}')",
            id(1),
            id(2),
            id(3),
            vector("one"),
            vector("whatever"),
            id(9)
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_the_go_plugin_is_adopted_with_or_without_its_vectors() {
    for trust in [false, true] {
        let bench = Bench::start_with(|settings| settings["embeddings"]["workers"] = json!(false)).await;
        made_by_the_go_plugin(&bench).await;
        let settings = settings(&bench.stub, DIMENSIONS as u32);
        let (_, text) = run(&bench.database, &settings, &["status"]).await;
        assert!(text.contains("embeddings adopt"), "{text}");
        let (code, text) = run(&bench.database, &settings, &["adopt"]).await;
        assert_eq!(code, Some(0), "{text}");
        assert!(
            text.contains("3 chunk(s) of 2 row(s)") && text.contains("1 chunk(s) without a row"),
            "{text}"
        );
        assert_eq!(
            bench.database.value("select count(*) from docs_vectors").await,
            "4",
            "only planned"
        );

        let arguments: &[&str] = if trust {
            &["adopt", "--trust", "--confirm"]
        } else {
            &["adopt", "--confirm"]
        };
        let (code, text) = run(&bench.database, &settings, arguments).await;
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(bench.database.value("select count(*) from docs_vectors").await, "3");
        let (code, text) = run(&bench.database, &settings, &["work", "--drain"]).await;
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(bench.chunks().await, wanted(&bench.database).await);
        assert_eq!(
            bench.database.lines("select distinct kind from docs_vectors").await,
            ["k"],
            "metadata, too"
        );
        let mut asked = bench.stub.take_texts();
        asked.sort();
        match trust {
            true => assert_eq!(asked, ["three", "two is new"], "what has its vector is kept"),
            false => assert_eq!(asked, ["one", "three", "two is new"]),
        }
        let (code, text) = run(&bench.database, &settings, &["adopt", "--confirm"]).await;
        assert_eq!((code, text.contains("followed already")), (Some(0), true), "{text}");
    }
}
