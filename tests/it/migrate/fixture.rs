//! Shapes and requests in few words.

use pgflight::model::by_name::ByName;
use pgflight::model::ident::{Ident, TableName};
use pgflight::model::migration::MigrationReport;
use pgflight::model::options::{MigrateMode, TypeProfile};
use pgflight::model::pg_type::PgType;
use pgflight::model::table::{ColumnShape, TableShape};
use pgflight::planner::policy::Policy;
use pgflight::planner::{LockWaits, VerifiedTable};
use pgflight::postgres::migrate::{MigrateError, MigrateRequest, ensure};
use tokio_postgres::Client;

use crate::support::database::Database;

pub(super) fn ident(name: &str) -> Ident {
    Ident::new(name).expect("a name that Postgres takes")
}

pub(super) fn table(name: &str) -> TableName {
    match name.split_once('.') {
        Some((schema, name)) => TableName::qualified(ident(schema), ident(name)),
        None => TableName::bare(ident(name)),
    }
}

pub(super) fn column(name: &str, ty: PgType) -> ColumnShape {
    ColumnShape {
        name: ident(name),
        ty,
        nullable: true,
        unique: false,
        comment: None,
    }
}

pub(super) fn not_null(name: &str, ty: PgType) -> ColumnShape {
    ColumnShape {
        nullable: false,
        ..column(name, ty)
    }
}

pub(super) fn shape(columns: Vec<ColumnShape>) -> TableShape {
    TableShape {
        columns,
        primary_key: Vec::new(),
        primary_key_name: None,
        comment: None,
        by_name: ByName::default(),
    }
}

pub(super) fn keyed(columns: Vec<ColumnShape>, key: &[&str]) -> TableShape {
    TableShape {
        primary_key: key.iter().map(|name| ident(name)).collect(),
        ..shape(columns)
    }
}

pub(super) fn safe() -> Policy {
    Policy::default()
}

pub(super) fn mode(mode: MigrateMode) -> Policy {
    Policy {
        mode,
        ..Policy::default()
    }
}

pub(super) fn cloudquery(mode: MigrateMode) -> Policy {
    Policy {
        mode,
        profile: TypeProfile::Cloudquery,
        needs_key: true,
        ..Policy::default()
    }
}

pub(super) fn request<'a>(name: &'a TableName, wanted: &'a TableShape, policy: &'a Policy) -> MigrateRequest<'a> {
    MigrateRequest {
        name,
        default_schema: None,
        wanted,
        policy,
        accepts: None,
        waits: LockWaits::default(),
        session: "",
    }
}

pub(super) type Done = Result<(VerifiedTable, MigrationReport), MigrateError>;

pub(super) async fn migrate(client: &mut Client, name: &str, wanted: &TableShape, policy: &Policy) -> Done {
    ensure(client, &request(&table(name), wanted, policy)).await
}

/// The statements of a report.
pub(super) fn statements(report: &MigrationReport) -> Vec<&str> {
    report.steps.iter().map(|step| step.sql.as_str()).collect()
}

const COLUMNS: &str = "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute
    where attrelid = $$%$$::regclass and attnum > 0 and not attisdropped order by attnum";

/// Columns of a table as `name|type|not null`.
pub(super) async fn columns(database: &Database, name: &str) -> Vec<String> {
    database.lines(&COLUMNS.replace('%', name)).await
}
