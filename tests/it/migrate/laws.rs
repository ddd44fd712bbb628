//! Laws over random pairs of shapes, in a real Postgres: a migration brings what it planned, safe loses nothing, a refusal
//! changes nothing. `PGFLIGHT_LAWS` sets the number of pairs per mode; the seed of a failure is printed and can be replayed
//! with `PGFLIGHT_SEED`.

use pgflight::model::options::{MigrateMode, TypeProfile};
use pgflight::model::pg_type::{NumericMod, PgType};
use pgflight::model::table::{ColumnShape, TableShape};
use pgflight::planner::policy::Policy;
use pgflight::postgres::migrate::MigrateError;

use super::fixture::{column, migrate, shape};
use crate::support::database::Database;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Types with a few values each, among them the extremes.
fn types() -> Vec<(PgType, &'static [&'static str])> {
    let numeric = |precision, scale| PgType::Numeric(Some(NumericMod { precision, scale }));
    vec![
        (PgType::Bool, &["true"]),
        (PgType::Int2, &["-32768", "7"]),
        (PgType::Int4, &["2147483647", "7"]),
        (PgType::Int8, &["-9223372036854775808", "7"]),
        (PgType::Float4, &["0.1", "'nan'"]),
        (PgType::Float8, &["0.1", "1e308"]),
        (numeric(10, 2), &["99999999.99", "7"]),
        (numeric(12, 4), &["1.2345"]),
        (numeric(20, 0), &["18446744073709551615"]),
        (PgType::Numeric(None), &["1e-20", "'nan'"]),
        (PgType::Varchar(Some(5)), &["'abcde'", "'7'", "''"]),
        (PgType::Bpchar(Some(4)), &["'ab'"]),
        (PgType::Text, &["'long enough'", "'7'", "'2026-01-02'"]),
        (PgType::Uuid, &["'00000000-0000-0000-0000-000000000001'"]),
        (PgType::Date, &["'2026-01-02'", "'infinity'"]),
        (PgType::Timestamp(Some(0)), &["'2026-01-02 03:04:05'"]),
        (PgType::Timestamp(None), &["'2026-01-02 03:04:05.678901'"]),
        (PgType::TimestampTz(None), &["'2026-01-02 03:04:05Z'"]),
        (PgType::Jsonb, &["'{\"a\": 1}'"]),
        (PgType::Bytea, &["'\\x00ff'"]),
        (PgType::Array(Box::new(PgType::Int4)), &["'{1,null}'"]),
        (PgType::Array(Box::new(PgType::Int8)), &["'{9223372036854775807}'"]),
    ]
}

fn pick<'a, T>(random: &mut fastrand::Rng, items: &'a [T]) -> &'a T {
    &items[random.usize(..items.len())]
}

fn random_shape(random: &mut fastrand::Rng) -> TableShape {
    let types = types();
    let mut columns: Vec<ColumnShape> = Vec::new();
    for name in ["a", "B c", "d\"", "e", "f"] {
        if columns.is_empty() || random.f32() < 0.6 {
            let mut new = column(name, pick(random, &types).0.clone());
            new.nullable = random.f32() < 0.7;
            new.unique = random.f32() < 0.1;
            columns.push(new);
        }
    }
    with_key(columns, random)
}

fn with_key(mut columns: Vec<ColumnShape>, random: &mut fastrand::Rng) -> TableShape {
    random.shuffle(&mut columns);
    let mut shape = shape(columns);
    if random.f32() < 0.3 {
        shape.columns[0].nullable = false;
        shape.primary_key = vec![shape.columns[0].name.clone()];
    }
    shape
}

/// A later version of a stream: columns come, go, change their type a little, and now and then altogether.
fn next_version(from: &TableShape, random: &mut fastrand::Rng) -> TableShape {
    let types = types();
    let mut columns = Vec::new();
    for name in ["a", "B c", "d\"", "e", "f", "g"] {
        let mut new = match from.columns.iter().find(|column| column.name.as_str() == name) {
            Some(old) if random.f32() < 0.85 => old.clone(),
            None if random.f32() < 0.2 => column(name, pick(random, &types).0.clone()),
            _ => continue,
        };
        if random.f32() < 0.3 {
            // Neighbours in the list are mostly of one family.
            let at = types.iter().position(|(ty, _)| *ty == new.ty).unwrap_or_default();
            new.ty = types[(at + random.usize(1..3)).min(types.len() - 1)].0.clone();
        }
        new.nullable |= random.f32() < 0.7;
        new.unique &= random.f32() < 0.7;
        columns.push(new);
    }
    if columns.is_empty() {
        columns.push(column("g", PgType::Text));
    }
    let mut shape = with_key(columns, random);
    if !from.primary_key.is_empty() && shape.column(&from.primary_key[0]).is_some() && random.f32() < 0.7 {
        shape.primary_key.clone_from(&from.primary_key);
    }
    for column in &mut shape.columns {
        column.nullable &= !shape.primary_key.contains(&column.name);
    }
    shape
}

