//! A reader that polls a table during every kind of migration, with and without somebody who holds the table.

use std::time::{Duration, Instant};

use pgflight::model::options::MigrateMode;
use pgflight::model::pg_type::PgType;
use pgflight::model::table::{ColumnShape, TableShape};
use pgflight::planner::LockWaits;
use pgflight::planner::policy::{ForcedStrategy, Nullability, Policy};
use pgflight::postgres::migrate::{MigrateError, MigrateRequest, ensure};
use tokio_postgres::Client;

use super::fixture::{Done, column, keyed, mode, not_null, request, safe, shape, table};
use crate::support::database::Database;

/// One migration of each kind: what there is, and what the stream wants.
fn kinds() -> Vec<(&'static str, TableShape, Policy)> {
    let unique = ColumnShape {
        unique: true,
        ..column("a", PgType::Int4)
    };
    let stale = vec![
        not_null("a", PgType::Int4),
        column("_cq_source_name", PgType::Text),
        column("_cq_sync_time", PgType::Timestamp(None)),
    ];
    let index = Policy {
        performance_indexes: true,
        ..super::fixture::cloudquery(MigrateMode::Safe)
    };
    vec![
        (
            "a int, b int not null",
            shape(vec![column("a", PgType::Int4), column("c", PgType::Text)]),
            safe(),
        ),
        ("a int, b varchar(3)", shape(vec![column("b", PgType::Text)]), safe()),
        ("a int, b int", shape(vec![column("a", PgType::Int8)]), safe()),
        ("a int, b text", shape(vec![unique]), safe()),
        (
            "a int primary key, _cq_source_name text, _cq_sync_time timestamp",
            keyed(stale, &["a"]),
            index,
        ),
    ]
}

fn forced(strategy: ForcedStrategy) -> Policy {
    Policy {
        forced: strategy,
        ..mode(MigrateMode::Forced)
    }
}

/// The kinds of mode `forced`, and those that other options ask for.
fn more_kinds() -> Vec<(&'static str, TableShape, Policy)> {
    vec![
        (
            "a int, b int",
            shape(vec![column("a", PgType::Text)]),
            forced(ForcedStrategy::Convert),
        ),
        (
            "a int, b int",
            shape(vec![column("a", PgType::Uuid)]),
            forced(ForcedStrategy::KeepOld),
        ),
        (
            "a int, b int",
            shape(vec![column("a", PgType::Uuid)]),
            forced(ForcedStrategy::Drop),
        ),
        (
            "a int not null, b int",
            shape(vec![column("a", PgType::Int4)]),
            Policy {
                nullability: Nullability::Declared,
                ..safe()
            },
        ),
        (
            "a int primary key, b int",
            keyed(
                vec![not_null("a", PgType::Int4), not_null("b", PgType::Int4)],
                &["a", "b"],
            ),
            Policy {
                needs_key: true,
                ..forced(ForcedStrategy::KeepOld)
            },
        ),
    ]
}

/// A table of 50 000 rows for a kind.
async fn fill(database: &Database, name: &str, columns: &str) {
    // `b` is filled where the stream's table does not let it be NULL.
    let fill = if columns.contains("b int not null") {
        "a, b) select n, n"
    } else {
        "a) select n"
    };
    database
        .execute(&format!(
            "create table {name} ({columns}); insert into {name} ({fill} from generate_series(1, 50000) n"
        ))
        .await;
}

/// Migrates while a reader polls: what came of it, the reader's longest wait, and how often it read.
async fn polled(
    database: &Database,
    name: &str,
    wanted: &TableShape,
    policy: &Policy,
    waits: LockWaits,
) -> (Done, Duration, u32) {
    let reader: Client = database.connect().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let query = format!("select count(*) from {name}");
    let polling = tokio::spawn(async move {
        let (mut longest, mut reads) = (Duration::ZERO, 0);
        while stopped.try_recv().is_err() {
            let start = Instant::now();
            // A dropped or replaced table may be gone for the statement that was waiting for it.
            if let Err(error) = reader.query(&query, &[]).await {
                assert_eq!(error.code().map(|code| code.code()), Some("42P01"), "{error:?}");
            }
            longest = longest.max(start.elapsed());
            reads += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        (longest, reads)
    });
    let mut client = database.connect().await;
    let name = table(name);
    let slow = MigrateRequest {
        waits,
        ..request(&name, wanted, policy)
    };
    let done = ensure(&mut client, &slow).await;
    stop.send(()).expect("the reader reads");
    let (longest, reads) = polling.await.expect("the reader does not panic");
    (done, longest, reads)
}

#[tokio::test]
async fn no_kind_of_migration_holds_up_a_polling_reader_for_longer_than_the_lock_timeout() {
    let database = Database::create().await;
    let waits = LockWaits {
        hold: Duration::from_secs(2),
        turn: Duration::from_secs(10),
    };
    for (n, (columns, wanted, policy)) in kinds().into_iter().chain(more_kinds()).enumerate() {
        let name = format!("t{n}");
        fill(&database, &name, columns).await;
        let (done, longest, reads) = polled(&database, &name, &wanted, &policy, waits).await;
        assert!(!done.unwrap().1.is_empty(), "{columns}");
        assert!(
            longest < waits.hold && reads > 0,
            "{columns}: blocked for {longest:?} in {reads} reads"
        );
    }
}

/// Migrates while somebody holds the table and a reader polls, then again once it is released.
async fn held_and_released(database: &Database, name: &str, kind: &(&'static str, TableShape, Policy)) {
    let (columns, wanted, policy) = kind;
    let waits = LockWaits {
        hold: Duration::from_secs(1),
        turn: Duration::from_secs(30),
    };
    let holder = database.connect().await;
    holder
        .batch_execute(&format!(
            "set application_name = 'long report'; begin; select from {name}"
        ))
        .await
        .expect("the table can be read");
    let (done, longest, reads) = polled(database, name, wanted, policy, waits).await;
    // The read itself takes its time on a busy machine.
    let most = waits.hold + Duration::from_secs(1);
    assert!(
        longest < most && reads > 0,
        "{columns}: blocked for {longest:?} in {reads} reads"
    );
    match done {
        // What is built beside readers is built; what is left can wait for the next migration.
        Ok((_, report)) => assert!(
            report.steps.iter().all(|step| step.own_transaction),
            "{columns}: {report:?}"
        ),
        Err(error) => {
            assert!(matches!(error, MigrateError::LockTimeout { .. }), "{columns}: {error}");
            assert!(error.to_string().contains("\"long report\""), "{columns}: {error}");
        }
    }
    holder.batch_execute("commit").await.expect("it only read");
    let (done, ..) = polled(database, name, wanted, policy, waits).await;
    done.unwrap_or_else(|error| panic!("{columns}, released: {error}"));
}

#[tokio::test]
async fn with_somebody_who_holds_the_table_every_kind_waits_in_steps_and_its_reader_no_longer_than_one() {
    let database = Database::create().await;
    let kinds: Vec<_> = kinds()
        .into_iter()
        .chain(more_kinds())
        .enumerate()
        .map(|(n, kind)| (format!("t{n}"), kind))
        .collect();
    for (name, (columns, ..)) in &kinds {
        fill(&database, name, columns).await;
    }
    let all = kinds
        .iter()
        .map(|(name, kind)| held_and_released(&database, name, kind));
    futures::future::join_all(all).await;
}
