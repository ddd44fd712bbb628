//! From a step to its SQL. Pure; every name arrives as an identifier. `snapshots/ddl.sql` shows all it can produce.

#[cfg(test)]
mod tests;

use super::depth::{Grant, TriggerState};
use super::partition::Partition;
use super::policy::{PartitionBy, Storage};
use super::step::{Action, NewTable, SetType};
use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;
use crate::model::table::ColumnShape;
use crate::sql::Sql;

/// The statement of a step on `table`.
pub fn render(action: &Action, table: &TableName) -> Sql {
    let alter = || Sql::new("ALTER TABLE ").table(table);
    match action {
        Action::CreateSchema(schema) => Sql::new("CREATE SCHEMA IF NOT EXISTS ").ident(schema),
        Action::CreateTable(new) => create_table(new, table),
        Action::CreatePartition(partition) => create_partition(partition, table),
        Action::AddColumn(shape) => column(alter().then(" ADD COLUMN "), shape),
        Action::DropNotNull(name) => alter().then(" ALTER COLUMN ").ident(name).then(" DROP NOT NULL"),
        Action::LockTable => Sql::new("LOCK TABLE ").table(table).then(" IN ACCESS EXCLUSIVE MODE"),
        Action::CheckConvertible { column, to } => loses_values(table, column, to),
        Action::SetType(change) => set_type(alter(), change),
        Action::AddEnumLabel { ty, label } => Sql::new("ALTER TYPE ")
            .ty(ty)
            .then(" ADD VALUE IF NOT EXISTS ")
            .literal(label),
        Action::AddPrimaryKey { name, columns } => alter()
            .then(" ADD ")
            .when(name.as_ref(), |sql, name| sql.then("CONSTRAINT ").ident(name).then(" "))
            .then("PRIMARY KEY (")
            .idents(columns)
            .then(")"),
        Action::AddUnique(column) => alter().then(" ADD UNIQUE (").ident(column).then(")"),
        Action::AddUniqueUsing(name) => alter()
            .then(" ADD CONSTRAINT ")
            .ident(name)
            .then(" UNIQUE USING INDEX ")
            .ident(name),
        Action::DropConstraint(name) => alter().then(" DROP CONSTRAINT ").ident(name),
        Action::RenameTable(to) => alter().then(" RENAME TO ").ident(to),
        Action::DropTable => Sql::new("DROP TABLE ").table(table),
        Action::CommentTable(comment) => Sql::new("COMMENT ON TABLE ").table(table).then(" IS ").literal(comment),
        Action::CommentColumn { column, comment } => Sql::new("COMMENT ON COLUMN ")
            .table(table)
            .then(".")
            .ident(column)
            .then(" IS ")
            .literal(comment),
        other => render_beside(other, table),
    }
}

/// Statements about indexes and views of the table.
fn render_beside(action: &Action, table: &TableName) -> Sql {
    match action {
        Action::CreateIndex {
            name,
            columns,
            unique,
            concurrently,
        } => Sql::new("CREATE ")
            .then(if *unique { "UNIQUE " } else { "" })
            .then("INDEX ")
            .then(if *concurrently { "CONCURRENTLY " } else { "" })
            .ident(name)
            .then(" ON ")
            .table(table)
            .then(" (")
            .idents(columns)
            .then(")"),
        Action::DropIndex { name, concurrently } => Sql::new("DROP INDEX ")
            .then(if *concurrently { "CONCURRENTLY " } else { "" })
            .then("IF EXISTS ")
            .beside(table, name),
        Action::RenameIndex { from, to } => Sql::new("ALTER INDEX ")
            .beside(table, from)
            .then(" RENAME TO ")
            .ident(to),
        Action::RecreateIndex(definition) => Sql::new("").server(definition),
        Action::DropView(view) => Sql::new("DROP VIEW ").table(view),
        Action::CreateView(view) => Sql::new("CREATE VIEW ")
            .table(&view.name)
            .when(view.options.as_ref(), |sql, options| {
                sql.then(" WITH (").server(options).then(")")
            })
            .then(" AS ")
            .server(&view.definition),
        Action::SetOwner { relation, owner } => {
            Sql::new("ALTER TABLE ").table(relation).then(" OWNER TO ").ident(owner)
        }
        Action::Grant { relation, grant } => to_role(
            Sql::new("GRANT ")
                .then(grant.privilege)
                .then(" ON TABLE ")
                .table(relation),
            grant,
        ),
        Action::CommentView { view, comment } => Sql::new("COMMENT ON VIEW ").table(view).then(" IS ").literal(comment),
        other => render_parts(other, table),
    }
}

