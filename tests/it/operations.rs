//! docs/operations.md: the role of its SQL does everything, the same role less one grant is told which, and tables of a newer
//! program are refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tonic::Code;

use crate::flight_refusals::{refused, rows, url_with_user};
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::flight::{Flight, batch, command, longs, messages, metadata, texts};
use crate::support::server::Server;

/// A database with the role of the page, and whatever the page says about it.
struct Scene {
    database: Database,
    role: String,
}

impl Scene {
    async fn set() -> Self {
        let database = Database::create().await;
        let role = format!("loader_{}", database.name());
        let scene = Self { database, role };
        let blocks = sql();
        assert_eq!(blocks.len(), 2, "one block for the role, one for tables of others");
        scene.execute(&blocks[0]).await;
        scene
            .execute(
                "create table landing.orders (id bigint primary key, name text, _cq_source_name text, \
                 _cq_sync_time timestamp)",
            )
            .await;
        scene.execute(&blocks[1]).await;
        scene
    }

    /// Runs statements in which the page's names stand for those of this test.
    async fn execute(&self, statements: &str) {
        let named = statements
            .replace("database app", &format!("database {}", self.database.name()))
            .replace("loader", &self.role);
        self.database.execute(&named).await;
    }

    fn uri(&self) -> String {
        url_with_user(self.database.uri(), &self.role)
    }

    async fn server(&self) -> (Server, Flight) {
        let server = Server::start_with(&self.uri(), json!({"schema": "landing"})).await;
        let flight = Flight::connect(&server).await;
        (server, flight)
    }

    fn check(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_pgflight"))
            .args([
                "check",
                "--json",
                "--schema",
                "landing",
                "--connection-string",
                &self.uri(),
            ])
            .env_clear()
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .output()
            .expect("the program starts")
    }

    /// Notes and problems of `check`, or why there is no report.
    fn says(&self) -> String {
        let output = self.check();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        format!(
            "{} {} {}",
            report["notes"],
            report["problems"],
            String::from_utf8_lossy(&output.stderr)
        )
    }

    async fn end(self) {
        self.execute("drop owned by loader cascade; drop role loader").await;
    }
}

/// The SQL of the page.
fn sql() -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).expect("the page");
    let blocks = page.split("```sql\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().expect("it ends").to_owned());
    blocks.collect()
}

fn to(table: &str, mode: &str, commit: &str) -> Value {
    let mut options = json!({"table": table, "write_mode": mode, "commit": commit});
    if mode == "overwrite" {
        options["primary_key"] = json!(["id"]);
    }
    options
}

