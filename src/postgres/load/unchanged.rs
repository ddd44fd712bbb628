//! The statement that notices that a table is not the one that was planned for. Pure text.
//!
//! COPY BINARY carries no types: eight bytes that were encoded for a `bigint` are as good a `double precision`, so a column
//! whose type somebody changes between our look at the catalog and our COPY would be filled with wrong values without an
//! error. Once rows were written, the table is locked against such changes to the end of the transaction; what the catalog
//! says then is what the rows were read by. So the look comes in the same round trip as COMMIT, before it.

use crate::model::ident::Ident;
use crate::postgres::migrate::VerifiedTable;
use crate::postgres::sql::Sql;

/// The name that Postgres then fails to find.
const MARK: &str = "pgflight: the table was changed";

/// A query that fails with 42P01 (undefined table, of the name [`is_mark`] knows) unless each column that the stream writes
/// still has the type that it was planned for, in the same relation, and the unique index `key` that rows are matched by is
/// there: rows that go straight into a table meet each other only in that index.
pub(super) fn check(table: &VerifiedTable, key: Option<&Ident>) -> String {
    let columns = table.column_types();
    if columns.is_empty() {
        return "select null".to_owned();
    }
    let count = columns.len() as u64;
    let sql = Sql::new("select case when (select pg_catalog.count(*) from (values ").list(columns, |sql, column| {
        let (name, oid, modifier) = column;
        let sql = sql.then("(").literal(name.as_str()).then(", ");
        sql.literal(&oid.to_string())
            .then(", ")
            .literal(&modifier.to_string())
            .then(")")
    });
    sql.then(") as w (name, type, modifier) join pg_catalog.pg_attribute a")
        .then(" on a.attname operator(pg_catalog.=) w.name::pg_catalog.name")
        .then(" and a.atttypid operator(pg_catalog.=) w.type::pg_catalog.oid")
        .then(" and a.atttypmod operator(pg_catalog.=) w.modifier::pg_catalog.int4")
        .then(" where not a.attisdropped and a.attrelid operator(pg_catalog.=) ")
        .literal(&table.oid().to_string())
        .then("::pg_catalog.oid) operator(pg_catalog.=) ")
        .number(count)
        .when(key, |sql, key| {
            sql.then(" and exists (select from pg_catalog.pg_index i join pg_catalog.pg_class c")
                .then(" on c.oid operator(pg_catalog.=) i.indexrelid where i.indisunique and i.indisvalid")
                .then(" and c.relname operator(pg_catalog.=) ")
                .literal(key.as_str())
                .then("::pg_catalog.name and i.indrelid operator(pg_catalog.=) ")
                .literal(&table.oid().to_string())
                .then("::pg_catalog.oid)")
        })
        .then(" then null else pg_catalog.quote_ident(")
        .literal(MARK)
        .then(")::pg_catalog.regclass end")
        .to_string()
}

/// Whether Postgres' message is about [`check`].
pub(super) fn is_mark(message: &str) -> bool {
    message.contains(MARK)
}
