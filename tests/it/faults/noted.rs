//! The table that commits are noted in: a number is taken once, old rows go, and nobody notices when the table goes.

use std::time::Duration;

use tonic::{Code, Status};

use super::commits::{burn, busy, cluster, fired, kill, one_session, refuse};
use super::{MODES, Scene, oracle_for, put};
use crate::support::chaos::{Deed, Point, Proxy};
use crate::support::cluster::{Cluster, Options, versions};
use crate::support::database::Database;
use crate::support::flight::{Flight, reason};
use crate::support::server::Server;

/// The number alone refuses the late COMMIT, also where its session is not ended in time.
#[tokio::test]
async fn a_number_that_was_asked_about_cannot_commit_any_more() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |name: &str| {
        let text = std::fs::read_to_string(root.join("sql/commit").join(name)).unwrap();
        text.replace("$1", "'00000000000000000000000000000001'")
    };
    for &version in versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        let server = Server::start(&database).await;
        let mut flight = Flight::connect(&server).await;
        let mode = MODES[0];
        database.execute(&mode.create_table()).await;
        put(&mut flight, mode, &mut oracle_for(mode), "s", 1).await.unwrap();
        database.execute("create table t (v int)").await;
        let (note, ask) = (text("note.sql"), text("ask.sql"));
        for isolation in ["read committed", "repeatable read", "serializable"] {
            database.execute("delete from pgflight.last_commit; truncate t").await;
            // The row is not there, is there, and was refused before.
            for number in 1..=4 {
                let old = database.connect().await;
                let begin = format!("begin isolation level {isolation}; insert into t values ({number})");
                old.batch_execute(&begin).await.unwrap();
                let commit = format!("{}; commit", note.replace("$2", &number.to_string()));
                if number != 2 {
                    let asked = database.lines(&ask.replace("$2", &number.to_string())).await;
                    assert!(asked[0].ends_with(&format!("|{number}|t")), "{asked:?}");
                    let refused = old.batch_execute(&commit).await.expect_err("its number is taken");
                    assert!(
                        ["23502", "40001"].contains(&refused.code().unwrap().code()),
                        "{refused:?}"
                    );
                    continue;
                }
                old.batch_execute(&commit).await.unwrap();
                let asked = database.lines(&ask.replace("$2", &number.to_string())).await;
                assert!(asked[0].ends_with("|2|f"), "{asked:?}");
            }
            assert_eq!(database.lines("select v from t").await, ["2"], "{isolation}");
        }
        // One that has written its number and not committed is waited for.
        for end in ["commit", "rollback"] {
            database.execute("delete from pgflight.last_commit").await;
            let old = database.connect().await;
            old.batch_execute(&format!("begin; {}", note.replace("$2", "7")))
                .await
                .unwrap();
            let (asking, ask) = (database.connect().await, ask.replace("$2", "7"));
            let asked = tokio::spawn(async move { asking.query_one(&ask, &[]).await.unwrap().get::<_, bool>("void") });
            database
                .wait_for("select exists (select from pg_stat_activity where wait_event = 'transactionid')")
                .await;
            old.batch_execute(end).await.unwrap();
            assert_eq!(asked.await.unwrap(), end == "rollback");
        }
    }
}

/// Somebody drops the table that commits are noted in, or takes it from the role, while loads use it: nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_commits_that_goes_away_fails_no_put() {
    for mode in MODES {
        let database = Database::create().await;
        let role = format!("{}_owner", database.name());
        let name = database.name();
        database
            .execute(&format!(
                "create role {role} login; grant create on database {name} to {role}; {}; grant all on {} to {role}",
                mode.create_table(),
                mode.table()
            ))
            .await;
        let uri = database.uri().replace("//postgres@", &format!("//{role}@"));
        let server = Server::start_with(&uri, one_session()).await;
        let mut flight = Flight::connect(&server).await;
        let mut oracle = oracle_for(mode);
        let noted = "select count(*) > 0 from pgflight.last_commit";
        put(&mut flight, mode, &mut oracle, "0", 2).await.unwrap();
        assert_eq!(database.value(noted).await, "t");
        for (case, loss) in [
            "drop schema pgflight cascade",
            "drop table pgflight.last_commit; delete from pgflight.migration where version = (select max(version) from pgflight.migration)",
            "alter schema pgflight rename to pgflight_old",
        ]
        .into_iter()
        .enumerate()
        {
            database.execute(loss).await;
            let result = put(&mut flight, mode, &mut oracle, &format!("a{case}"), 2).await;
            assert!(result.is_ok(), "{mode:?} {loss}: {result:?}");
            assert_eq!(database.value(noted).await, "t", "{loss}");
        }
        database
            .execute(&format!(
                "alter table pgflight.last_commit owner to postgres; revoke all on pgflight.last_commit from {role}"
            ))
            .await;
        let result = put(&mut flight, mode, &mut oracle, "closed", 2).await;
        assert!(result.is_ok(), "{mode:?}: {result:?}");
        oracle.assert_holds(&database, &format!("{mode:?}")).await;
        drop(server);
        database.execute("drop schema pgflight_old cascade").await;
        database
            .execute(&format!("drop owned by {role} cascade; drop role {role}"))
            .await;
    }
}

