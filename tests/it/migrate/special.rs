//! Tables with a history: dropped columns, serial and generated columns, defaults, views, partitions, triggers.

use pgflight::model::pg_type::PgType;
use pgflight::planner::policy::Policy;

use super::fixture::{column, columns, ident, migrate, not_null, safe, shape, statements};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;

#[tokio::test]
async fn a_table_with_everything_takes_a_stream_that_carries_little() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        database
            .execute(
                "create type mood as enum ('sad', 'ok'); create domain positive as int not null check (value > 0);
                 create table t (dropped int, id bigserial primary key, n int not null default 7, m mood, p positive default 1,
                     twice int generated always as (n * 2) stored, always int generated always as identity, name varchar(9));
                 alter table t drop column dropped; create view v as select id, n, name from t; insert into t (name) values ('x')",
            )
            .await;
        let mut client = database.connect().await;
        let wanted = shape(vec![
            column("name", PgType::Varchar(Some(5))),
            column("extra", PgType::Float8),
        ]);
        let (verified, report) = migrate(&mut client, "t", &wanted, &safe()).await.unwrap();
        assert_eq!(
            statements(&report),
            ["ALTER TABLE \"public\".\"t\" ADD COLUMN \"extra\" double precision"]
        );
        assert_eq!(
            verified.columns()[0].ty,
            PgType::Varchar(Some(9)),
            "an existing column keeps its type"
        );
        assert_eq!(verified.primary_key(), [ident("id")]);
        assert!(!verified.needs_overriding());
        let PgType::Enum(mood) = verified.column_type(&ident("m")).unwrap() else {
            panic!("m is an enum")
        };
        assert_eq!(mood.labels, ["sad", "ok"]);
        assert_eq!(
            mood.home.oid.to_string(),
            database.value("select 'mood'::regtype::oid").await
        );
        let PgType::Domain(domain) = verified.column_type(&ident("p")).unwrap() else {
            panic!("p is a domain")
        };
        assert_eq!((&domain.base, domain.not_null), (&PgType::Int4, true));
        assert_eq!(database.value("select count(*) from v").await, "1");
    }
}

#[tokio::test]
async fn a_generated_column_in_the_stream_is_refused_by_name_and_identity_is_flagged() {
    let database = Database::create().await;
    database
        .execute(
            "create table t (a int, twice int generated always as (a * 2) stored, id int generated always as identity)",
        )
        .await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Int4), column("twice", PgType::Int4)]);
    let error = migrate(&mut client, "t", &wanted, &safe())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("column \"twice\": it is a generated column"), "{error}");
    let wanted = shape(vec![column("a", PgType::Int4), not_null("id", PgType::Int4)]);
    let (verified, _) = migrate(&mut client, "t", &wanted, &safe()).await.unwrap();
    assert!(verified.needs_overriding());
}

#[tokio::test]
async fn extension_types_composites_and_ranges_come_with_their_oids() {
    let database = Database::create().await;
    database
        .execute(
            "create schema e; create extension vector schema e; create type pair as (x int, y numeric(4,2)[]);
             create table t (v e.vector(3), h e.halfvec(2), p pair, ps pair[], r int4range, m tstzmultirange,
                 i interval(0), z numeric(5,-2)[])",
        )
        .await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("r", PgType::Text)]);
    let accepts_all = safe();
    let name = super::fixture::table("t");
    let request = pgflight::postgres::migrate::MigrateRequest {
        accepts: Some(&|_, _| Ok(())),
        ..super::fixture::request(&name, &wanted, &accepts_all)
    };
    let (verified, _) = pgflight::postgres::migrate::ensure(&mut client, &request)
        .await
        .unwrap();
    let shown: Vec<String> = verified
        .all_columns()
        .iter()
        .map(|column| column.ty.to_string())
        .collect();
    assert_eq!(
        shown,
        [
            "\"e\".\"vector\"(3)",
            "\"e\".\"halfvec\"(2)",
            "\"public\".\"pair\"",
            "\"public\".\"pair\"[]",
            "\"pg_catalog\".\"int4range\"",
            "\"pg_catalog\".\"tstzmultirange\"",
            "interval(0)",
            "numeric(5,-2)[]"
        ]
    );
    for column in verified.all_columns() {
        let oid = format!(
            "select atttypid from pg_attribute where attrelid = 't'::regclass and attname = '{}'",
            column.name
        );
        assert_eq!(
            column.ty.oid().to_string(),
            database.value(&oid).await,
            "{}",
            column.name
        );
    }
}

