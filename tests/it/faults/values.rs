//! F22: bad rows at the first, a middle and the last place, for the codes of classes 22 and 23 that a row can cause. The row
//! and what is wrong are named, good rows of other chunks stay or go as the commit mode says.

use serde_json::json;
use tonic::Code;

use super::{MODES, Mode, Scene, oracle_for};
use crate::support::flight::command;
use crate::support::oracle;

const CHUNKS: u64 = 3;
/// Rows of a chunk here: enough for a row to be first, in the middle and last.
const ROWS: u64 = 50;

/// A rule of the table that one row breaks, and the SQLSTATE of that.
struct Rule {
    sqlstate: &'static str,
    /// SQL with `{t}` for the table, `{bad}` for the number of the bad row in the stream.
    sql: &'static str,
    code: Code,
    /// Checked row by row, so that Postgres can name the row also when rows are merged from a staging table.
    names_row: bool,
}

const RULES: [Rule; 5] = [
    Rule {
        sqlstate: "23514",
        sql: "alter table {t} add constraint rule check (seq * 50 + row_no <> {bad})",
        code: Code::FailedPrecondition,
        names_row: true,
    },
    Rule {
        sqlstate: "23505",
        sql: "create unique index rule on {t} ((case when seq * 50 + row_no = {bad} then 0 end)); \
              insert into {t} (stream_id, seq, row_no, payload, hash) select 'there', {bad} / 50, {bad} % 50, 'x', 'x'",
        code: Code::AlreadyExists,
        names_row: true,
    },
    Rule {
        sqlstate: "23503",
        sql: "create table other (v bigint primary key); alter table {t} add column number bigint \
              generated always as (nullif(seq * 50 + row_no, {bad})) stored; insert into other select generate_series(0, 999); \
              delete from other where v = {bad}; alter table {t} drop column number; \
              alter table {t} add column number bigint generated always as (seq * 50 + row_no) stored references other",
        code: Code::FailedPrecondition,
        names_row: false,
    },
    Rule {
        sqlstate: "22012",
        sql: "alter table {t} add constraint rule check (1 / (seq * 50 + row_no - {bad}) is not null)",
        code: Code::InvalidArgument,
        names_row: true,
    },
    Rule {
        sqlstate: "22023",
        sql: "create function rule() returns trigger language plpgsql as $$ begin if new.seq * 50 + new.row_no = {bad} then \
              raise exception 'refused' using errcode = '22023'; end if; return new; end $$; \
              create trigger rule before insert on {t} for each row execute function rule()",
        code: Code::InvalidArgument,
        names_row: true,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_named_and_takes_exactly_its_transaction_with_it() {
    let scene = Scene::set().await;
    for mode in MODES {
        // A replace empties the table first, so that no other row is there to have the same key.
        let meets_others = |rule: &&Rule| rule.sqlstate == "23505";
        for rule in RULES.iter().filter(|rule| !(mode.replaces() && meets_others(rule))) {
            for bad in [0, 72, CHUNKS * ROWS - 1] {
                check(&scene, mode, rule, bad).await;
            }
        }
    }
}

async fn check(scene: &Scene, mode: Mode, rule: &Rule, bad: u64) {
    let table = mode.table();
    let fresh = format!("drop table {table}; drop table if exists other; drop function if exists rule cascade");
    scene.database.execute(&fresh).await;
    scene.database.execute(&mode.create_table()).await;
    let sql = rule.sql.replace("{t}", &table).replace("{bad}", &bad.to_string());
    scene.database.execute(&sql).await;
    let mut oracle = oracle_for(mode);
    let batches: Vec<_> = (0..CHUNKS).map(|seq| mode.rows("s", seq, ROWS)).collect();
    for seq in 0..CHUNKS {
        oracle.sent("s", seq, ROWS);
    }
    let error = scene
        .client()
        .await
        .send(mode.messages(ROWS, &batches))
        .await
        .expect_err("a row is bad");
    let context = format!("{mode:?}, {}, row {bad}: {error:?}", rule.sqlstate);
    assert_eq!(error.code(), rule.code, "{context}");
    assert!(
        error.message().contains(rule.sqlstate) && error.message().contains(&table),
        "{context}"
    );
    assert!(
        !error.message().contains("there"),
        "no value of another row is shown: {context}"
    );
    let named = error
        .metadata()
        .get("x-pgflight-row")
        .map(|row| row.to_str().expect("a number").to_owned());
    if rule.names_row && mode.write == "append" {
        assert_eq!(named, Some(bad.to_string()), "{context}");
    } else {
        assert!(
            named.is_none_or(|named| named == bad.to_string()),
            "a wrong row is named: {context}"
        );
    }
    scene
        .database
        .execute(&format!("delete from {table} where stream_id = 'there'"))
        .await;
    oracle.assert_holds(&scene.database, &context).await;
    let kept = if mode.atomic() { 0 } else { bad / ROWS * ROWS };
    assert_eq!(
        scene.database.value(&format!("select count(*) from {table}")).await,
        kept.to_string(),
        "{context}"
    );
}

/// Columns whose type cannot hold the value: found before Postgres sees it, with row and column.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_its_column_is_named_by_row_and_column() {
    for mode in MODES {
        for (column, change) in [
            ("payload", "alter table {t} alter column payload type varchar(4)"),
            ("row_no", "alter table {t} alter column row_no type smallint"),
        ] {
            let scene = Scene::set().await;
            scene.database.execute(&change.replace("{t}", &mode.table())).await;
            let rows = if column == "row_no" { 40_000 } else { 3 };
            let batch = mode.rows("s", 0, rows);
            let mut to =
                json!({"table": mode.table(), "write_mode": mode.write, "commit": mode.commit, "migrate_mode": "off"});
            if mode.keyed() {
                to["primary_key"] = json!(["stream_id", "seq", "row_no"]);
            }
            let error = scene
                .client()
                .await
                .send(mode.messages_to(command(to), &[batch]))
                .await
                .expect_err("it does not fit");
            let context = format!("{mode:?} {column}: {error:?}");
            assert!(
                [Code::InvalidArgument, Code::FailedPrecondition].contains(&error.code()),
                "{context}"
            );
            assert!(error.message().contains(column), "{context}");
            assert_eq!(
                scene
                    .database
                    .value(&format!("select count(*) from {}", mode.table()))
                    .await,
                "0",
                "{context}"
            );
            assert_eq!(
                oracle::leftovers(&scene.database).await,
                Vec::<String>::new(),
                "{context}"
            );
        }
    }
}
