//! Options of table creation, and comments.

use pgflight::model::pg_type::PgType;
use pgflight::model::table::TableShape;
use pgflight::planner::policy::{CreateOptions, PartitionBy, PartitionWidth, Policy};

use super::fixture::{column, columns, keyed, migrate, not_null, safe, shape};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;

fn with(create: CreateOptions) -> Policy {
    Policy { create, ..safe() }
}

#[tokio::test]
async fn storage_options_reach_the_table() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        let mut client = database.connect().await;
        let options = CreateOptions {
            unlogged: true,
            fillfactor: Some(70),
            toast_tuple_target: Some(4080),
            tablespace: Some("pg_default".to_owned()),
            align_columns: true,
            ..CreateOptions::default()
        };
        let columns_in = vec![
            column("t", PgType::Text),
            column("b", PgType::Bool),
            column("i", PgType::Int4),
            column("s", PgType::Int2),
            column("l", PgType::Int8),
        ];
        let (verified, _) = migrate(&mut client, "t", &shape(columns_in), &with(options))
            .await
            .unwrap();
        assert!(verified.is_unlogged());
        let names: Vec<&str> = verified.columns().iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names,
            ["t", "b", "i", "s", "l"],
            "the stream's order is not the table's"
        );
        let stored: Vec<String> = columns(&database, "t").await;
        assert_eq!(
            stored,
            ["l|bigint|f", "i|integer|f", "s|smallint|f", "b|boolean|f", "t|text|f"]
        );
        assert_eq!(
            database
                .value("select reloptions::text from pg_class where relname = 't'")
                .await,
            "{fillfactor=70,toast_tuple_target=4080}"
        );
    }
}

#[tokio::test]
async fn lz4_is_set_where_the_server_has_it_and_refused_clearly_where_not() {
    let database = Database::create().await;
    let mut client = database.connect().await;
    let has = "select 'lz4' = any (enumvals) from pg_settings where name = 'default_toast_compression'";
    let options = CreateOptions {
        toast_lz4: true,
        ..CreateOptions::default()
    };
    let done = migrate(
        &mut client,
        "t",
        &shape(vec![column("t", PgType::Text)]),
        &with(options),
    )
    .await;
    if database.value(has).await == "t" {
        done.unwrap();
        assert_eq!(
            database
                .value("select attcompression from pg_attribute where attrelid = 't'::regclass and attname = 't'")
                .await,
            "l"
        );
    } else {
        let error = done.unwrap_err().to_string();
        assert!(error.contains("lz4"), "{error}");
    }
}

fn events() -> TableShape {
    keyed(
        vec![not_null("at", PgType::TimestampTz(None)), not_null("id", PgType::Int8)],
        &["at", "id"],
    )
}

fn by(column: &str) -> Policy {
    let by = PartitionBy {
        column: column.to_owned(),
        every: PartitionWidth::Day,
    };
    with(CreateOptions {
        partition_by: Some(by),
        fillfactor: Some(90),
        ..CreateOptions::default()
    })
}

#[tokio::test]
async fn partitions_are_made_ahead_and_made_again_when_missing() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        let mut client = database.connect().await;
        migrate(&mut client, "events", &events(), &by("at")).await.unwrap();
        let count = "select count(*) from pg_inherits where inhparent = 'events'::regclass";
        assert_eq!(database.value(count).await, "5");
        database
            .execute("insert into events values (now(), 1), (now() + interval '2 days', 2), ('1999-01-01', 3)")
            .await;
        let places = "select count(distinct tableoid) from events";
        assert_eq!(database.value(places).await, "3");
        assert_eq!(database.value("select count(*) from events_default").await, "1");
        let ahead = "select format('drop table %I', relname) from pg_class where relname ~ '^events_p' and relkind = 'r' order by relname desc limit 1";
        let drop = database.value(ahead).await;
        database.execute(&drop).await;
        let (_, report) = migrate(&mut client, "events", &events(), &by("at")).await.unwrap();
        assert_eq!(report.steps.len(), 1);
        assert_eq!(database.value(count).await, "5");
    }
}

#[tokio::test]
async fn options_that_cannot_be_are_refused_together() {
    let database = Database::create().await;
    let mut client = database.connect().await;
    let mut policy = by("id");
    policy.create.unlogged = true;
    policy.create.fillfactor = Some(5);
    policy.create.toast_tuple_target = Some(8161);
    let error = migrate(&mut client, "t", &events(), &policy)
        .await
        .unwrap_err()
        .to_string();
    for part in [
        "fillfactor is not between 10 and 100",
        "toast_tuple_target is not between 128 and 8160",
        "column \"id\": it is bigint and partition_by takes dates",
        "cannot be unlogged",
    ] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    let unkeyed = TableShape {
        primary_key: vec![super::fixture::ident("id")],
        ..events()
    };
    let error = migrate(&mut client, "t", &unkeyed, &by("at"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("not part of the primary key"), "{error}");
}

#[tokio::test]
async fn comments_are_set_at_creation_and_never_overwritten() {
    let database = Database::create().await;
    let mut client = database.connect().await;
    let mut wanted = shape(vec![column("a", PgType::Int4), column("b", PgType::Int4)]);
    wanted.comment = Some("it's \\ all".to_owned());
    wanted.columns[0].comment = Some("first".to_owned());
    migrate(&mut client, "t", &wanted, &safe()).await.unwrap();
    let comments =
        "select obj_description('t'::regclass), col_description('t'::regclass, 1), col_description('t'::regclass, 2)";
    assert_eq!(database.lines(comments).await, ["it's \\ all|first|<null>"]);
    wanted.comment = Some("other".to_owned());
    wanted.columns[1].comment = Some("second".to_owned());
    migrate(&mut client, "t", &wanted, &safe()).await.unwrap();
    assert_eq!(database.lines(comments).await, ["it's \\ all|first|second"]);
}
