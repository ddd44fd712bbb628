//! Behind PgBouncer in transaction mode nothing of ours is left in another program's session, and nothing that it left there counts.

mod doors;
mod statements;

use std::ops::Deref;
use std::process::Command;
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde_json::{Value, json};

use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, texts};
use crate::support::pgbouncer::{ASKED, Bouncer, Neighbour};
use crate::support::server::Server;

fn people(ids: &[i64], name: &str) -> RecordBatch {
    let names: Vec<Option<&str>> = ids.iter().map(|_| Some(name)).collect();
    batch(vec![("id", longs(ids.iter().copied())), ("name", texts(&names))])
}

/// A server behind PgBouncer with one server connection, which a neighbour is lent, too.
async fn beside_a_neighbour(version: u16, settings: Value) -> (Database, Behind, Arc<Neighbour>) {
    let database = Database::create_in(Cluster::shared(version)).await;
    // Where it is said that sessions stay ours, statements are prepared in them, as was asked for.
    let settings_only = settings["pool"]["pooler"] == "session";
    let server = Behind::start(&database, &[], settings).await;
    let neighbour = match settings_only {
        true => Neighbour::move_in_for_settings(server.bouncer.uri(), &server.http()).await,
        false => Neighbour::move_in(server.bouncer.uri(), &server.http()).await,
    };
    (database, server, neighbour)
}

/// A server, and the PgBouncer that it is behind.
struct Behind {
    server: Server,
    bouncer: Bouncer,
}

impl Behind {
    async fn start(database: &Database, configuration: &[&str], settings: Value) -> Self {
        let bouncer = Bouncer::before(database.uri(), configuration);
        let server = Server::start_with(bouncer.uri(), settings).await;
        Self { server, bouncer }
    }
}

impl Deref for Behind {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Runs tests of this program again, with every server of theirs behind PgBouncer; how often a neighbour found its session as it was.
fn behind_pgbouncer(version: u16, tests: &[&str], configuration: &str) -> usize {
    let program = std::env::current_exe().expect("the test program");
    let run = Command::new(program)
        .args(tests)
        .args(["--nocapture", "--test-threads", "4"])
        .env(ASKED, configuration)
        .env("PGFLIGHT_TEST_PG", version.to_string())
        .output()
        .expect("the test program starts");
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "PostgreSQL {version}\n{out}\n{err}");
    assert!(!out.contains(" 0 passed"), "{out}");
    out.matches("the neighbour's session is as it was").count()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn every_write_mode_works_and_leaves_a_neighbours_session_alone() {
    for version in cluster::versions() {
        let looks = behind_pgbouncer(*version, &["write_modes::"], "");
        assert!(looks > 40, "only {looks} looks found the session of before");
    }
}

/// What comes after the loads: streams, rejects, foreign keys to itself, the CloudQuery suite, embeddings. On the newest version only,
/// for its length.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn the_tests_of_other_doors_and_workers_hold_behind_a_pooler_too() {
    let newest = cluster::versions().iter().max().expect("a version");
    // A load that creates an embedded table prepares its vectors on a second connection.
    for (families, configuration) in [
        (&["streams::", "own_keys::", "cloudquery::suite", "unchanged::"][..], ""),
        (&["embed::follow", "embed::deletes"], "default_pool_size = 3"),
    ] {
        // Roles that a test makes are not known to PgBouncer.
        let left_out = ["--skip", "without_pgvector_the_refusal_says"];
        let looks = behind_pgbouncer(*newest, &[families, &left_out].concat(), configuration);
        assert!(looks > 10, "only {looks} looks found the session of before");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn whatever_the_configuration_says_a_lent_session_is_given_back_as_it_was() {
    for (version, pooler) in cluster::versions().iter().flat_map(|version| {
        let said = ["auto", "none", "transaction", "session"];
        said.map(|pooler| (*version, pooler))
    }) {
        let settings = json!({"pool": {"pooler": pooler}, "create_performance_indexes": true});
        let (database, server, neighbour) = beside_a_neighbour(version, settings).await;
        let mut flight = Flight::connect(&server).await;
        for mode in ["append", "overwrite", "overwrite", "replace", "overwrite"] {
            for commit in ["batch", "atomic"] {
                let to = json!({"table": "t", "write_mode": mode, "primary_key": ["id"], "commit": commit});
                let again = mode == "append" && commit == "atomic";
                let ids = if again { [4, 5, 6] } else { [1, 2, 3] };
                if (mode, commit) != ("replace", "batch") {
                    flight.put(command(to), &[people(&ids, mode)]).await.unwrap();
                }
            }
        }
        let before = neighbour.looks();
        neighbour.look().await;
        assert_eq!(neighbour.looks(), before + 1, "the session is still the same one");
        assert_eq!(schemas_of_t(&database).await, ["public"], "{pooler}");
        assert_eq!(database.value("select count(*) from t").await, "3", "{pooler}");
    }
}

async fn schemas_of_t(database: &Database) -> Vec<String> {
    let question = "select schemaname from pg_tables where tablename = 't'";
    database.lines(question).await
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn the_connections_own_search_path_holds_behind_a_pooler_that_drops_it() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        database.execute("create schema \"Mine\"; create schema mine").await;
        let bouncer = Bouncer::before(database.uri(), &[]);
        let uri = format!("{}?search_path=nowhere,%20%22Mine%22", bouncer.uri());
        let server = Server::start_with(&uri, json!({})).await;
        let mut flight = Flight::connect(&server).await;
        flight
            .put(command(json!({"table": "t"})), &[people(&[1], "a")])
            .await
            .unwrap();
        assert_eq!(schemas_of_t(&database).await, ["Mine"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn a_role_without_any_rights_over_others_loads_behind_a_pooler() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        database
            .execute(
                "do $$ begin if not exists (select from pg_roles where rolname = 'loader') then create role loader login; \
                 end if; end $$; create table t (id bigint primary key, name text); grant all on t to loader",
            )
            .await;
        let bouncer = Bouncer::before(database.uri(), &[]);
        let uri = bouncer.uri().replace("postgres@", "loader@");
        let server = Server::start_with(&uri, json!({})).await;
        let mut flight = Flight::connect(&server).await;
        for name in ["a", "b"] {
            let to = command(json!({"table": "t", "write_mode": "overwrite"}));
            flight.put(to, &[people(&[1, 2], name)]).await.unwrap();
        }
        assert_eq!(
            database.value("select string_agg(id || name, ' ') from t").await,
            "1b 2b"
        );
    }
}