async fn fill(database: &Database, name: &str, shape: &TableShape, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(..3) {
        let values: Vec<&str> = shape
            .columns
            .iter()
            .map(|column| {
                let types = types();
                let (_, values) = types
                    .iter()
                    .find(|(ty, _)| *ty == column.ty)
                    .expect("every type has values");
                if column.nullable && random.f32() < 0.3 {
                    "null"
                } else {
                    *pick(random, values)
                }
            })
            .collect();
        let names: Vec<String> = shape.columns.iter().map(|column| column.name.quoted()).collect();
        let sql = format!(
            "insert into {name} ({}) values ({}) on conflict do nothing",
            names.join(", "),
            values.join(", ")
        );
        database.execute(&sql).await;
    }
}

/// The rows as text, in the columns of the first shape; trailing blanks of char(n) mean nothing.
async fn rows(database: &Database, name: &str, shape: &TableShape) -> Vec<String> {
    let parts: Vec<String> = shape
        .columns
        .iter()
        .map(|column| {
            let quoted = column.name.quoted();
            match column.ty {
                // 0.1::real is 0.1 as real and 0.10000000149011612 as double: compared as what it is.
                PgType::Float4 => format!("{quoted}::float8::text"),
                PgType::Numeric(_) | PgType::Int2 | PgType::Int4 | PgType::Int8 => {
                    format!("trim_scale({quoted}::numeric)::text")
                }
                _ => format!("{quoted}::text"),
            }
        })
        .collect();
    database
        .lines(&format!("select {} from {name} order by 1", parts.join(", ")))
        .await
}

async fn catalog(database: &Database, name: &str) -> Vec<String> {
    let sql = "select attname, format_type(atttypid, atttypmod), attnotnull, attnum from pg_attribute where attrelid = '%'::regclass and attnum > 0
               union all select conname, pg_get_constraintdef(oid), convalidated, 0 from pg_constraint where conrelid = '%'::regclass order by 4, 1";
    database.lines(&sql.replace('%', name)).await
}

async fn check(mode: MigrateMode, profile: TypeProfile, pairs: u64) {
    let database = Database::create().await;
    let mut client = database.connect().await;
    let first_seed = number("PGFLIGHT_SEED", 1);
    let (mut migrated, mut refused) = (0, 0);
    for seed in first_seed..first_seed + pairs {
        let mut random = fastrand::Rng::with_seed(seed);
        let from = random_shape(&mut random);
        let to = next_version(&from, &mut random);
        let name = format!("t{seed}");
        let policy = |shape: &TableShape| Policy {
            mode,
            profile,
            needs_key: !shape.primary_key.is_empty(),
            ..Policy::default()
        };
        migrate(&mut client, &name, &from, &policy(&from))
            .await
            .expect("a table fits what it was made for");
        fill(&database, &name, &from, &mut random).await;
        let (before, was) = (rows(&database, &name, &from).await, catalog(&database, &name).await);
        let what = format!("seed {seed}, {mode}, {profile}: {from:?} to {to:?}");
        match migrate(&mut client, &name, &to, &policy(&to)).await {
            Ok((verified, report)) => {
                migrated += 1;
                let (_, again) = migrate(&mut client, &name, &to, &policy(&to))
                    .await
                    .expect("a table fits what it was made for");
                assert!(again.is_empty(), "planned again: {again:?}; {what}; first {report:?}");
                assert_eq!(verified.columns().len(), to.columns.len(), "{what}");
                if mode == MigrateMode::Safe {
                    assert_eq!(rows(&database, &name, &from).await, before, "{what}");
                }
            }
            Err(error) => {
                refused += 1;
                let expected = matches!(error, MigrateError::Refused(_) | MigrateError::Step { .. });
                assert!(expected, "{error}; {what}");
                assert_eq!(
                    catalog(&database, &name).await,
                    was,
                    "a refusal changes nothing: {error}; {what}"
                );
                assert_eq!(rows(&database, &name, &from).await, before, "{what}");
            }
        }
        database.execute(&format!("drop table {name}")).await;
    }
    assert!(
        migrated > pairs / 10,
        "{migrated} of {pairs} pairs migrated, {refused} refused: the shapes say nothing"
    );
}

#[tokio::test]
async fn safe_brings_what_it_planned_and_loses_nothing() {
    check(MigrateMode::Safe, TypeProfile::Native, number("PGFLIGHT_LAWS", 25)).await;
}

#[tokio::test]
async fn safe_in_the_cloudquery_profile_keeps_the_same_laws() {
    check(MigrateMode::Safe, TypeProfile::Cloudquery, number("PGFLIGHT_LAWS", 25)).await;
}

#[tokio::test]
async fn forced_brings_what_it_planned() {
    check(MigrateMode::Forced, TypeProfile::Native, number("PGFLIGHT_LAWS", 25)).await;
    check(
        MigrateMode::Forced,
        TypeProfile::Cloudquery,
        number("PGFLIGHT_LAWS", 25),
    )
    .await;
}
