//! Random schemas and batches through the encoder into real Postgres, compared there with the same values sent as text, and
//! read back.
//!
//! The expected side never touches the encoder: each value is written as text here and cast by Postgres. One seed makes
//! one schema with its batches; a failure prints it. `PGFLIGHT_ROUNDTRIP_SEED` replays a seed,
//! `PGFLIGHT_ROUNDTRIP_CASES` grows the budget.

pub(crate) mod column;
mod documents;
mod extensions;
pub(crate) mod kinds;
mod layouts;
mod lists;
mod numbers;
pub(crate) mod read_back;
mod rendered;
mod temporal;

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use futures::SinkExt;
use pgflight::codec::encode::{CopyPlan, EncodeOptions};
use pgflight::codec::{HEADER, TRAILER};
use pgflight::model::ident::Ident;
use pgflight::model::options::TypeProfile;
use pgflight::model::pg_type::PgType;
use pgflight::model::table::TargetColumn;
use pgflight::model::type_map::default_type;
use tokio_postgres::types::ToSql;

use self::column::{Column, Draw};
use self::kinds::{Kind, schema};
use self::read_back::Reader;
use crate::support::database::Database;

const DEFAULT_CASES: u64 = 40;
const BATCHES: usize = 3;

/// A table of one column per kind, and what was sent to it.
struct Case {
    seed: u64,
    kinds: Vec<Kind>,
    targets: Vec<TargetColumn>,
    /// The columns of each batch.
    sent: Vec<Vec<Column>>,
}

/// The columns that a load creates for these.
pub(crate) fn targets(columns: &[Column]) -> Vec<TargetColumn> {
    let schema = schema(columns);
    let fields = schema.fields().iter();
    let columns = fields.map(|field| TargetColumn {
        name: Ident::new(field.name().as_str()).expect("a short name"),
        ty: default_type(field, TypeProfile::Native),
        nullable: true,
    });
    columns.collect()
}

async fn one_case(database: &Database, reader: &Reader, seed: u64) -> usize {
    println!("to run this again set PGFLIGHT_ROUNDTRIP_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let kinds: Vec<Kind> = (0..random.usize(1..=12)).map(|_| Kind::any(&mut random)).collect();
    let mut draw = Draw::new(random.u64(..));
    let samples: Vec<Column> = kinds.iter().map(|kind| kind.make(&mut draw, 1)).collect();
    let (schema, targets) = (schema(&samples), targets(&samples));
    create(database, &targets).await;
    let plan = CopyPlan::new(&schema, &targets, &EncodeOptions::default())
        .expect("defaults can be encoded")
        .with_ordinal();
    let mut position = 0i64;
    let mut sent = Vec::new();
    for _ in 0..BATCHES {
        let rows = random.usize(..200);
        // Rows before and after that a slice hides must not show.
        let around = kinds.iter().map(|kind| kind.make(&mut draw, rows + 2));
        let columns: Vec<Column> = around.map(|column| column.slice(1, rows)).collect();
        let arrays = columns.iter().map(|column| column.array.clone()).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays).expect("the schema fits");
        load(database, "loaded", &plan, &batch, position, random.usize(1..5_000)).await;
        expect(database, "expected", &targets, &columns, position).await;
        position += rows as i64;
        sent.push(columns);
    }
    let case = Case {
        seed,
        kinds,
        targets,
        sent,
    };
    case.compare(database, "loaded", position).await;
    reader.read_back(database, &case, random.usize(64..16_384)).await
}

/// Makes `loaded`, and the tables like it.
async fn create(database: &Database, targets: &[TargetColumn]) {
    let ddl = targets
        .iter()
        .map(|column| format!("{} {}, ", column.name, column.ty))
        .collect::<String>();
    database
        .execute(&format!(
            "drop table if exists loaded, expected, again; create table loaded ({ddl} n int8); \
             create table expected (like loaded); create table again (like loaded)"
        ))
        .await;
}

impl Case {
    /// Fails where a row of `table` is not that of `expected`.
    async fn compare(&self, database: &Database, table: &str, rows: i64) {
        let counts = format!("select (select count(*) from {table}) || ' ' || (select count(*) from expected)");
        let seed = self.seed;
        assert_eq!(
            database.value(&counts).await,
            format!("{rows} {rows}"),
            "seed {seed}, {table}"
        );
        for (target, kind) in self.targets.iter().zip(&self.kinds) {
            let differing = differing(database, table, "expected", target).await;
            assert!(
                differing.is_empty(),
                "seed {seed}: {} in column {} {} of {table} differs at rows {differing:?}",
                kind.name(),
                target.name,
                target.ty
            );
        }
    }
}