/// What a table of the same name that was made later does not know, nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_commits_that_was_made_anew_is_not_believed() {
    for mode in MODES {
        let scene = Scene::set_with(one_session()).await;
        let mut oracle = oracle_for(mode);
        let mut flight = scene.client().await;
        put(&mut flight, mode, &mut oracle, "before", 1).await.unwrap();
        scene.proxy.arm(Point::CommitAnswer, 1, Deed::Mute);
        let putting = tokio::spawn(async move {
            let result = put(&mut flight, mode, &mut oracle, "lost", 1).await;
            (result, oracle)
        });
        fired(&scene.proxy, 1).await;
        let anew = "alter table pgflight.last_commit rename to old; \
                    create table pgflight.last_commit (like pgflight.old including all)";
        scene.database.execute(anew).await;
        scene.proxy.reset_all();
        let (result, oracle) = putting.await.unwrap();
        let context = format!("{mode:?}: {result:?}\n{}", scene.proxy.trace());
        assert!(result.as_ref().err().is_none_or(unknown), "{context}");
        assert_eq!(result.is_ok(), mode.keyed() && !mode.atomic(), "{context}");
        scene.database.execute("drop table pgflight.old").await;
        oracle.assert_holds(&scene.database, &context).await;
    }
}

/// Rows of sessions that are long gone are removed, unless a transaction still runs that is older than they are.
#[tokio::test(flavor = "multi_thread")]
async fn old_commits_are_forgotten_and_never_one_that_may_be_asked_about() {
    for &version in versions() {
        // Of its own, because the transactions of all databases count.
        let cluster = Cluster::private(&Options {
            version: Some(version),
            fast: true,
            ..Options::default()
        });
        let database = Database::create_in(&cluster).await;
        let mode = MODES[0];
        database.execute(&mode.create_table()).await;
        let mut oracle = oracle_for(mode);
        let server = Server::start(&database).await;
        put(&mut Flight::connect(&server).await, mode, &mut oracle, "first", 1)
            .await
            .unwrap();
        drop(server);
        // Its own look for old rows may still be on its way, and is to find none of these.
        database
            .wait_for(
                "select exists (select from pg_stat_activity where state = 'idle' and query like '%skip locked%')",
            )
            .await;
        let fill = |from: u32, to: u32, age: &str| {
            format!(
                "insert into pgflight.last_commit (session, number, at) \
                 select md5(i::text)::uuid, 1, now() - interval '{age}' from generate_series({from}, {to}) i"
            )
        };
        database.execute(&fill(1, 2_500, "8 days")).await;
        database.execute(&fill(2_501, 2_600, "6 days")).await;
        let old = database.connect().await;
        old.batch_execute("begin; select pg_current_xact_id()").await.unwrap();
        database.execute(&fill(2_601, 2_700, "8 days")).await;
        let held = database.connect().await;
        let hold = "begin; select from pgflight.last_commit where session = md5('1')::uuid for update";
        held.batch_execute(hold).await.unwrap();
        let left = async |rows: u32| {
            let old = "select count(*) from pgflight.last_commit where at < now() - interval '1 day'";
            // Each server looks once, and a transaction of Postgres' own (autovacuum) may be older just then than what is to go.
            for _ in 0..20 {
                let server = Server::start(&database).await;
                let mut oracle = oracle_for(mode);
                put(&mut Flight::connect(&server).await, mode, &mut oracle, "next", 1)
                    .await
                    .unwrap();
                for _ in 0..100 {
                    if database.value(old).await == rows.to_string() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            panic!("{} old rows are left, not {rows}", database.value(old).await);
        };
        left(100 + 100 + 1).await;
        old.batch_execute("commit").await.unwrap();
        held.batch_execute("commit").await.unwrap();
        left(100).await;
    }
}

/// However many transactions a session commits, it leaves one row.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_one_row_and_not_one_per_commit() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), one_session()).await;
    let mut flight = Flight::connect(&server).await;
    let mode = MODES[0];
    database.execute(&mode.create_table()).await;
    let batches: Vec<_> = (0..300).map(|seq| mode.rows("s", seq, 1)).collect();
    flight.send(mode.messages(1, &batches)).await.unwrap();
    assert_eq!(database.value("select count(*) from append_batch").await, "300");
    let rows = database.lines("select number from pgflight.last_commit").await;
    assert_eq!(
        rows,
        ["44"],
        "a new name after 256 transactions, and the old one is gone"
    );
}

/// A server over the database as a role that may not create a schema there, behind a proxy.
async fn unprivileged(database: Database) -> (Scene, String) {
    let role = format!("{}_weak", database.name());
    database.execute(&format!("create role {role} login")).await;
    for mode in MODES {
        database
            .execute(&format!(
                "{}; grant all on {} to {role}",
                mode.create_table(),
                mode.table()
            ))
            .await;
    }
    let uri = database.uri().replace("//postgres@", &format!("//{role}@"));
    let (proxy, behind) = Proxy::before(&uri).await;
    let server = Server::start_with(&behind, one_session()).await;
    let scene = Scene {
        database,
        proxy,
        server,
    };
    (scene, uri)
}

fn unknown(status: &Status) -> bool {
    status.code() == Code::Unavailable && reason(status) == "COMMIT_UNKNOWN" && status.message().contains("not known")
}

/// Without the right to keep its table pgflight loads all the same, and where it cannot know it says so.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_table_a_commit_that_a_crash_took_is_called_unknown_or_run_again() {
    for &version in versions() {
        let cluster = cluster(version, &[]);
        for mode in MODES {
            let (mut scene, uri) = unprivileged(Database::create_in(&cluster).await).await;
            let mut oracle = oracle_for(mode);
            put(&mut scene.client().await, mode, &mut oracle, "before", 1)
                .await
                .unwrap();
            let schema = scene.database.value("select to_regnamespace('pgflight') is null").await;
            assert_eq!(schema, "t", "the role may not create it");
            // The connection is lost and nothing else: a session that was there before is there still.
            let (witness, connection) = tokio_postgres::connect(&uri, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            for (case, (at, deed)) in [(Point::CommitAnswer, Deed::Cut), (Point::Commit, Deed::Cut)]
                .into_iter()
                .enumerate()
            {
                scene.proxy.arm(at, 1, deed);
                let result = put(&mut scene.client().await, mode, &mut oracle, &format!("{case}"), 1).await;
                assert_eq!(scene.proxy.fired().len(), case + 1);
                assert!(result.is_ok(), "{mode:?} {at:?}: {result:?}");
                oracle.assert_holds(&scene.database, &format!("{mode:?} {at:?}")).await;
            }
            drop(witness);
            scene.proxy.arm(Point::Commit, 1, Deed::Mute);
            let mut flight = scene.client().await;
            let putting = tokio::spawn(async move {
                let result = put(&mut flight, mode, &mut oracle, "lost", 1).await;
                (result, oracle)
            });
            fired(&scene.proxy, 3).await;
            let (pid, xid) = busy(&scene.database).await;
            refuse(&scene.proxy, true);
            kill(pid, &mut scene.database).await;
            burn(&scene.database, xid).await;
            refuse(&scene.proxy, false);
            let (result, oracle) = putting.await.unwrap();
            let context = format!("{mode:?}: {result:?}\n{}", scene.proxy.trace());
            // An overwrite is run again where it is not known.
            assert!(result.as_ref().err().is_none_or(unknown), "{context}");
            assert_eq!(result.is_ok(), mode.keyed() && !mode.atomic(), "{context}");
            oracle.assert_holds(&scene.database, &context).await;
            let role = format!("{}_weak", scene.database.name());
            let Scene { database, .. } = scene;
            database
                .execute(&format!("drop owned by {role} cascade; drop role {role}"))
                .await;
        }
    }
}
