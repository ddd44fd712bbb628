//! What survives a forced replacement, what forbids one, indexes of partitioned tables with rows, and labels of enums.

use pgflight::model::options::MigrateMode;
use pgflight::model::pg_type::PgType;
use pgflight::model::table::TableShape;
use pgflight::planner::policy::{ForcedStrategy, Policy};

use super::fixture::{cloudquery, column, columns, keyed, migrate, mode, not_null, safe, shape, statements};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;

fn keep_old() -> Policy {
    Policy {
        forced: ForcedStrategy::KeepOld,
        ..mode(MigrateMode::Forced)
    }
}

#[tokio::test]
async fn column_privileges_and_triggers_go_to_the_table_that_takes_the_place() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        let role = format!("{} \"Reader\"", database.name());
        let quoted = format!("\"{}\"", role.replace('"', "\"\""));
        database
            .execute(&format!(
                "create role {quoted}; create table t (id int, a text, gone int); insert into t values (1, 'x', 2);
                 create function stamp() returns trigger language plpgsql as $$ begin new.id := new.id + 100; return new; end $$;
                 create trigger \"Stamp it\" before insert on t for each row execute function stamp();
                 create trigger always before insert on t for each row when (new.id < 0) execute function stamp();
                 alter table t enable always trigger always;
                 create trigger off before update on t for each row execute function stamp(); alter table t disable trigger off;
                 create trigger of_gone before update of gone on t for each row execute function stamp();
                 grant select (id), update (a, gone) on t to {quoted} with grant option; grant delete on t to {quoted};
                 create publication p for table t;
                 create function f() returns bigint begin atomic select sum(id) from t; end"
            ))
            .await;
        let mut client = database.connect().await;
        let wanted = shape(vec![column("id", PgType::Int4), column("a", PgType::Uuid)]);
        let (_, report) = migrate(&mut client, "t", &wanted, &keep_old()).await.unwrap();
        let triggers = "select tgname, tgenabled::text from pg_trigger where tgrelid = 't'::regclass order by 1";
        assert_eq!(database.lines(triggers).await, ["Stamp it|O", "always|A", "off|D"]);
        let has = format!(
            "select has_column_privilege($r${role}$r$, 't', 'id', 'select with grant option'),
                    has_column_privilege($r${role}$r$, 't', 'a', 'update with grant option'),
                    has_column_privilege($r${role}$r$, 't', 'a', 'select'), has_table_privilege($r${role}$r$, 't', 'delete')"
        );
        assert_eq!(database.lines(&has).await, ["t|t|f|t"]);
        database.execute("insert into t (id) values (1)").await;
        assert_eq!(database.lines("select id from t").await, ["101"], "the trigger fires");
        for part in [
            "trigger of_gone was not created again: the new table has no gone",
            "not in these publications of the old one: p",
            "go on using the old table: function f()",
        ] {
            assert!(
                report.notes.iter().any(|note| note.contains(part)),
                "{part}: {:?}",
                report.notes
            );
        }
        database
            .execute(&format!("drop owned by {quoted}; drop role {quoted}"))
            .await;
    }
}

#[tokio::test]
async fn a_table_with_row_level_security_or_rules_is_never_replaced() {
    let database = Database::create().await;
    for (more, part) in [
        ("alter table t enable row level security", "row level security"),
        (
            "create policy mine on t using (id = 1)",
            "row level security or policies",
        ),
        ("create rule r as on delete to t do instead nothing", "rewrite rules"),
    ] {
        database
            .execute(&format!(
                "drop table if exists t; create table t (id int, a text); insert into t values (1, 'x'); {more}"
            ))
            .await;
        let mut client = database.connect().await;
        let wanted = shape(vec![column("id", PgType::Int4), column("a", PgType::Uuid)]);
        for strategy in [ForcedStrategy::KeepOld, ForcedStrategy::Drop, ForcedStrategy::Convert] {
            let policy = Policy {
                forced: strategy,
                ..mode(MigrateMode::Forced)
            };
            let error = migrate(&mut client, "t", &wanted, &policy).await.unwrap_err();
            assert!(error.to_string().contains(part), "{strategy:?}: {error}");
            assert_eq!(columns(&database, "t").await, ["id|integer|f", "a|text|f"]);
            assert_eq!(database.lines("select * from t").await, ["1|x"]);
        }
    }
}

fn synced() -> (TableShape, Policy) {
    let wanted = keyed(
        vec![
            not_null("id", PgType::Int8),
            column("_cq_source_name", PgType::Text),
            column("_cq_sync_time", PgType::Timestamp(None)),
        ],
        &["id"],
    );
    let policy = Policy {
        performance_indexes: true,
        ..cloudquery(MigrateMode::Safe)
    };
    (wanted, policy)
}

const INDEX: &str = "select i.indexrelid::regclass::text, i.indisvalid, h.inhparent::regclass::text
                     from pg_index i left join pg_inherits h on h.inhrelid = i.indexrelid
                     where i.indexrelid::regclass::text ~ 'cqpi' order by 1";

