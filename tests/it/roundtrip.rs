//! Random schemas and batches through the encoder into real Postgres, compared there with the same values sent as text.
//!
//! The expected side never touches the encoder: each value is written as text here and cast by Postgres. One seed makes
//! one schema with its batches; a failure prints it. `PGFLIGHT_ROUNDTRIP_SEED` replays a seed,
//! `PGFLIGHT_ROUNDTRIP_CASES` grows the budget.

mod decimals;
mod documents;

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use pgflight::model::ident::Ident;
use pgflight::model::options::TypeProfile;
use pgflight::model::table::TargetColumn;
use pgflight::model::type_map::default_type;
use pgflight::postgres::copy::{CopyPlan, EncodeOptions, HEADER, TRAILER};
use tokio_postgres::types::ToSql;

use self::decimals::decimals;
use self::documents::{Documents, Shape};
use crate::support::database::Database;

const DEFAULT_CASES: u64 = 12;
const BATCHES: usize = 3;

/// Values of one column, as Arrow and as the text that Postgres casts.
struct Column {
    array: ArrayRef,
    texts: Vec<Option<String>>,
}

impl Column {
    /// `rows` of the rows behind the first.
    fn middle(self, rows: usize) -> Self {
        Self {
            array: self.array.slice(1, rows),
            texts: self.texts.into_iter().skip(1).take(rows).collect(),
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    random: &mut fastrand::Rng,
    rows: usize,
    mut value: impl FnMut(&mut fastrand::Rng) -> (T::Native, String),
) -> Column {
    let values: Vec<Option<(T::Native, String)>> =
        (0..rows).map(|_| (random.u8(..) > 50).then(|| value(random))).collect();
    let array = PrimitiveArray::<T>::from_iter(values.iter().map(|value| value.as_ref().map(|(native, _)| *native)));
    Column {
        array: Arc::new(array),
        texts: values.into_iter().map(|value| value.map(|(_, text)| text)).collect(),
    }
}

/// An integer of any size, small ones as likely as large ones.
fn sized(random: &mut fastrand::Rng, bits: u32) -> i64 {
    let kept = random.u32(1..=bits);
    random.i64(..) >> (64 - kept)
}

fn text(random: &mut fastrand::Rng) -> String {
    let length = random.usize(..20);
    (0..length)
        .map(|_| {
            if random.bool() {
                random.alphanumeric()
            } else {
                random.char('\u{1}'..='\u{2fff}')
            }
        })
        .collect()
}

/// Flat kinds; a number from here on is the seed of a nested type.
const KINDS: usize = 22;

#[expect(clippy::too_many_lines, reason = "a list, a few lines per type")]
fn column(random: &mut fastrand::Rng, kind: usize, rows: usize) -> Column {
    use arrow::datatypes as ty;
    match kind {
        0 => primitive::<ty::Int8Type>(random, rows, |r| {
            let v = r.i8(..);
            (v, v.to_string())
        }),
        1 => primitive::<ty::Int16Type>(random, rows, |r| {
            let v = r.i16(..);
            (v, v.to_string())
        }),
        2 => primitive::<ty::Int32Type>(random, rows, |r| {
            let v = sized(r, 32) as i32;
            (v, v.to_string())
        }),
        3 => primitive::<ty::Int64Type>(random, rows, |r| {
            let v = sized(r, 64);
            (v, v.to_string())
        }),
        4 => primitive::<ty::UInt32Type>(random, rows, |r| {
            let v = r.u32(..);
            (v, v.to_string())
        }),
        5 => primitive::<ty::UInt64Type>(random, rows, |r| {
            let v = sized(r, 64) as u64;
            (v, v.to_string())
        }),
        6 => primitive::<ty::Float32Type>(random, rows, |r| {
            let v = f32::from_bits(r.u32(..));
            (v, format!("{v:?}"))
        }),
        7 => primitive::<ty::Float64Type>(random, rows, |r| {
            let v = f64::from_bits(r.u64(..));
            (v, format!("{v:?}"))
        }),
        8 => decimals(random, rows, DataType::Decimal128(38, 9), 62),
        9 => decimals(random, rows, DataType::Decimal256(76, 37), 200),
        10 => decimals(random, rows, DataType::Decimal64(18, 2), 55),
        11 => primitive::<ty::Date32Type>(random, rows, |r| {
            let days = r.i32(-719_162..2_900_000);
            (days, format!("epoch {days}"))
        }),
        12 => primitive::<ty::Time64MicrosecondType>(random, rows, |r| {
            let v = r.i64(0..86_400_000_000);
            (
                v,
                format!(
                    "{:02}:{:02}:{:02}.{:06}",
                    v / 3_600_000_000,
                    v / 60_000_000 % 60,
                    v / 1_000_000 % 60,
                    v % 1_000_000
                ),
            )
        }),
        13 | 14 => instants(random, rows, kind == 14),
        15 => primitive::<ty::DurationMillisecondType>(random, rows, |r| {
            let v = sized(r, 50);
            (v, format!("{v} milliseconds"))
        }),
        16 => primitive::<ty::IntervalMonthDayNanoType>(random, rows, |r| {
            let (months, days, micros) = (sized(r, 20) as i32, sized(r, 20) as i32, sized(r, 48));
            (
                ty::IntervalMonthDayNano::new(months, days, micros * 1_000),
                format!("{months} months {days} days {micros} microseconds"),
            )
        }),
        17 => strings(random, rows, DataType::Utf8),
        18 => strings(random, rows, DataType::Utf8View),
        19 => strings(
            random,
            rows,
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::LargeUtf8)),
        ),
        20 => binaries(random, rows),
        21 => lists(random, rows),
        nested => {
            let Documents { array, texts } = Shape::of(nested as u64).make(random, rows);
            Column { array, texts }
        }
    }
}