/// Every write mode into a table of the role's own and into one of somebody else's, twice, and deletions.
async fn write_in_every_mode(scene: &Scene, flight: &mut Flight) {
    for mode in ["append", "overwrite", "replace"] {
        for commit in ["atomic", "batch"] {
            if (mode, commit) == ("replace", "batch") {
                continue;
            }
            for table in [format!("own_{mode}_{commit}"), "orders".to_owned()] {
                for _ in 0..2 {
                    if mode == "append" && table == "orders" {
                        scene.execute("truncate landing.orders").await;
                    }
                    let put = flight.put(command(to(&table, mode, commit)), &[rows()]).await;
                    let put = put.unwrap_or_else(|error| panic!("{mode} {commit} {table}: {error}"));
                    assert_eq!(put["rows"], 2, "{mode} {commit} {table}: {put}");
                }
            }
        }
    }
    let stale = json!({
        "table": "orders", "write_mode": "overwrite-delete-stale", "source_name": "s",
        "sync_time": "2030-01-01T00:00:00Z",
    });
    let mut sync = messages(command(stale), &[rows()]);
    sync.push(metadata(r#"{"commit": {"rows": 2}}"#));
    flight.send(sync).await.expect("a sync");
    let delete = json!({"table": "orders", "where": [{"all": {"id": 1}}]});
    assert_eq!(
        flight.act("pgflight.delete_records", delete).await.expect("a deletion")["deleted"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_the_page_runs_every_write_mode_migrations_streams_and_rejects() {
    let scene = Scene::set().await;
    let (server, mut flight) = scene.server().await;
    write_in_every_mode(&scene, &mut flight).await;
    let wider = batch(vec![("id", longs([3])), ("note", texts(&[Some("new")]))]);
    flight
        .put(command(to("own_append_atomic", "append", "atomic")), &[wider])
        .await
        .expect("a migration");
    assert_eq!(
        scene
            .database
            .value("select count(note) from landing.own_append_atomic")
            .await,
        "1"
    );

    let mut stream = messages(command(json!({"table": "streamed", "stream_id": "s"})), &[rows()]);
    stream[1].app_metadata = json!({"seq": 0}).to_string().into();
    stream.push(metadata(r#"{"commit": {"rows": 2}}"#));
    flight.send(stream).await.expect("a stream");
    assert_eq!(scene.database.value("select count(*) from landing.streamed").await, "2");

    scene
        .execute("alter table landing.streamed add constraint positive check (id > 0)")
        .await;
    let bad = batch(vec![("id", longs([-1, 5]))]);
    let put = flight
        .put(command(json!({"table": "streamed", "on_bad_row": "reject"})), &[bad])
        .await
        .expect("one of two");
    assert_eq!(put["rejected"], 1, "{put}");
    assert_ne!(
        scene.database.value("select count(*) from pgflight.last_commit").await,
        "0"
    );

    let output = scene.check();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = scene.says();
    assert!(!said.contains("grant"), "{said}");
    drop(flight);
    server.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_the_page_embeds() {
    let scene = Scene::set().await;
    let stub = Stub::start(8).await;
    let mut settings = settings(&stub, 8);
    settings["schema"] = json!("landing");
    let server = Server::start_with(&scene.uri(), settings).await;
    let mut flight = Flight::connect(&server).await;
    let docs = batch(vec![
        ("id", longs([1, 2])),
        ("kind", texts(&[Some("a"), Some("b")])),
        ("body", texts(&[Some("one text"), Some("another text")])),
    ]);
    flight
        .put(command(to("docs", "overwrite", "atomic")), &[docs])
        .await
        .expect("rows");
    drained(&scene.database).await;
    assert_eq!(
        scene.database.value("select count(*) from landing.docs_vectors").await,
        "2"
    );
    drop(flight);
    server.stop().await;
    scene.end().await;
}

/// What is taken away and given back, a load that needs it, and parts of what the load and the check then say.
struct Lack {
    take: &'static str,
    give: &'static str,
    load: fn() -> Value,
    told: &'static [&'static str],
    /// Nothing where the check cannot know: it looks at no single table.
    checked: &'static [&'static str],
}

const LACKS: &[Lack] = &[
    Lack {
        take: "revoke temporary on database app from loader",
        give: "grant temporary on database app to loader",
        load: || to("orders", "overwrite", "atomic"),
        told: &["grant temporary on database"],
        checked: &["may not create temporary tables", "grant temporary on database"],
    },
    Lack {
        take: "revoke create on schema landing from loader",
        give: "grant create on schema landing to loader",
        load: || to("new", "append", "atomic"),
        told: &["grant usage, create on schema landing"],
        checked: &["may not create tables in schema", "grant usage, create on schema"],
    },
    Lack {
        take: "revoke usage on schema landing from loader",
        give: "grant usage on schema landing to loader",
        load: || to("new", "append", "atomic"),
        told: &["schema landing"],
        checked: &["may not create tables in schema", "grant usage, create on schema"],
    },
    Lack {
        take: "revoke all on schema pgflight from loader",
        give: "grant all on schema pgflight to loader",
        load: || json!({"table": "orders", "stream_id": "lacking"}),
        told: &["pgflight", "42501"],
        checked: &["may not use schema", "grant usage, create on schema"],
    },
    Lack {
        take: "revoke connect on database app from loader",
        give: "grant connect on database app to loader",
        load: || to("orders", "append", "atomic"),
        told: &["permission denied for database", "grant connect"],
        checked: &["permission denied for database", "grant connect"],
    },
    Lack {
        take: "revoke insert on landing.orders from loader",
        give: "grant insert on landing.orders to loader",
        load: || to("orders", "append", "atomic"),
        told: &["INSERT", "orders"],
        checked: &[],
    },
    Lack {
        take: "revoke update on landing.orders from loader",
        give: "grant update on landing.orders to loader",
        load: || to("orders", "overwrite", "atomic"),
        told: &["UPDATE", "orders"],
        checked: &[],
    },
    Lack {
        take: "revoke truncate on landing.orders from loader",
        give: "grant truncate on landing.orders to loader",
        load: || to("orders", "replace", "atomic"),
        told: &["GRANT TRUNCATE", "orders"],
        checked: &[],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn the_role_less_one_grant_is_told_which_by_the_load_and_by_check() {
    let scene = Scene::set().await;
    // Our own tables are there, as they are after the first load.
    let (server, mut flight) = scene.server().await;
    flight
        .put(command(to("orders", "append", "atomic")), &[rows()])
        .await
        .expect("a load");
    drop(flight);
    server.stop().await;
    for lack in LACKS {
        scene.execute(lack.take).await;
        let (server, mut flight) = scene.server().await;
        let error = flight
            .put(command((lack.load)()), &[rows()])
            .await
            .expect_err(lack.take);
        for part in lack.told {
            assert!(error.message().contains(part), "{}: {error}", lack.take);
        }
        let said = scene.says();
        for part in lack.checked {
            assert!(said.contains(part), "{}: {said}", lack.take);
        }
        drop(flight);
        server.stop().await;
        scene.execute(lack.give).await;
        if lack.take.contains("orders") {
            assert!(lack.checked.is_empty());
        }
    }
    let said = scene.says();
    assert!(!said.contains("grant"), "all was given back: {said}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_newer_program_are_refused_by_load_check_and_readiness() {
    let scene = Scene::set().await;
    let (server, mut flight) = scene.server().await;
    flight
        .put(command(to("orders", "append", "atomic")), &[rows()])
        .await
        .expect("a load");
    let known = scene
        .database
        .value("select max(version) from pgflight.migration")
        .await;
    scene
        .execute("insert into pgflight.migration (version) values (99)")
        .await;
    let words = [
        "version 99",
        &format!("version {known}"),
        "newer pgflight",
        "state_schema",
    ];
    // The server that runs already hears of it where it looks at its tables.
    let stream = || command(json!({"table": "orders", "stream_id": "s"}));
    refused(flight.put(stream(), &[rows()]).await, Code::FailedPrecondition, &words);
    let (status, body) = server.page("/readyz").await;
    assert!(status.contains("503") && body.contains("version 99"), "{status} {body}");
    drop(flight);
    server.stop().await;
    // One that starts takes no load at all.
    let (server, mut flight) = scene.server().await;
    for options in [
        to("orders", "append", "atomic"),
        to("orders", "overwrite", "batch"),
        json!({"table": "orders", "on_bad_row": "reject"}),
        json!({"table": "orders", "stream_id": "s"}),
    ] {
        refused(
            flight.put(command(options), &[rows()]).await,
            Code::FailedPrecondition,
            &words,
        );
    }
    let output = scene.check();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert_eq!(scene.database.value("select count(*) from landing.orders").await, "2");
    drop(flight);
    server.stop().await;
    scene.end().await;
}
