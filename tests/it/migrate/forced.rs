//! Mode `forced`: conversion in place, a new table beside the old, and what is kept.

use pgflight::model::options::MigrateMode;
use pgflight::model::pg_type::PgType;
use pgflight::planner::policy::{ForcedStrategy, Policy};

use super::fixture::{column, columns, ident, keyed, migrate, mode, not_null, shape};
use crate::support::database::Database;

fn forced(strategy: ForcedStrategy) -> Policy {
    Policy {
        forced: strategy,
        ..mode(MigrateMode::Forced)
    }
}

/// The one table that was moved aside.
async fn moved_aside(database: &Database, name: &str) -> String {
    database
        .value(&format!(
            "select relname from pg_class where relkind = 'r' and relname ~ '^{name}_[0-9]{{8}}T[0-9]{{6}}$'"
        ))
        .await
}

#[tokio::test]
async fn values_that_survive_are_converted_in_place_with_views_and_grants_kept() {
    let database = Database::create().await;
    database
        .execute(
            "create table t (id int primary key, a text, b text); insert into t values (1, '12', 'x'), (2, null, 'y');
             create view v1 with (security_barrier) as select id, a from t; create view v2 as select a as aa from v1;
             comment on view v1 is 'about v1'; grant select on v1 to public; create index by_a on t (a)",
        )
        .await;
    let mut client = database.connect().await;
    let wanted = shape(vec![not_null("id", PgType::Int4), column("a", PgType::Int4)]);
    let (_, report) = migrate(&mut client, "t", &wanted, &mode(MigrateMode::Forced))
        .await
        .unwrap();
    assert!(report.steps.iter().any(|step| step.rewrites), "{report:?}");
    assert_eq!(
        columns(&database, "t").await,
        ["id|integer|t", "a|integer|f", "b|text|f"]
    );
    assert_eq!(
        database.lines("select * from t order by id").await,
        ["1|12|x", "2|<null>|y"]
    );
    assert_eq!(database.lines("select aa from v2 order by 1").await, ["12", "<null>"]);
    let about =
        "select obj_description('v1'::regclass), reloptions::text, has_table_privilege('public', 'v1', 'select')
                 from pg_class where oid = 'v1'::regclass";
    assert_eq!(database.lines(about).await, ["about v1|{security_barrier=true}|t"]);
    assert_eq!(
        database
            .value("select count(*) from pg_indexes where indexname = 'by_a'")
            .await,
        "1"
    );
}