fn instants(random: &mut fastrand::Rng, rows: usize, zoned: bool) -> Column {
    let column = primitive::<arrow::datatypes::TimestampMicrosecondType>(random, rows, |r| {
        let v = r.i64(-60_000_000_000_000_000..250_000_000_000_000_000);
        (v, format!("epoch {v}"))
    });
    let zone: Option<Arc<str>> = zoned.then(|| Arc::from("UTC"));
    let instants = column
        .array
        .as_primitive::<arrow::datatypes::TimestampMicrosecondType>()
        .clone();
    let array: ArrayRef = Arc::new(instants.with_timezone_opt(zone));
    Column {
        array,
        texts: column.texts,
    }
}

fn strings(random: &mut fastrand::Rng, rows: usize, layout: DataType) -> Column {
    let texts: Vec<Option<String>> = (0..rows).map(|_| (random.u8(..) > 50).then(|| text(random))).collect();
    let array = cast(&StringArray::from(texts.clone()), &layout).expect("text has every layout");
    Column { array, texts }
}

fn binaries(random: &mut fastrand::Rng, rows: usize) -> Column {
    let values: Vec<Option<Vec<u8>>> = (0..rows)
        .map(|_| (random.u8(..) > 50).then(|| (0..random.usize(..20)).map(|_| random.u8(..)).collect()))
        .collect();
    let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let texts = values
        .iter()
        .map(|value| value.as_ref().map(|bytes| format!("\\x{}", hex(bytes))))
        .collect();
    Column {
        array: Arc::new(BinaryArray::from_iter(values)),
        texts,
    }
}

fn lists(random: &mut fastrand::Rng, rows: usize) -> Column {
    let values: Vec<Option<Vec<Option<i64>>>> = (0..rows)
        .map(|_| {
            let elements = random.usize(..5);
            (random.u8(..) > 50).then(|| {
                (0..elements)
                    .map(|_| random.bool().then(|| sized(random, 64)))
                    .collect()
            })
        })
        .collect();
    let element = |value: &Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
    let text = |list: &Vec<Option<i64>>| format!("{{{}}}", list.iter().map(element).collect::<Vec<_>>().join(","));
    let texts = values.iter().map(|value| value.as_ref().map(text)).collect();
    let array = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(values);
    Column {
        array: Arc::new(array),
        texts,
    }
}

/// SQL that makes a value of type `ty` from the text `name`; days and instants arrive as counts since 1970.
fn cast_sql(name: &str, ty: &str) -> String {
    let count = format!("substr({name}, 7)::int8");
    // Postgres multiplies intervals in double precision, which holds these two products exactly.
    let since = format!("({count} / 1000000) * interval '1 second' + ({count} % 1000000) * interval '1 microsecond'");
    match ty {
        "date" => format!("date '1970-01-01' + {count}::int"),
        "timestamp" => format!("timestamp '1970-01-01' + {since}"),
        "timestamp with time zone" => format!("timestamptz '1970-01-01 00:00+00' + {since}"),
        _ => format!("{name}::{ty}"),
    }
}

