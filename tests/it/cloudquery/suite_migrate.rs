//! The SDK suite's migrations: write ten rows in one shape, migrate, write ten in the other, and count.
//!
//! A case that a destination declares safe must keep all twenty rows without `migrate_force`; one that it does not declare
//! must recreate the table when forced, which leaves ten.

use arrow::datatypes::{DataType, Field, SchemaRef};
use tonic::Code;

use super::client::{Cq, insert, key, migrate_with, schema, unique};
use super::generator::{self, extended, rows};
use super::start;
use super::suite::read_sorted;

struct Case {
    name: &'static str,
    from: Vec<Field>,
    to: Vec<Field>,
    /// Whether it is declared safe.
    safe: bool,
}

fn id() -> Field {
    Field::new("id", DataType::Int64, false)
}

fn uuid(name: &str, nullable: bool) -> Field {
    extended(Field::new(name, DataType::FixedSizeBinary(16), nullable), "uuid")
}

fn flag(nullable: bool) -> Field {
    Field::new("bool", DataType::Boolean, nullable)
}

fn cases() -> Vec<Case> {
    let case = |name, from, to, safe| Case { name, from, to, safe };
    vec![
        case(
            "add_column",
            vec![id(), uuid("uuid", true)],
            vec![id(), uuid("uuid", true), flag(true)],
            true,
        ),
        case(
            "add_column_not_null",
            vec![id(), uuid("uuid", true)],
            vec![id(), uuid("uuid", true), flag(false)],
            false,
        ),
        case(
            "remove_column",
            vec![id(), uuid("uuid", true), flag(true)],
            vec![id(), uuid("uuid", true)],
            true,
        ),
        case(
            "remove_column_not_null",
            vec![id(), uuid("uuid", true), flag(false)],
            vec![id(), uuid("uuid", true)],
            true,
        ),
        case(
            "change_column",
            vec![id(), flag(false)],
            vec![id(), Field::new("bool", DataType::Utf8, false)],
            false,
        ),
        case(
            "remove_unique_constraint_only",
            vec![id(), unique(uuid("_cq_id", false)), flag(false)],
            vec![id(), uuid("_cq_id", false), flag(false)],
            true,
        ),
        case(
            "move_to_cq_id_only",
            vec![key(id()), unique(uuid("_cq_id", false)), flag(false)],
            vec![id(), key(unique(uuid("_cq_id", false))), flag(false)],
            true,
        ),
        case(
            "move_to_cq_id_only_adding_pkc",
            vec![key(id()), unique(uuid("_cq_id", false)), flag(false)],
            vec![component(id()), key(unique(uuid("_cq_id", false))), flag(false)],
            true,
        ),
    ]
}

/// A column that `_cq_id` is made from.
fn component(field: Field) -> Field {
    let mut metadata: std::collections::HashMap<String, String> = field
        .metadata()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    metadata.insert("cq:extension:primary_key_component".to_owned(), "true".to_owned());
    field.with_metadata(metadata)
}

async fn write_both(cq: &mut Cq, from: &SchemaRef, to: &SchemaRef, force: bool) -> Result<usize, tonic::Status> {
    cq.put(vec![migrate_with(from, force)]).await;
    cq.put(vec![insert(&rows(from, 0..10, false))]).await;
    cq.write(vec![migrate_with(to, force)]).await?;
    cq.put(vec![insert(&rows(to, 10..20, false))]).await;
    Ok(read_sorted(cq, to).await.num_rows())
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_declared_safe_keep_every_row_and_are_done_once() {
    let (_database, _server, mut cq) = start().await;
    for case in cases().into_iter().filter(|case| case.safe) {
        let name = format!("cq_{}_safe", case.name);
        let (from, to) = (schema(&name, case.from), schema(&name, case.to));
        let kept = write_both(&mut cq, &from, &to, false).await;
        assert_eq!(kept.unwrap_or_else(|status| panic!("{name}: {status:?}")), 20, "{name}");
        // The same again is no change.
        cq.put(vec![migrate_with(&to, false)]).await;
        cq.put(vec![insert(&rows(&to, 20..30, false))]).await;
        assert_eq!(read_sorted(&mut cq, &to).await.num_rows(), 30, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_migrations_are_refused_with_their_reason_and_change_nothing() {
    let (_database, _server, mut cq) = start().await;
    for case in cases().into_iter().filter(|case| !case.safe) {
        let name = format!("cq_{}_refused", case.name);
        let (from, to) = (schema(&name, case.from), schema(&name, case.to));
        let status = write_both(&mut cq, &from, &to, false).await.expect_err(&name);
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
        assert!(
            status.message().contains(&name) && status.message().contains("bool"),
            "{}",
            status.message()
        );
        assert_eq!(read_sorted(&mut cq, &from).await.num_rows(), 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_migrations_keep_rows_where_declared_and_recreate_the_table_elsewhere() {
    let (_database, _server, mut cq) = start().await;
    for case in cases() {
        let name = format!("cq_{}_force", case.name);
        let (from, to) = (schema(&name, case.from), schema(&name, case.to));
        let rows = write_both(&mut cq, &from, &to, true).await;
        let rows = rows.unwrap_or_else(|status| panic!("{name}: {status:?}"));
        assert_eq!(rows, if case.safe { 20 } else { 10 }, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn double_migration_of_every_type_changes_nothing() {
    let (database, _server, mut cq) = start().await;
    for force in [false, true] {
        let name = format!("cq_double_migration_{force}");
        let schema = generator::test_table(&name);
        let count = write_both(&mut cq, &schema, &schema, force).await.unwrap();
        assert_eq!(count, 20);
        // A recreated or rewritten table would have another file.
        let file = format!("select relfilenode from pg_class where relname = '{name}'");
        let before = database.value(&file).await;
        cq.put(vec![migrate_with(&schema, force)]).await;
        assert_eq!(database.value(&file).await, before);
    }
}
