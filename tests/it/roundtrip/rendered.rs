//! Every type inside a document and in a column of text: what Postgres itself makes of the same value.
//!
//! The expected side is `to_jsonb` and `::text` of the value in the column type that is created for it, with intervals as
//! ISO 8601. Of the decimals that are as short and read back as the same `real`, Postgres may print another: it reads those
//! that were loaded, and they must be the same numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::Fields;
use pgflight::codec::encode::{CopyPlan, EncodeOptions};
use pgflight::model::pg_type::PgType;
use pgflight::model::table::TargetColumn;

use super::column::{Column, Draw};
use super::kinds::{Kind, schema};
use super::{create, differing, expect_as, load, targets};
use crate::support::database::Database;

const ROWS: usize = 40;

/// The kinds that have a column type of their own, and whose value is not another within a document.
fn scalar_kinds() -> Vec<(String, Kind)> {
    // An instant keeps its offset there, and the text of another system's type is text.
    let others = ["arrow.timestamp_with_offset", "arrow.opaque", "CloudQuery inet"];
    let all = Kind::all().into_iter().map(|kind| (kind.name(), kind));
    all.filter(|(_, kind)| !matches!(kind, Kind::Document(_) | Kind::VariableTensor))
        .filter(|(name, _)| !others.iter().any(|other| name.contains(other)))
        .collect()
}

/// Whether Postgres reads the values of a kind, as `real`, before they are compared.
fn is_read_first(name: &str) -> bool {
    name.contains("float16") || name.contains("float32")
}

/// Struct of one member, `f`.
fn in_struct(column: &Column) -> Column {
    let fields = Fields::from(vec![column.named("f")]);
    let array: ArrayRef = Arc::new(StructArray::new(fields, vec![column.array.clone()], None));
    Column::new(array, column.texts.clone())
}

struct Rendered {
    kinds: Vec<(String, Kind)>,
    /// What is loaded.
    columns: Vec<Column>,
    /// The types of the values as they are.
    own: Vec<TargetColumn>,
    /// The type of all columns.
    ty: PgType,
    /// From the value, what is expected.
    made: fn(&str) -> String,
    /// From a column, what Postgres prints of the numbers that it holds.
    read: fn(&str) -> String,
}

impl Rendered {
    async fn compare(&self, database: &Database) {
        let as_target = |target: &TargetColumn| TargetColumn {
            ty: self.ty.clone(),
            ..target.clone()
        };
        let targets: Vec<TargetColumn> = self.own.iter().map(as_target).collect();
        create(database, &targets).await;
        let schema = schema(&self.columns);
        let plan = CopyPlan::new(&schema, &targets, &EncodeOptions::default());
        let plan = plan.unwrap_or_else(|error| panic!("{error}")).with_ordinal();
        let arrays = self.columns.iter().map(|column| column.array.clone()).collect();
        let batch = RecordBatch::try_new(schema, arrays).expect("columns of one length");
        load(database, "loaded", &plan, &batch, 0, 5_000).await;
        for ((name, _), target) in self.kinds.iter().zip(&targets) {
            if is_read_first(name) {
                let read = (self.read)(&target.name.to_string());
                database
                    .execute(&format!("update loaded set {} = {read}", target.name))
                    .await;
            }
        }
        expect_as(database, "expected", &self.own, &self.columns, 0, self.made).await;
        let mut wrong = Vec::new();
        for (target, (name, _)) in targets.iter().zip(&self.kinds) {
            let rows = differing(database, "loaded", "expected", target).await;
            if !rows.is_empty() {
                wrong.push(format!("{name}: {rows:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", self.ty, wrong.join("\n"));
    }
}

#[tokio::test]
async fn every_type_in_a_document_is_what_to_jsonb_makes_of_it() {
    let database = Database::create().await;
    database
        .execute("set timezone = 'UTC'; set intervalstyle = 'iso_8601'")
        .await;
    let kinds = scalar_kinds();
    let mut draw = Draw::new(5);
    let columns: Vec<Column> = kinds.iter().map(|(_, kind)| kind.make(&mut draw, ROWS)).collect();
    let rendered = Rendered {
        kinds,
        own: targets(&columns),
        columns: columns.iter().map(in_struct).collect(),
        ty: PgType::Jsonb,
        made: |value| format!("jsonb_build_object('f', to_jsonb({value}))"),
        read: |column| {
            format!(
                "case jsonb_typeof({column} -> 'f') when 'null' then {column} when 'array' then jsonb_build_object('f', array(\
                 select e::real from jsonb_array_elements_text({column} -> 'f') with ordinality as x(e, n) order by n)) \
                 else jsonb_build_object('f', ({column} ->> 'f')::real) end"
            )
        },
    };
    rendered.compare(&database).await;
}

#[tokio::test]
async fn every_type_in_a_column_of_text_is_what_postgres_prints() {
    let database = Database::create().await;
    database
        .execute("set timezone = 'UTC'; set intervalstyle = 'iso_8601'")
        .await;
    // Lists are documents there, and JSON is the text that came.
    let kinds = scalar_kinds().into_iter();
    let kinds =
        kinds.filter(|(name, kind)| !matches!(kind, Kind::List(..) | Kind::Tensor(_)) && !name.contains("json"));
    let mut draw = Draw::new(6);
    let made = kinds.map(|kind| (kind.1.make(&mut draw, ROWS), kind));
    // Bytes are no text.
    let taken = made.filter(|(column, _)| targets(std::slice::from_ref(column))[0].ty != PgType::Bytea);
    let (columns, kinds): (Vec<Column>, Vec<(String, Kind)>) = taken.unzip();
    let rendered = Rendered {
        kinds,
        own: targets(&columns),
        columns,
        ty: PgType::Text,
        made: |value| format!("({value})::text"),
        read: |column| format!("{column}::real::text"),
    };
    rendered.compare(&database).await;
}