async fn one_case(database: &Database, seed: u64) {
    println!("to run this again set PGFLIGHT_ROUNDTRIP_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let kind = |random: &mut fastrand::Rng| match random.u8(..4) {
        0 => random.usize(KINDS..1 << 40),
        _ => random.usize(..KINDS),
    };
    let kinds: Vec<usize> = (0..random.usize(1..=8)).map(|_| kind(&mut random)).collect();
    let samples: Vec<ArrayRef> = kinds.iter().map(|kind| column(&mut random, *kind, 1).array).collect();
    let fields: Vec<FieldRef> = samples
        .iter()
        .enumerate()
        .map(|(at, sample)| Arc::new(Field::new(format!("c{at}"), sample.data_type().clone(), true)))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let targets: Vec<TargetColumn> = schema
        .fields()
        .iter()
        .map(|field| TargetColumn {
            name: Ident::new(field.name().as_str()).expect("a short name"),
            ty: default_type(field, TypeProfile::Native).expect("every kind has a default"),
            nullable: true,
        })
        .collect();
    let ddl = targets
        .iter()
        .map(|column| format!("{} {}, ", column.name, column.ty))
        .collect::<String>();
    database.execute("drop table if exists loaded, expected").await;
    database
        .execute(&format!(
            "create table loaded ({ddl} n int8); create table expected (like loaded)"
        ))
        .await;
    let plan = CopyPlan::new(&schema, &targets, &EncodeOptions::default())
        .expect("defaults can be encoded")
        .with_ordinal();
    let mut position = 0i64;
    for _ in 0..BATCHES {
        let rows = random.usize(..200);
        // Rows before and after that a slice hides must not show.
        let around = kinds.iter().map(|kind| column(&mut random, *kind, rows + 2));
        let columns: Vec<Column> = around.map(|column| column.middle(rows)).collect();
        let arrays: Vec<ArrayRef> = columns.iter().map(|column| column.array.clone()).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays).expect("the schema fits");
        load(database, &plan, &batch, position, random.usize(1..5_000)).await;
        expect(database, &targets, &columns, position, rows).await;
        position += rows as i64;
    }
    compare(database, &targets, position, seed).await;
}

/// Fails where a row of `loaded` is not that of `expected`.
async fn compare(database: &Database, targets: &[TargetColumn], position: i64, seed: u64) {
    let counts = database
        .value("select (select count(*) from loaded) || ' ' || (select count(*) from expected)")
        .await;
    assert_eq!(counts, format!("{position} {position}"), "seed {seed}");
    for target in targets {
        let name = &target.name;
        // Equality of intervals takes a month for 30 days, so types compare as text as well.
        let sql = format!(
            "select n from loaded join expected using (n) \
             where loaded.{name} is distinct from expected.{name} or loaded.{name}::text is distinct from expected.{name}::text limit 3"
        );
        let differing = database.lines(&sql).await;
        assert!(
            differing.is_empty(),
            "seed {seed}: column {name} {} differs at rows {differing:?}",
            target.ty
        );
    }
}

/// Loads a batch by binary COPY, with calls of about `step` bytes.
async fn load(database: &Database, plan: &CopyPlan, batch: &RecordBatch, position: i64, step: usize) {
    let sink = database
        .client()
        .copy_in::<_, Bytes>("copy loaded from stdin (format binary)")
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

/// Inserts the same values through their texts.
async fn expect(database: &Database, targets: &[TargetColumn], columns: &[Column], position: i64, rows: usize) {
    let numbers: Vec<i64> = (position..position + rows as i64).collect();
    let names: Vec<String> = targets.iter().map(|target| target.name.to_string()).collect();
    let casts: Vec<String> = targets
        .iter()
        .map(|target| cast_sql(&format!("t.{}", target.name), &target.ty.to_string()))
        .collect();
    let parameters: String = (0..columns.len()).map(|at| format!(", ${}::text[]", at + 2)).collect();
    let sql = format!(
        "insert into expected select {}, t.n from unnest($1::int8[]{parameters}) as t(n, {})",
        casts.join(", "),
        names.join(", ")
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
async fn random_batches_arrive_as_the_values_that_postgres_reads_from_text() {
    let database = Database::create().await;
    database.execute("set timezone = 'UTC'").await;
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = variable("PGFLIGHT_ROUNDTRIP_SEED") {
        return one_case(&database, seed).await;
    }
    for seed in 0..variable("PGFLIGHT_ROUNDTRIP_CASES").unwrap_or(DEFAULT_CASES) {
        one_case(&database, seed).await;
    }
}
