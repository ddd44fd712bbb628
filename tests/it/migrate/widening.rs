//! The widening table against Postgres: nothing is lost, and the claims about rewriting are true.

use pgflight::model::class::Class;
use pgflight::model::options::MigrateMode;
use pgflight::model::pg_type::{NumericMod, PgType};
use pgflight::planner::policy::{Policy, RewritePolicy};
use pgflight::postgres::migrate::{MigrateRequest, ensure};

use super::fixture::{column, columns, migrate, request, safe, shape, table};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;

fn numeric(precision: u16, scale: i16) -> PgType {
    PgType::Numeric(Some(NumericMod { precision, scale }))
}

/// Found type, a value of it, wanted type, expected type.
fn cases() -> Vec<(&'static str, &'static str, PgType, &'static str)> {
    let array = |ty| PgType::Array(Box::new(ty));
    vec![
        ("int2", "-32768", PgType::Int4, "integer"),
        ("int4", "2147483647", PgType::Int8, "bigint"),
        ("int8", "9223372036854775807", numeric(20, 0), "numeric(20,0)"),
        ("int4", "-2147483648", numeric(10, 2), "numeric(12,2)"),
        ("float4", "0.1", PgType::Float8, "double precision"),
        ("numeric(10,2)", "12345678.91", numeric(12, 2), "numeric(12,2)"),
        ("numeric(10,2)", "12345678.91", numeric(10, 4), "numeric(12,4)"),
        ("numeric(10,2)", "12345678.91", PgType::Numeric(None), "numeric"),
        ("numeric(5,0)", "99999", PgType::Int8, "numeric(19,0)"),
        ("varchar(5)", "'abcde'", PgType::Text, "text"),
        (
            "varchar(5)",
            "'abcde'",
            PgType::Varchar(Some(9)),
            "character varying(9)",
        ),
        ("char(5)", "'abc'", PgType::Text, "text"),
        (
            "timestamp(3)",
            "'2026-01-02 03:04:05.678'",
            PgType::Timestamp(None),
            "timestamp without time zone",
        ),
        (
            "timestamptz(0)",
            "'2026-01-02 03:04:05Z'",
            PgType::TimestampTz(Some(3)),
            "timestamp(3) with time zone",
        ),
        (
            "time(3)",
            "'03:04:05.678'",
            PgType::Time(None),
            "time without time zone",
        ),
        ("cidr", "'10.0.0.0/8'", PgType::Inet, "inet"),
        ("macaddr", "'08:00:2b:01:02:03'", PgType::MacAddr8, "macaddr8"),
        ("varbit(3)", "B'101'", PgType::VarBit(None), "bit varying"),
        ("int4[]", "'{1,null}'", array(PgType::Int8), "bigint[]"),
        ("varchar(5)[]", "'{a,b}'", array(PgType::Text), "text[]"),
        (
            "varchar(5)[]",
            "'{a,b}'",
            array(PgType::Varchar(Some(7))),
            "character varying(7)[]",
        ),
    ]
}

#[tokio::test]
async fn every_widening_keeps_its_values_and_rewrites_exactly_when_announced() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        let mut client = database.connect().await;
        for (n, (found, value, wanted, expected)) in cases().into_iter().enumerate() {
            let name = format!("t{n}");
            database
                .execute(&format!(
                    "create table {name} (a {found}); insert into {name} values ({value}), (null)"
                ))
                .await;
            let node = format!("select pg_relation_filenode('{name}')");
            // macaddr becomes macaddr8 by a rule (ff:fe in the middle), which its own text does not show.
            let values = format!("select rtrim(a::text)::text from {name} order by a is null");
            let (before, rows) = (database.value(&node).await, database.lines(&values).await);
            let (_, report) = migrate(&mut client, &name, &shape(vec![column("a", wanted)]), &safe())
                .await
                .unwrap();
            assert_eq!(columns(&database, &name).await, [format!("a|{expected}|f")], "{found}");
            let rewritten = before != database.value(&node).await;
            assert_eq!(
                report.steps[0].rewrites, rewritten,
                "{found} to {expected} on {version}"
            );
            let kept = database.lines(&values).await;
            let same =
                format!("select count(*) from {name} where a is not distinct from ({value})::{found}::{expected}");
            assert_eq!(
                database.value(&same).await,
                "1",
                "{found} to {expected}: {rows:?} became {kept:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_rewrite_of_a_large_table_is_announced_with_its_size_and_needs_permission() {
    let database = Database::create().await;
    database
        .execute("create table t (a int); insert into t select generate_series(1, 1000)")
        .await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Int8)]);
    let small = Policy {
        rewrite: RewritePolicy::UpToBytes(1000),
        ..safe()
    };
    let error = migrate(&mut client, "t", &wanted, &small).await.unwrap_err();
    let bytes = database.value("select pg_total_relation_size('t')").await;
    assert_eq!(error.class(), Class::Refused);
    assert!(
        error
            .to_string()
            .contains(&format!("rewrites the table ({bytes} bytes)")),
        "{error}"
    );
    assert!(error.to_string().contains("migrate_rewrite: allow"), "{error}");
    assert_eq!(columns(&database, "t").await, ["a|integer|f"]);
    let forced = Policy {
        mode: MigrateMode::Forced,
        ..small
    };
    migrate(&mut client, "t", &wanted, &forced).await.unwrap();
    assert_eq!(columns(&database, "t").await, ["a|bigint|f"]);
}

#[tokio::test]
async fn what_the_encoder_takes_with_checks_stays_as_it_is() {
    let database = Database::create().await;
    database.execute("create table t (a uuid, b int)").await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Text), column("b", PgType::Text)]);
    let (name, policy) = (table("t"), safe());
    let accepts = |n: usize, ty: &PgType| match (n, ty) {
        (0, PgType::Uuid) => Ok(()),
        _ => Err("no rule".to_owned()),
    };
    let request = MigrateRequest {
        accepts: Some(&accepts),
        ..request(&name, &wanted, &policy)
    };
    let error = ensure(&mut client, &request).await.unwrap_err().to_string();
    assert!(
        error.contains("column \"b\": the stream brings text, the column is integer: no rule"),
        "{error}"
    );
    assert!(!error.contains("column \"a\""), "{error}");
}

#[tokio::test]
async fn a_view_over_the_column_stops_safe_with_its_name() {
    let database = Database::create().await;
    database
        .execute("create table t (a int, b int); create view over_a as select a from t")
        .await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Int8)]);
    let error = migrate(&mut client, "t", &wanted, &safe())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("these views depend on it: over_a"), "{error}");
    migrate(&mut client, "t", &shape(vec![column("b", PgType::Int8)]), &safe())
        .await
        .unwrap();
}
