//! From a step to its SQL. Pure; every name arrives as an identifier. `tests/it/snapshots` shows all it can produce.

use super::step::{Action, NewTable};
use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;
use crate::model::table::ColumnShape;
use crate::postgres::sql::Sql;

/// The statement of a step on `table`.
pub fn render(action: &Action, table: &TableName) -> Sql {
    let alter = || Sql::new("ALTER TABLE ").table(table);
    match action {
        Action::CreateSchema(schema) => Sql::new("CREATE SCHEMA IF NOT EXISTS ").ident(schema),
        Action::CreateTable(new) => create_table(new, table),
        Action::AddColumn(shape) => column(alter().then(" ADD COLUMN "), shape),
        Action::DropNotNull(name) => alter().then(" ALTER COLUMN ").ident(name).then(" DROP NOT NULL"),
        Action::SetType { column, to, .. } => alter()
            .then(" ALTER COLUMN ")
            .ident(column)
            .then(" SET DATA TYPE ")
            .ty(to),
        Action::AddEnumLabel { ty, label } => Sql::new("ALTER TYPE ")
            .ty(ty)
            .then(" ADD VALUE IF NOT EXISTS ")
            .literal(label),
        Action::DropConstraint(name) => alter().then(" DROP CONSTRAINT ").ident(name),
        Action::CommentTable(comment) => Sql::new("COMMENT ON TABLE ").table(table).then(" IS ").literal(comment),
        Action::CommentColumn { column, comment } => Sql::new("COMMENT ON COLUMN ")
            .table(table)
            .then(".")
            .ident(column)
            .then(" IS ")
            .literal(comment),
    }
}

fn create_table(new: &NewTable, table: &TableName) -> Sql {
    let words = if new.options.unlogged {
        "CREATE UNLOGGED TABLE "
    } else {
        "CREATE TABLE "
    };
    let shape = &new.shape;
    let mut sql = Sql::new(words)
        .table(table)
        .then(" (")
        .list(&shape.columns, |sql, shape| {
            let sql = column(sql, shape);
            if shape.unique { sql.then(" UNIQUE") } else { sql }
        });
    if !shape.primary_key.is_empty() {
        sql = sql.then(", ");
        if let Some(name) = &shape.primary_key_name {
            sql = sql.then("CONSTRAINT ").ident(name).then(" ");
        }
        sql = sql.then("PRIMARY KEY (").idents(&shape.primary_key).then(")");
    }
    sql.then(")")
}

fn column(sql: Sql, shape: &ColumnShape) -> Sql {
    let sql = sql.ident(&shape.name).then(" ").ty(&shape.ty);
    // Columns of type Array have no other place to be NOT NULL than here, as all others.
    if shape.nullable { sql } else { sql.then(" NOT NULL") }
}

/// A query that is true when some value of `column` would not survive the way to `to` and back.
pub fn loses_values(table: &TableName, column: &Ident, to: &PgType) -> Sql {
    Sql::new("SELECT EXISTS (SELECT FROM ")
        .table(table)
        .then(" WHERE ")
        .ident(column)
        .then("::text::")
        .ty(to)
        .then("::text IS DISTINCT FROM ")
        .ident(column)
        .then("::text)")
}
