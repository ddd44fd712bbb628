//! The Go plugin's own migration cases, with the row counts that its test suite expects, and its names.
//!
//! Each case: create the source table, write 10 rows, migrate to the target, write 10 rows, count. Safe mode (and cases that
//! are safe) must end with 20 rows; forced mode for a case that is not safe with exactly 10.

use pgflight::model::options::MigrateMode;
use pgflight::model::pg_type::PgType;
use pgflight::model::table::{ColumnShape, TableShape};
use pgflight::planner::policy::Policy;
use tokio_postgres::Client;

use super::fixture::{cloudquery, column, columns, ident, keyed, migrate, not_null, shape, statements};
use crate::support::database::Database;

fn unique(column: ColumnShape) -> ColumnShape {
    ColumnShape { unique: true, ..column }
}

struct Case {
    name: &'static str,
    source: TableShape,
    target: TableShape,
    safe: bool,
}

fn id() -> ColumnShape {
    column("id", PgType::Int8)
}

fn uuid() -> ColumnShape {
    column("uuid", PgType::Uuid)
}

fn cases() -> Vec<Case> {
    let flag = |ty| column("bool", ty);
    let strict = |ty| not_null("bool", ty);
    let cq_id = || unique(not_null("_cq_id", PgType::Uuid));
    let case = |name, source, target, safe| Case {
        name,
        source,
        target,
        safe,
    };
    vec![
        case(
            "add_column",
            shape(vec![id(), uuid()]),
            shape(vec![id(), uuid(), flag(PgType::Bool)]),
            true,
        ),
        case(
            "add_column_not_null",
            shape(vec![id(), uuid()]),
            shape(vec![id(), uuid(), strict(PgType::Bool)]),
            false,
        ),
        case(
            "remove_column",
            shape(vec![id(), flag(PgType::Bool)]),
            shape(vec![id()]),
            true,
        ),
        // Safe here, where the Go plugin recreates: NOT NULL is dropped, the column stays.
        case(
            "remove_column_not_null",
            shape(vec![id(), strict(PgType::Bool)]),
            shape(vec![id()]),
            true,
        ),
        case(
            "change_column",
            shape(vec![id(), strict(PgType::Bool)]),
            shape(vec![id(), strict(PgType::Text)]),
            false,
        ),
        case(
            "remove_unique_constraint_only",
            shape(vec![id(), cq_id()]),
            shape(vec![id(), not_null("_cq_id", PgType::Uuid)]),
            true,
        ),
        case(
            "move_to_cq_id_only",
            keyed(vec![not_null("id", PgType::Int8), cq_id(), uuid()], &["id"]),
            keyed(vec![id(), cq_id(), uuid()], &["_cq_id"]),
            true,
        ),
        case(
            "move_to_cq_id_only_adding_pkc",
            keyed(vec![not_null("id", PgType::Int8), cq_id()], &["id"]),
            keyed(vec![not_null("id", PgType::Int8), cq_id()], &["_cq_id"]),
            true,
        ),
    ]
}

fn policy(shape: &TableShape, mode: MigrateMode) -> Policy {
    Policy {
        needs_key: !shape.primary_key.is_empty(),
        ..cloudquery(mode)
    }
}

async fn write_ten(client: &Client, name: &str, shape: &TableShape, from: i32) {
    let names: Vec<String> = shape.columns.iter().map(|column| column.name.quoted()).collect();
    let value = |column: &ColumnShape| match column.ty {
        PgType::Int8 => "n",
        PgType::Uuid => "gen_random_uuid()",
        PgType::Bool => "n % 2 = 0",
        _ => "'text'",
    };
    let values: Vec<&str> = shape.columns.iter().map(value).collect();
    let sql = format!(
        "insert into {name} ({}) select {} from generate_series({from}, {from} + 9) n",
        names.join(", "),
        values.join(", ")
    );
    client.batch_execute(&sql).await.expect("ten rows are written");
}

#[tokio::test]
async fn the_go_plugins_cases_end_with_the_rows_its_suite_expects() {
    let database = Database::create().await;
    let mut client = database.connect().await;
    for mode in [MigrateMode::Safe, MigrateMode::Forced] {
        for case in cases() {
            let name = format!("cq_{}_{mode}", case.name);
            let what = format!("{} in mode {mode}", case.name);
            migrate(&mut client, &name, &case.source, &policy(&case.source, mode))
                .await
                .unwrap();
            write_ten(&client, &name, &case.source, 0).await;
            let done = migrate(&mut client, &name, &case.target, &policy(&case.target, mode)).await;
            if mode == MigrateMode::Safe && !case.safe {
                done.unwrap_err();
                assert_eq!(
                    database.value(&format!("select count(*) from {name}")).await,
                    "10",
                    "{what}"
                );
                continue;
            }
            let (_, report) = done.unwrap();
            assert!(!report.is_empty() || case.name == "remove_column", "{what}");
            write_ten(&client, &name, &case.target, 10).await;
            let expected = if case.safe { "20" } else { "10" };
            assert_eq!(
                database.value(&format!("select count(*) from {name}")).await,
                expected,
                "{what}"
            );
            let (_, again) = migrate(&mut client, &name, &case.target, &policy(&case.target, mode))
                .await
                .unwrap();
            assert!(
                again.is_empty(),
                "{what}: a second migration does nothing, not {:?}",
                statements(&again)
            );
        }
    }
}

