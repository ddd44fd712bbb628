//! Creating tables, adding columns, relaxing, and the refusals that every mode shares.

use pgflight::model::class::Class;
use pgflight::model::options::MigrateMode;
use pgflight::model::pg_type::PgType;
use pgflight::postgres::migrate::{ensure_in, plan_only, prepare};

use super::fixture::{column, columns, ident, keyed, migrate, mode, not_null, request, safe, shape, statements, table};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;

#[tokio::test]
async fn a_new_table_in_a_new_schema_is_created_once_on_every_version() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        let mut client = database.connect().await;
        let name = "S p.Robert\"); drop table x; --";
        let wanted = keyed(
            vec![not_null("ID", PgType::Int8), column("select", PgType::Text)],
            &["ID"],
        );
        let (verified, report) = migrate(&mut client, name, &wanted, &safe()).await.unwrap();
        assert!(verified.created() && report.created && report.applied);
        assert_eq!(report.steps.len(), 2);
        let quoted = "\"S p\".\"Robert\"\"); drop table x; --\"";
        assert_eq!(columns(&database, quoted).await, ["ID|bigint|t", "select|text|f"]);
        assert_eq!(verified.name().quoted(), quoted);
        assert_eq!(verified.primary_key(), [ident("ID")]);
        let types: Vec<&PgType> = verified.columns().iter().map(|column| &column.ty).collect();
        assert_eq!(types, [&PgType::Int8, &PgType::Text]);

        let (again, report) = migrate(&mut client, name, &wanted, &safe()).await.unwrap();
        assert!(!again.created() && report.is_empty());
        assert_eq!(again.oid(), verified.oid());
    }
}

#[tokio::test]
async fn nullable_columns_are_added_and_columns_the_stream_lacks_stay() {
    let database = Database::create().await;
    database.execute("create table t (a int, gone int, b text not null); alter table t drop column gone; insert into t values (1, 'x')").await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("new", PgType::Uuid), column("a", PgType::Int4)]);
    let (verified, report) = migrate(&mut client, "t", &wanted, &safe()).await.unwrap();
    assert_eq!(
        statements(&report),
        [
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"b\" DROP NOT NULL",
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"new\" uuid"
        ]
    );
    assert_eq!(columns(&database, "t").await, ["a|integer|f", "b|text|f", "new|uuid|f"]);
    let names: Vec<&str> = verified.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["new", "a"], "columns come in stream order");
}

#[tokio::test]
async fn a_column_that_is_widened_keeps_its_collation() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        database
            .execute("create table t (k varchar(2) collate \"C\" primary key, v varchar(2), a varchar(2)[] collate \"POSIX\")")
            .await;
        let mut client = database.connect().await;
        let long = |name| column(name, PgType::Text);
        let list = column("a", PgType::Array(Box::new(PgType::Text)));
        let wanted = shape(vec![long("k"), long("v"), list]);
        let (_, report) = migrate(&mut client, "t", &wanted, &safe()).await.unwrap();
        assert_eq!(
            statements(&report),
            [
                "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"k\" SET DATA TYPE text COLLATE \"pg_catalog\".\"C\"",
                "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"v\" SET DATA TYPE text",
                "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"a\" SET DATA TYPE text[] COLLATE \"pg_catalog\".\"POSIX\"",
            ]
        );
        let collations = "select string_agg(attname || ' ' || attcollation::regcollation, ', ' order by attnum) \
                          from pg_attribute where attrelid = 't'::regclass and attnum > 0";
        assert_eq!(database.value(collations).await, "k \"C\", v \"default\", a \"POSIX\"");
    }
}

#[tokio::test]
async fn a_not_null_column_is_added_only_to_an_empty_table() {
    let database = Database::create().await;
    database
        .execute("create table empty (a int); create table full_ (a int); insert into full_ values (1)")
        .await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Int4), not_null("b", PgType::Text)]);
    migrate(&mut client, "empty", &wanted, &safe()).await.unwrap();
    assert_eq!(columns(&database, "empty").await, ["a|integer|f", "b|text|t"]);
    let error = migrate(&mut client, "full_", &wanted, &safe()).await.unwrap_err();
    assert_eq!(error.class(), Class::Refused);
    assert!(
        error
            .to_string()
            .contains("column \"b\": new column of type text is NOT NULL and the table has rows"),
        "{error}"
    );
    assert_eq!(columns(&database, "full_").await, ["a|integer|f"]);
}

