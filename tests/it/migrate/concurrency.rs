//! Many migrators, readers and holders of locks at once.

use std::time::{Duration, Instant};

use pgflight::model::class::Class;
use pgflight::model::pg_type::PgType;
use pgflight::planner::LockWaits;
use pgflight::postgres::migrate::{MigrateError, MigrateRequest, ensure, ensure_in};

use super::fixture::{Done, column, columns, keyed, not_null, request, safe, shape, table};
use crate::support::database::Database;

/// Rounds of the race; the full hundred with `PGFLIGHT_RACES=100`.
fn rounds() -> usize {
    std::env::var("PGFLIGHT_RACES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20)
}

async fn all_at_once(
    clients: Vec<tokio_postgres::Client>,
    name: &str,
    wide: bool,
) -> (Vec<tokio_postgres::Client>, Vec<Done>) {
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(clients.len()));
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (start, name) = (start.clone(), table(name));
            tokio::spawn(async move {
                let mut columns = vec![not_null("id", PgType::Int8), column("t", PgType::Text)];
                if wide {
                    columns.extend([column("more", PgType::Int4), column("less", PgType::Text)]);
                }
                let (wanted, policy) = (keyed(columns, &["id"]), safe());
                start.wait().await;
                let done = ensure(&mut client, &request(&name, &wanted, &policy)).await;
                (client, done)
            })
        })
        .collect();
    let mut results = (Vec::new(), Vec::new());
    for task in tasks {
        let (client, done) = task.await.expect("a migrator does not panic");
        results.0.push(client);
        results.1.push(done);
    }
    results
}

#[tokio::test]
async fn of_sixteen_clients_that_start_one_new_table_one_creates_and_none_fails() {
    let database = Database::create().await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(database.connect().await);
    }
    for round in 0..rounds() {
        // Every other round brings a new schema as well.
        let name = if round % 2 == 0 {
            format!("s{round}.t")
        } else {
            format!("t{round}")
        };
        let (back, done) = all_at_once(clients, &name, false).await;
        clients = back;
        let created = done.iter().filter(|done| done.as_ref().unwrap().0.created()).count();
        assert_eq!(created, 1, "round {round}");
    }
}

#[tokio::test]
async fn two_servers_that_migrate_one_table_at_once_do_it_once() {
    let database = Database::create().await;
    let mut clients = vec![database.connect().await, database.connect().await];
    for round in 0..rounds() {
        let name = format!("t{round}");
        database
            .execute(&format!("create table {name} (id int4 primary key, t varchar(3))"))
            .await;
        let (back, done) = all_at_once(clients, &name, true).await;
        clients = back;
        let steps: usize = done.iter().map(|done| done.as_ref().unwrap().1.steps.len()).sum();
        assert_eq!(
            steps, 4,
            "widen, relax to text, and two columns, all once (round {round})"
        );
        assert_eq!(
            columns(&database, &name).await,
            ["id|bigint|t", "t|text|f", "more|integer|f", "less|text|f"]
        );
    }
}

#[tokio::test]
async fn two_tables_of_one_new_schema_can_start_at_once() {
    let database = Database::create().await;
    for round in 0..rounds() {
        let mut tasks = Vec::new();
        for n in 0..4 {
            let mut client = database.connect().await;
            let name = table(&format!("s{round}.t{n}"));
            tasks.push(tokio::spawn(async move {
                let (wanted, policy) = (shape(vec![column("a", PgType::Int4)]), safe());
                ensure(&mut client, &request(&name, &wanted, &policy)).await.map(|_| ())
            }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
}

const WAITS: LockWaits = LockWaits {
    hold: Duration::from_millis(200),
    turn: Duration::from_millis(300),
};

#[tokio::test]
async fn a_long_query_makes_the_migration_wait_in_steps_then_fail_with_its_name() {
    let database = Database::create().await;
    database
        .execute("create table t (a int); insert into t values (1)")
        .await;
    let holder = database.connect().await;
    holder
        .batch_execute("set application_name = 'long report'; begin; select * from t")
        .await
        .unwrap();
    let pid: i32 = holder.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    // A reader that polls while the migration waits, with how long its longest read took.
    let reader = database.connect().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let polling = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        while stopped.try_recv().is_err() {
            let start = Instant::now();
            reader.query("select count(*) from t", &[]).await.unwrap();
            longest = longest.max(start.elapsed());
        }
        longest
    });
    let mut client = database.connect().await;
    let (name, wanted, policy) = (
        table("t"),
        shape(vec![column("a", PgType::Int4), column("b", PgType::Int4)]),
        safe(),
    );
    let slow = MigrateRequest {
        waits: WAITS,
        ..request(&name, &wanted, &policy)
    };
    let error = ensure(&mut client, &slow).await.unwrap_err();
    stop.send(()).unwrap();
    let longest = polling.await.unwrap();
    assert!(
        longest < WAITS.hold + Duration::from_millis(150),
        "a reader was blocked for {longest:?}"
    );
    assert_eq!(error.class(), Class::Conflict);
    let text = error.to_string();
    assert!(
        text.contains(&format!("pid {pid} \"long report\"")) && text.contains("idle in transaction"),
        "{text}"
    );
    assert!(text.contains("AccessShareLock"), "{text}");
    assert_eq!(columns(&database, "t").await, ["a|integer|f"]);
    holder.batch_execute("commit").await.unwrap();
    ensure(&mut client, &slow).await.unwrap();
    assert_eq!(columns(&database, "t").await, ["a|integer|f", "b|integer|f"]);
}

#[tokio::test]
async fn a_table_being_created_by_another_load_is_waited_for_and_then_reported_busy() {
    let database = Database::create().await;
    let (mut one, mut other) = (database.connect().await, database.connect().await);
    one.batch_execute("set application_name = 'first load'").await.unwrap();
    let (name, wanted, policy) = (table("t"), shape(vec![column("a", PgType::Int4)]), safe());
    let request = MigrateRequest {
        waits: WAITS,
        ..request(&name, &wanted, &policy)
    };
    let tx = one.transaction().await.unwrap();
    ensure_in(&tx, &request).await.unwrap();
    let start = Instant::now();
    let error = ensure(&mut other, &request).await.unwrap_err();
    assert!(start.elapsed() >= WAITS.turn, "it waited its turn first");
    assert!(matches!(error, MigrateError::Busy { .. }), "{error}");
    assert!(error.to_string().contains("\"first load\""), "{error}");
    assert_eq!(error.class(), Class::Conflict);
    // Once the first load commits while the other waits, the other goes on with the table that is there.
    let waits = LockWaits {
        turn: Duration::from_secs(30),
        ..WAITS
    };
    let patient = MigrateRequest { waits, ..request };
    let (_, done) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tx.commit().await.unwrap();
        },
        ensure(&mut other, &patient)
    );
    let (verified, report) = done.unwrap();
    assert!(!verified.created() && report.is_empty());
}