#[tokio::test]
async fn a_partitioned_table_with_rows_gets_its_index_partition_by_partition() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        database
            .execute(
                "create schema \"o o\"; create table p (id bigint primary key, _cq_source_name text, _cq_sync_time timestamp) partition by range (id);
                 create table p_1 partition of p for values from (0) to (10);
                 create table \"o o\".\"P 2\" partition of p for values from (10) to (20); insert into p select n from generate_series(0, 19) n",
            )
            .await;
        let mut client = database.connect().await;
        let (wanted, policy) = synced();
        let (_, report) = migrate(&mut client, "p", &wanted, &policy).await.unwrap();
        assert_eq!(
            statements(&report),
            [
                "CREATE INDEX \"p_cqpi\" ON ONLY \"public\".\"p\" (\"_cq_source_name\", \"_cq_sync_time\")",
                "CREATE INDEX CONCURRENTLY \"P 2_cqpi\" ON \"o o\".\"P 2\" (\"_cq_source_name\", \"_cq_sync_time\")",
                "ALTER INDEX \"public\".\"p_cqpi\" ATTACH PARTITION \"o o\".\"P 2_cqpi\"",
                "CREATE INDEX CONCURRENTLY \"p_1_cqpi\" ON \"public\".\"p_1\" (\"_cq_source_name\", \"_cq_sync_time\")",
                "ALTER INDEX \"public\".\"p_cqpi\" ATTACH PARTITION \"public\".\"p_1_cqpi\"",
            ]
        );
        let done = ["\"o o\".\"P 2_cqpi\"|t|p_cqpi", "p_1_cqpi|t|p_cqpi", "p_cqpi|t|<null>"];
        assert_eq!(database.lines(INDEX).await, done);
        let again = migrate(&mut client, "p", &wanted, &policy).await.unwrap().1;
        assert!(again.is_empty(), "{again:?}");
        // Left half-way: one part missing, one invalid.
        database
            .execute(
                "drop index p_cqpi; create index p_cqpi on only p (_cq_source_name, _cq_sync_time);
                 create index p_1_cqpi on p_1 (_cq_source_name, _cq_sync_time);
                 update pg_index set indisvalid = false where indexrelid = 'p_1_cqpi'::regclass",
            )
            .await;
        let (_, report) = migrate(&mut client, "p", &wanted, &policy).await.unwrap();
        assert_eq!(report.steps.len(), 5, "{report:?}");
        assert_eq!(database.lines(INDEX).await, done);
        assert!(migrate(&mut client, "p", &wanted, &policy).await.unwrap().1.is_empty());
    }
}

#[tokio::test]
async fn a_unique_column_of_a_partitioned_table_with_rows_is_noted_and_nothing_fails() {
    let database = Database::create().await;
    database
        .execute(
            "create table p (id bigint) partition by range (id);
             create table p_1 partition of p for values from (0) to (10); insert into p values (1)",
        )
        .await;
    let mut client = database.connect().await;
    let mut wanted = shape(vec![column("id", PgType::Int8)]);
    wanted.columns[0].unique = true;
    let (_, report) = migrate(&mut client, "p", &wanted, &safe()).await.unwrap();
    assert!(
        report.is_empty() && report.notes[0].contains("column id is unique to the stream"),
        "{report:?}"
    );
}

#[tokio::test]
async fn missing_labels_of_an_enum_are_added_and_rows_of_them_can_follow() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        database
            .execute("create schema s; create type s.\"Mood\" as enum ('sad', 'ok'); create table t (m s.\"Mood\", n int); insert into t values ('ok', 1)")
            .await;
        let mut client = database.connect().await;
        let as_is = shape(vec![column("n", PgType::Int4)]);
        let (verified, _) = migrate(&mut client, "t", &as_is, &safe()).await.unwrap();
        let found = verified.column_type(&super::fixture::ident("m")).unwrap().clone();
        let PgType::Enum(mood) = found else {
            panic!("m is an enum")
        };
        let mut more = (*mood).clone();
        more.labels = vec!["ok".to_owned(), "it's \\ fine".to_owned(), "great".to_owned()];
        let wanted = shape(vec![column("m", PgType::Enum(more.into())), column("n", PgType::Int4)]);
        let (_, report) = migrate(&mut client, "t", &wanted, &safe()).await.unwrap();
        assert_eq!(
            statements(&report),
            [
                "ALTER TYPE \"s\".\"Mood\" ADD VALUE IF NOT EXISTS E'it''s \\\\ fine'",
                "ALTER TYPE \"s\".\"Mood\" ADD VALUE IF NOT EXISTS 'great'",
            ]
        );
        database
            .execute("insert into t values ('great', 2), ('it''s \\ fine', 3)")
            .await;
        assert_eq!(
            database.lines("select m, n from t order by n").await,
            ["ok|1", "great|2", "it's \\ fine|3"]
        );
        let labels = "select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum";
        assert_eq!(
            database.value(labels).await,
            "sad,ok,it's \\ fine,great",
            "none was lost"
        );
        assert!(migrate(&mut client, "t", &wanted, &safe()).await.unwrap().1.is_empty());
        // `off` adds none.
        let mut other = (*mood).clone();
        other.labels.push("new".to_owned());
        let wanted = shape(vec![column("m", PgType::Enum(other.into()))]);
        assert!(
            migrate(&mut client, "t", &wanted, &mode(MigrateMode::Off))
                .await
                .is_err()
        );
    }
}