/// Statements about partitions' indexes, triggers and columns' privileges.
fn render_parts(action: &Action, table: &TableName) -> Sql {
    match action {
        Action::CreateIndexOnly { name, columns } => Sql::new("CREATE INDEX ")
            .ident(name)
            .then(" ON ONLY ")
            .table(table)
            .then(" (")
            .idents(columns)
            .then(")"),
        Action::CreatePartIndex {
            partition,
            name,
            columns,
        } => Sql::new("CREATE INDEX CONCURRENTLY ")
            .ident(name)
            .then(" ON ")
            .table(partition)
            .then(" (")
            .idents(columns)
            .then(")"),
        Action::DropPartIndex { partition, name } => {
            Sql::new("DROP INDEX CONCURRENTLY IF EXISTS ").beside(partition, name)
        }
        Action::AttachIndex { index, partition, part } => Sql::new("ALTER INDEX ")
            .beside(table, index)
            .then(" ATTACH PARTITION ")
            .beside(partition, part),
        Action::RecreateTrigger(definition) => Sql::new("").server(definition),
        Action::SetTrigger { name, state } => Sql::new("ALTER TABLE ")
            .table(table)
            .then(match state {
                TriggerState::Always => " ENABLE ALWAYS TRIGGER ",
                TriggerState::Replica => " ENABLE REPLICA TRIGGER ",
                TriggerState::Disabled => " DISABLE TRIGGER ",
            })
            .ident(name),
        Action::GrantColumn { column, grant } => to_role(
            Sql::new("GRANT ")
                .then(grant.privilege)
                .then(" (")
                .ident(column)
                .then(") ON TABLE ")
                .table(table),
            grant,
        ),
        // `render` and `render_beside` have taken all others.
        _ => Sql::default(),
    }
}

fn to_role(sql: Sql, grant: &Grant) -> Sql {
    let sql = match &grant.role {
        Some(role) => sql.then(" TO ").ident(role),
        None => sql.then(" TO PUBLIC"),
    };
    if grant.grantable {
        sql.then(" WITH GRANT OPTION")
    } else {
        sql
    }
}

fn create_table(new: &NewTable, table: &TableName) -> Sql {
    let (shape, options) = (&new.shape, &new.options);
    let words = if options.unlogged {
        "CREATE UNLOGGED TABLE "
    } else {
        "CREATE TABLE "
    };
    let mut columns: Vec<&ColumnShape> = shape.columns.iter().collect();
    if options.align_columns {
        columns.sort_by_key(|column| alignment_rank(&column.ty));
    }
    let mut sql = Sql::new(words).table(table).then(" (").list(columns, |sql, shape| {
        let sql = sql.ident(&shape.name).then(" ").ty(&shape.ty);
        let sql = if options.toast_lz4 && can_be_long(&shape.ty) {
            sql.then(" COMPRESSION lz4")
        } else {
            sql
        };
        let sql = if shape.unique { sql.then(" UNIQUE") } else { sql };
        if shape.nullable { sql } else { sql.then(" NOT NULL") }
    });
    if !shape.primary_key.is_empty() {
        sql = sql
            .then(", ")
            .when(shape.primary_key_name.as_ref(), |sql, name| {
                sql.then("CONSTRAINT ").ident(name).then(" ")
            })
            .then("PRIMARY KEY (")
            .idents(&shape.primary_key)
            .then(")");
    }
    let partition_column = |by: &PartitionBy| shape.columns.iter().find(|column| column.name.as_str() == by.column);
    sql = sql.then(")").when(
        options.partition_by.as_ref().and_then(partition_column),
        |sql, column| sql.then(" PARTITION BY RANGE (").ident(&column.name).then(")"),
    );
    if options.partition_by.is_none() {
        // Storage parameters belong to partitions, which inherit nothing of the kind.
        sql = with_storage(sql, options.storage());
    }
    let tablespace = options.tablespace.as_deref().and_then(|name| Ident::new(name).ok());
    sql.when(tablespace, |sql, name| sql.then(" TABLESPACE ").ident(&name))
}