#[tokio::test]
async fn mode_off_refuses_everything_at_once_and_changes_nothing() {
    let database = Database::create().await;
    database.execute("create table t (a int, must int not null)").await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Text), column("b", PgType::Text)]);
    let error = migrate(&mut client, "t", &wanted, &mode(MigrateMode::Off))
        .await
        .unwrap_err()
        .to_string();
    for part in [
        "column \"must\": it takes no NULL",
        "column \"a\": the stream brings text",
        "column \"b\": the table has no such column",
    ] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    let error = migrate(&mut client, "none.t", &wanted, &mode(MigrateMode::Off))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("schema none does not exist") && error.contains("the table does not exist"),
        "{error}"
    );
    assert_eq!(columns(&database, "t").await, ["a|integer|f", "must|integer|t"]);
}

#[tokio::test]
async fn a_dry_run_shows_the_steps_and_changes_nothing() {
    let database = Database::create().await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Int4)]);
    let (name, policy) = (table("n.t"), safe());
    let report = plan_only(&mut client, &request(&name, &wanted, &policy)).await.unwrap();
    assert!(!report.applied && report.created);
    assert_eq!(
        report.script(),
        "CREATE SCHEMA IF NOT EXISTS \"n\";\nCREATE TABLE \"n\".\"t\" (\"a\" integer);\n"
    );
    assert_eq!(database.value("select to_regnamespace('n') is null").await, "t");
}

#[tokio::test]
async fn an_atomic_load_creates_its_table_in_its_own_transaction() {
    let database = Database::create().await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Int4)]);
    let (name, policy) = (table("t"), safe());
    let request = request(&name, &wanted, &policy);
    assert!(prepare(&mut client, &request).await.unwrap().is_none());
    let tx = client.transaction().await.unwrap();
    let (verified, _) = ensure_in(&tx, &request).await.unwrap();
    assert!(verified.created());
    assert_eq!(
        tx.query_one("show lock_timeout", &[]).await.unwrap().get::<_, &str>(0),
        "0",
        "the load's own setting is back"
    );
    tx.rollback().await.unwrap();
    assert_eq!(database.value("select to_regclass('t') is null").await, "t");
    let tx = client.transaction().await.unwrap();
    ensure_in(&tx, &request).await.unwrap();
    tx.commit().await.unwrap();
    assert!(prepare(&mut client, &request).await.unwrap().is_some());
}

#[tokio::test]
async fn missing_privileges_are_named_with_the_grant_that_helps() {
    let database = Database::create().await;
    let role = format!("weak_{}", database.name());
    database
        .execute(&format!(
            "create role \"{role}\"; create table t (a int); create schema closed; grant select on t to \"{role}\""
        ))
        .await;
    let mut client = database.connect().await;
    client.batch_execute(&format!("set role \"{role}\"")).await.unwrap();
    let wanted = shape(vec![column("a", PgType::Int4)]);
    let error = migrate(&mut client, "t", &wanted, &safe()).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    assert!(
        error
            .to_string()
            .contains(&format!("grant INSERT on table public.t to {role}")),
        "{error}"
    );
    let error = migrate(&mut client, "closed.t", &wanted, &safe()).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    assert!(
        error.to_string().contains("may not create tables in schema closed"),
        "{error}"
    );
    let error = migrate(&mut client, "fresh.t", &wanted, &safe()).await.unwrap_err();
    assert!(error.to_string().contains("may not create schema fresh"), "{error}");
    database.execute(&format!("grant insert on t to \"{role}\"")).await;
    let wider = shape(vec![column("a", PgType::Int4), column("b", PgType::Int4)]);
    let error = migrate(&mut client, "t", &wider, &safe()).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    assert!(error.to_string().contains("is not its owner"), "{error}");
    migrate(&mut client, "t", &wanted, &safe()).await.unwrap();
    client.batch_execute("reset role").await.unwrap();
    database
        .execute(&format!("drop owned by \"{role}\"; drop role \"{role}\""))
        .await;
}