#[tokio::test]
async fn a_partitioned_parent_is_migrated_and_its_partition_is_not() {
    let database = Database::create().await;
    database
        .execute(
            "create table p (at date, a int) partition by range (at);
             create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01'); insert into p values ('2026-05-05', 1)",
        )
        .await;
    let mut client = database.connect().await;
    let wanted = shape(vec![
        column("at", PgType::Date),
        column("a", PgType::Int8),
        column("b", PgType::Text),
    ]);
    let (verified, _) = migrate(&mut client, "p", &wanted, &safe()).await.unwrap();
    assert!(verified.is_partitioned() && verified.has_children());
    assert_eq!(columns(&database, "p1").await, ["at|date|f", "a|bigint|f", "b|text|f"]);
    let wider = shape(vec![column("at", PgType::Date), column("new", PgType::Text)]);
    let error = migrate(&mut client, "p1", &wider, &safe())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it is a partition, and columns can only be added to its partitioned table"),
        "{error}"
    );
    let error = migrate(
        &mut client,
        "p",
        &shape(vec![column("at", PgType::Timestamp(None))]),
        &safe(),
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("column \"at\""), "{error}");
}

#[tokio::test]
async fn what_is_no_table_is_refused_in_words() {
    let database = Database::create().await;
    database
        .execute(
            "create table t (a int); create view plain as select a from t; create materialized view stored as select a from t;
             create sequence counter; create view writable as select a from t;
             create function f() returns trigger language plpgsql as $$ begin insert into t values (new.a); return new; end $$;
             create trigger g instead of insert on writable for each row execute function f()",
        )
        .await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Int4)]);
    for (name, words) in [
        (
            "plain",
            "it is a view (write to the table below it, or give it an INSTEAD OF INSERT trigger)",
        ),
        ("stored", "it is a materialized view"),
        ("counter", "it is a sequence"),
    ] {
        let error = migrate(&mut client, name, &wanted, &safe())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    }
    let (verified, _) = migrate(&mut client, "writable", &wanted, &safe()).await.unwrap();
    assert!(verified.is_view());
    let wider = shape(vec![column("a", PgType::Int4), column("b", PgType::Int4)]);
    let error = migrate(&mut client, "writable", &wider, &safe())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("it is a view and would have to be changed"), "{error}");
}

#[tokio::test]
async fn a_key_that_rows_are_matched_by_must_have_a_unique_index() {
    let database = Database::create().await;
    database
        .execute(
            "create table none (a int, b int); insert into none values (1, 1);
             create table partial (a int, b int); create unique index on partial (a) where b > 0; insert into partial values (1, 1);
             create table deferred (a int unique deferrable, b int); insert into deferred values (1, 1);
             create table swapped (a int, b int); create unique index on swapped (b, a); create table empty (a int, b int)",
        )
        .await;
    let mut client = database.connect().await;
    let policy = Policy {
        needs_key: true,
        ..safe()
    };
    let by = |key: &[&str]| super::fixture::keyed(vec![not_null("a", PgType::Int4), column("b", PgType::Int4)], key);
    for name in ["none", "partial", "deferred"] {
        let error = migrate(&mut client, name, &by(&["a"]), &policy)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("rows are matched by (a), and no unique index is exactly over these columns"),
            "{error}"
        );
        assert!(error.contains("create unique index concurrently"), "{error}");
    }
    for name in ["none", "fresh.t"] {
        let error = migrate(&mut client, name, &by(&[]), &policy)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("overwrite needs a key to match rows by"), "{error}");
    }
    assert_eq!(database.value("select to_regnamespace('fresh') is null").await, "t");
    let (verified, report) = migrate(&mut client, "swapped", &by(&["a", "b"]), &policy)
        .await
        .unwrap();
    assert!(report.is_empty() && verified.conflict_index(&[ident("a"), ident("b")]).is_some());
    let (verified, _) = migrate(&mut client, "empty", &by(&["a"]), &policy).await.unwrap();
    assert_eq!(verified.primary_key(), [ident("a")]);
}

#[tokio::test]
async fn a_column_that_a_trigger_fills_keeps_its_not_null() {
    let database = Database::create().await;
    database
        .execute(
            "create table t (a int, filled int not null);
             create function f() returns trigger language plpgsql as $$ begin new.filled = 1; return new; end $$;
             create trigger g before insert on t for each row execute function f()",
        )
        .await;
    let mut client = database.connect().await;
    let (verified, report) = migrate(&mut client, "t", &shape(vec![column("a", PgType::Int4)]), &safe())
        .await
        .unwrap();
    assert!(report.is_empty() && verified.has_insert_triggers());
}