fn create_partition(partition: &Partition, table: &TableName) -> Sql {
    let sql = Sql::new("CREATE TABLE ")
        .beside(table, &partition.name)
        .then(" PARTITION OF ")
        .table(table);
    let sql = match &partition.range {
        Some((from, to)) => sql
            .then(" FOR VALUES FROM (")
            .literal(from)
            .then(") TO (")
            .literal(to)
            .then(")"),
        None => sql.then(" DEFAULT"),
    };
    with_storage(sql, partition.storage)
}

fn with_storage(sql: Sql, storage: Storage) -> Sql {
    let parameters = [
        ("fillfactor = ", storage.fillfactor.map(u64::from)),
        ("toast_tuple_target = ", storage.toast_tuple_target.map(u64::from)),
    ];
    let mut set = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let Some((name, value)) = set.next() else { return sql };
    let first = sql.then(" WITH (").then(name).number(value);
    set.fold(first, |sql, (name, value)| sql.then(", ").then(name).number(value))
        .then(")")
}

fn column(sql: Sql, shape: &ColumnShape) -> Sql {
    let sql = sql.ident(&shape.name).then(" ").ty(&shape.ty);
    if shape.nullable { sql } else { sql.then(" NOT NULL") }
}

fn set_type(alter: Sql, change: &SetType) -> Sql {
    let sql = alter
        .then(" ALTER COLUMN ")
        .ident(&change.column)
        .then(" SET DATA TYPE ")
        .ty(&change.to)
        .when(change.collation.as_ref(), |sql, collation| {
            sql.then(" COLLATE ")
                .ident(&collation.schema)
                .then(".")
                .ident(&collation.name)
        });
    if change.through_text {
        sql.then(" USING ")
            .ident(&change.column)
            .then("::text::")
            .ty(&change.to)
    } else {
        sql
    }
}

/// A query that is true when some value of `column` would not survive the way to `to` and back.
fn loses_values(table: &TableName, column: &Ident, to: &PgType) -> Sql {
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

/// Fixed-width types by falling alignment (`pg_type.typalign`, `typlen`), then those of varying length.
fn alignment_rank(ty: &PgType) -> u8 {
    match ty {
        PgType::Int8
        | PgType::Float8
        | PgType::Money(_)
        | PgType::Xid8
        | PgType::PgLsn
        | PgType::Time(_)
        | PgType::Timestamp(_)
        | PgType::TimestampTz(_)
        | PgType::Interval
        | PgType::LimitedInterval(_)
        | PgType::Uuid => 0,
        PgType::TimeTz(_) => 1,
        PgType::Int4 | PgType::Float4 | PgType::Date | PgType::Oid | PgType::MacAddr8 => 2,
        PgType::MacAddr | PgType::Int2 => 3,
        PgType::Bool | PgType::SingleChar => 4,
        _ => 5,
    }
}

/// Types whose values can be long enough to be compressed.
fn can_be_long(ty: &PgType) -> bool {
    matches!(
        ty,
        PgType::Text
            | PgType::Varchar(_)
            | PgType::Bytea
            | PgType::Json
            | PgType::Jsonb
            | PgType::Xml
            | PgType::Array(_)
    )
}