/// Up to three rows whose values of a column differ, with both.
pub(crate) async fn differing(database: &Database, table: &str, other: &str, target: &TargetColumn) -> Vec<String> {
    let name = &target.name;
    let (one, two) = (format!("{table}.{name}"), format!("{other}.{name}"));
    // Equality of intervals takes a month for 30 days, so types compare as text as well; some have no equality at all.
    let unequal = match innermost(&target.ty) {
        PgType::Point => "false".to_owned(),
        _ => format!("{one} is distinct from {two}"),
    };
    let sql = format!(
        "select n, left({one}::text, 200), left({two}::text, 200) from {table} join {other} using (n) \
         where {unequal} or {one}::text is distinct from {two}::text order by n limit 3"
    );
    database.lines(&sql).await
}

fn innermost(ty: &PgType) -> &PgType {
    match ty {
        PgType::Array(element) => innermost(element),
        other => other,
    }
}

/// Loads a batch by binary COPY, with calls of about `step` bytes.
async fn load(database: &Database, table: &str, plan: &CopyPlan, batch: &RecordBatch, position: i64, step: usize) {
    let sink = database
        .client()
        .copy_in::<_, Bytes>(&format!("copy {table} from stdin (format binary)"))
        .await;
    let mut sink = std::pin::pin!(sink.expect("the table exists"));
    let mut out = BytesMut::from(&HEADER[..]);
    let bound = plan.bind(batch).expect("the batch is of the schema");
    let mut row = 0;
    while row < bound.rows() {
        row = bound
            .encode(row, step, position, &mut out)
            .unwrap_or_else(|error| panic!("{error}"));
        sink.send(out.split().freeze())
            .await
            .expect("the server takes the bytes");
    }
    out.extend_from_slice(&TRAILER);
    sink.send(out.freeze()).await.expect("the server takes the trailer");
    let rows = sink.finish().await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(rows as usize, batch.num_rows());
}

/// Inserts the same values through their texts, with their numbers from `position` on.
pub(crate) async fn expect(
    database: &Database,
    table: &str,
    targets: &[TargetColumn],
    columns: &[Column],
    position: i64,
) {
    expect_as(database, table, targets, columns, position, str::to_owned).await;
}

/// Inserts what `made` makes of values of the types of `targets`.
async fn expect_as(
    database: &Database,
    table: &str,
    targets: &[TargetColumn],
    columns: &[Column],
    position: i64,
    made: impl Fn(&str) -> String,
) {
    let rows = columns.first().map_or(0, |column| column.texts.len());
    let numbers: Vec<i64> = (position..position + rows as i64).collect();
    let names: Vec<String> = targets.iter().map(|target| target.name.to_string()).collect();
    let casts: Vec<String> = targets
        .iter()
        .map(|target| made(&format!("t.{}::{}", target.name, target.ty)))
        .collect();
    let parameters: String = (0..columns.len()).map(|at| format!(", ${}::text[]", at + 2)).collect();
    let (casts, listed) = (casts.join(", "), names.join(", "));
    let sql = format!(
        "insert into {table} ({listed}, n) select {casts}, t.n from unnest($1::int8[]{parameters}) as t(n, {listed})"
    );
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&numbers];
    values.extend(columns.iter().map(|column| &column.texts as &(dyn ToSql + Sync)));
    database
        .client()
        .execute(&sql, &values)
        .await
        .unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
}

#[tokio::test]
async fn random_batches_arrive_as_the_values_that_postgres_reads_from_text_and_are_read_back() {
    let database = Database::create().await;
    database.execute("set timezone = 'UTC'").await;
    let reader = Reader::new(&database);
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = variable("PGFLIGHT_ROUNDTRIP_SEED") {
        one_case(&database, &reader, seed).await;
        return;
    }
    let cases = variable("PGFLIGHT_ROUNDTRIP_CASES").unwrap_or(DEFAULT_CASES);
    let mut batches = 0;
    for seed in 0..cases {
        batches += one_case(&database, &reader, seed).await;
    }
    assert!(
        batches as u64 > 2 * cases,
        "{batches} batches in {cases} cases: too few to prove anything"
    );
}