#[tokio::test]
async fn a_value_that_does_not_survive_moves_the_old_table_aside() {
    for (value, why) in [("'007'", "007 is not 7"), ("'many'", "no number at all")] {
        let database = Database::create().await;
        database
            .execute(&format!(
                "create table t (id int primary key, a text, gone int); insert into t values (1, '12', 5), (2, {value}, 6);
                 create index by_id on t (id, id); create index by_a on t (a); comment on table t is 'kept';
                 comment on column t.id is 'the id'; grant insert on t to public"
            ))
            .await;
        let mut client = database.connect().await;
        let wanted = keyed(vec![not_null("id", PgType::Int4), column("a", PgType::Int4)], &["id"]);
        let (verified, report) = migrate(&mut client, "t", &wanted, &mode(MigrateMode::Forced))
            .await
            .unwrap();
        assert_eq!(columns(&database, "t").await, ["id|integer|t", "a|integer|f"], "{why}");
        assert_eq!(database.value("select count(*) from t").await, "0");
        assert_eq!(verified.primary_key(), [ident("id")]);
        let old = moved_aside(&database, "t").await;
        assert_eq!(
            database
                .value(&format!("select string_agg(a, ',' order by id) from \"{old}\""))
                .await,
            format!("12,{}", value.trim_matches('\''))
        );
        let kept = "select obj_description('t'::regclass), col_description('t'::regclass, 1), has_table_privilege('public', 't', 'insert')";
        assert_eq!(database.lines(kept).await, ["kept|the id|t"]);
        let indexes = "select indexname from pg_indexes where tablename = 't' order by 1";
        assert_eq!(database.lines(indexes).await, ["by_id", "t_pkey"]);
        assert!(
            report
                .notes
                .iter()
                .any(|note| note.contains("index by_a was not built again")),
            "{report:?}"
        );
        assert!(
            report.notes.iter().any(|note| note.contains(&format!("is now {old}"))),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn views_are_put_over_the_new_table_or_named_in_the_refusal() {
    let database = Database::create().await;
    database
        .execute("create table t (id int, a text); insert into t values (1, 'x'); create view ids as select id from t")
        .await;
    let mut client = database.connect().await;
    let policy = forced(ForcedStrategy::KeepOld);
    let wanted = shape(vec![column("id", PgType::Int4), column("a", PgType::Uuid)]);
    migrate(&mut client, "t", &wanted, &policy).await.unwrap();
    assert_eq!(
        database.value("select count(*) from ids").await,
        "0",
        "the view reads the new table"
    );
    database
        .execute("create materialized view stored as select a from t")
        .await;
    let wanted = shape(vec![column("id", PgType::Int4), column("a", PgType::Date)]);
    let error = migrate(&mut client, "t", &wanted, &policy)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("view public.stored is materialized"), "{error}");
    database.execute("drop materialized view stored").await;
    let error = migrate(&mut client, "t", &shape(vec![column("a", PgType::Date)]), &policy)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("view public.ids reads columns that the new table would not have: id"),
        "{error}"
    );
}

#[tokio::test]
async fn a_table_that_others_point_to_is_not_replaced() {
    let database = Database::create().await;
    database.execute("create table t (id int primary key, a text); insert into t values (1, 'x'); create table child (t int references t)").await;
    let mut client = database.connect().await;
    let wanted = shape(vec![column("a", PgType::Uuid)]);
    let error = migrate(&mut client, "t", &wanted, &mode(MigrateMode::Forced))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("foreign keys of child point to it"), "{error}");
    assert_eq!(
        columns(&database, "t").await,
        ["id|integer|t", "a|text|f"],
        "a refusal changes nothing"
    );
}

#[tokio::test]
async fn drop_is_the_go_plugins_way_and_only_on_request() {
    let database = Database::create().await;
    database
        .execute("create table t (a text); insert into t values ('x')")
        .await;
    let mut client = database.connect().await;
    migrate(
        &mut client,
        "t",
        &shape(vec![column("a", PgType::Uuid)]),
        &forced(ForcedStrategy::Drop),
    )
    .await
    .unwrap();
    assert_eq!(columns(&database, "t").await, ["a|uuid|f"]);
    assert_eq!(
        database
            .value("select count(*) from pg_class where relname like 't_2%'")
            .await,
        "0"
    );
}

#[tokio::test]
async fn a_new_key_is_added_in_place_where_the_rows_allow_it() {
    let database = Database::create().await;
    database
        .execute(
            "create table good (a int, b int); insert into good values (1, 1), (2, 1);
                  create table bad (a int, b int); insert into bad values (1, 1), (1, 2)",
        )
        .await;
    let mut client = database.connect().await;
    let wanted = keyed(vec![not_null("a", PgType::Int4), column("b", PgType::Int4)], &["a"]);
    let policy = Policy {
        needs_key: true,
        ..mode(MigrateMode::Forced)
    };
    migrate(&mut client, "good", &wanted, &policy).await.unwrap();
    assert_eq!(database.value("select count(*) from good").await, "2");
    migrate(&mut client, "bad", &wanted, &policy).await.unwrap();
    assert_eq!(database.value("select count(*) from bad").await, "0");
    let old = moved_aside(&database, "bad").await;
    assert_eq!(database.value(&format!("select count(*) from \"{old}\"")).await, "2");
}