#[tokio::test]
async fn the_key_moves_under_the_same_constraint_name_also_from_old_plugins() {
    let database = Database::create().await;
    database
        .execute("create table t (id bigint, _cq_id uuid not null, constraint t_cqpk primary key (id)); insert into t values (1, gen_random_uuid())")
        .await;
    let mut client = database.connect().await;
    let wanted = keyed(vec![id(), not_null("_cq_id", PgType::Uuid)], &["_cq_id"]);
    let (verified, _) = migrate(&mut client, "t", &wanted, &cloudquery(MigrateMode::Safe))
        .await
        .unwrap();
    assert_eq!(verified.primary_key(), [ident("_cq_id")]);
    assert_eq!(
        database
            .lines("select pg_get_constraintdef(oid), conname from pg_constraint where contype = 'p' and conrelid = 't'::regclass")
            .await,
        ["PRIMARY KEY (_cq_id)|t_cqpk"]
    );
    assert_eq!(columns(&database, "t").await, ["id|bigint|f", "_cq_id|uuid|t"]);
}

fn stale_shape() -> TableShape {
    keyed(
        vec![
            not_null("id", PgType::Int8),
            column("_cq_source_name", PgType::Text),
            column("_cq_sync_time", PgType::Timestamp(None)),
        ],
        &["id"],
    )
}

fn with_index() -> Policy {
    Policy {
        performance_indexes: true,
        ..cloudquery(MigrateMode::Safe)
    }
}

#[tokio::test]
async fn the_performance_index_is_built_for_new_and_for_filled_tables_and_repaired() {
    let database = Database::create().await;
    let mut client = database.connect().await;
    client.batch_execute("set lock_timeout = '77s'").await.unwrap();
    let definition = "select indexdef from pg_indexes where indexname = 'REP_cqpi'";
    for name in ["fresh", "filled"] {
        if name == "filled" {
            migrate(&mut client, name, &stale_shape(), &cloudquery(MigrateMode::Safe))
                .await
                .unwrap();
            database.execute("insert into filled values (1, 'a', now())").await;
        }
        let (_, report) = migrate(&mut client, name, &stale_shape(), &with_index()).await.unwrap();
        assert_eq!(
            report.steps.last().unwrap().own_transaction,
            name == "filled",
            "{report:?}"
        );
        assert_eq!(
            database.value(&definition.replace("REP", name)).await,
            format!("CREATE INDEX {name}_cqpi ON public.{name} USING btree (_cq_source_name, _cq_sync_time)")
        );
        let (_, again) = migrate(&mut client, name, &stale_shape(), &with_index()).await.unwrap();
        assert!(again.is_empty());
    }
    database
        .execute("update pg_index set indisvalid = false where indexrelid = 'filled_cqpi'::regclass")
        .await;
    let (_, report) = migrate(&mut client, "filled", &stale_shape(), &with_index())
        .await
        .unwrap();
    assert_eq!(
        statements(&report),
        [
            "DROP INDEX CONCURRENTLY IF EXISTS \"public\".\"filled_cqpi\"",
            "CREATE INDEX CONCURRENTLY \"filled_cqpi\" ON \"public\".\"filled\" (\"_cq_source_name\", \"_cq_sync_time\")"
        ]
    );
    assert_eq!(
        database
            .value("select indisvalid from pg_index where indexrelid = 'filled_cqpi'::regclass")
            .await,
        "t"
    );
    assert_eq!(
        client
            .query_one("show lock_timeout", &[])
            .await
            .unwrap()
            .get::<_, &str>(0),
        "77s"
    );
}

#[tokio::test]
async fn names_of_sixty_three_bytes_get_the_go_plugins_index_name() {
    let database = Database::create().await;
    let mut client = database.connect().await;
    let name = "a".repeat(63);
    migrate(&mut client, &name, &stale_shape(), &with_index())
        .await
        .unwrap();
    assert_eq!(
        database
            .value("select to_regclass('7d3e74a05d7db15bce4ad9ec0658ea98_cqpi') is not null")
            .await,
        "t"
    );
    let (_, again) = migrate(&mut client, &name, &stale_shape(), &with_index())
        .await
        .unwrap();
    assert!(again.is_empty());
}

#[tokio::test]
async fn a_unique_column_of_a_filled_table_is_built_beside_writers_or_reported() {
    let database = Database::create().await;
    database
        .execute("create table t (a int, b int); insert into t values (1, 1), (2, 1)")
        .await;
    let mut client = database.connect().await;
    let keyless = Policy {
        needs_key: false,
        ..cloudquery(MigrateMode::Safe)
    };
    let native = Policy {
        needs_key: false,
        ..super::fixture::safe()
    };
    let wanted = |name: &str| shape(vec![unique(column(name, PgType::Int4))]);
    let (_, report) = migrate(&mut client, "t", &wanted("a"), &native).await.unwrap();
    assert!(report.steps[0].own_transaction);
    assert_eq!(
        database
            .value("select pg_get_constraintdef(oid) from pg_constraint where conname = 't_a_key'")
            .await,
        "UNIQUE (a)"
    );
    let error = migrate(&mut client, "t", &wanted("b"), &native)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("SQLSTATE 23505"), "{error}");
    assert_eq!(
        database
            .value("select count(*) from pg_index where not indisvalid")
            .await,
        "0",
        "no invalid index is left"
    );
    let (_, report) = migrate(&mut client, "t", &wanted("b"), &keyless).await.unwrap();
    assert!(report.is_empty() && report.notes.len() == 1, "{report:?}");
}
