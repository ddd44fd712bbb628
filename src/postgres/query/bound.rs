//! Statements that run as a role of the database: the transaction takes the role on before the statement is even parsed.
//!
//! The statement cannot put the role off. It is one of the kinds below, which set nothing; a transaction's role is only set
//! by SET and by the function `set_config`; and a role that may call that function is not taken on.

use super::transaction::run;
use crate::model::ident::Ident;
use crate::postgres::error::Error;
use crate::postgres::pool::Connection;

/// Words that a statement may begin with.
const KINDS: [&str; 8] = [
    "select", "with", "values", "table", "insert", "update", "delete", "merge",
];

/// Whether the role, once taken on, could be put off by a function.
const CAN_LEAVE: &str =
    "select pg_catalog.has_function_privilege('pg_catalog.set_config(text, text, boolean)', 'execute')";

/// Begins a transaction as a role, for one statement.
///
/// # Errors
/// A statement that could set something, a role that is not ours to take on, or one that could leave itself.
pub(super) async fn begin_as(connection: &Connection, begin: &str, role: &Ident, sql: &str) -> Result<(), Error> {
    let unbound = |why| Error::Unbound {
        role: role.as_str().to_owned(),
        why,
    };
    if !is_plain(sql) {
        return Err(unbound(
            "only statements that begin with SELECT, WITH, VALUES, TABLE, INSERT, UPDATE, DELETE or MERGE run as a role",
        ));
    }
    run(connection, &format!("{begin}; set local role {}", role.quoted())).await?;
    let asked = connection.client().query_typed(CAN_LEAVE, &[]).await;
    let asked = asked.map_err(|source| Error::Query { source })?;
    match asked.first().is_some_and(|row| !row.get::<_, bool>(0)) {
        true => Ok(()),
        false => Err(unbound(
            "that role may call pg_catalog.set_config, by which a statement leaves its role; revoke execute on function pg_catalog.set_config(text, text, boolean) from public in this database, and grant it to the roles that need it, this server's own among them",
        )),
    }
}

fn is_plain(sql: &str) -> bool {
    let sql = sql.trim_start();
    let word: String = sql.chars().take_while(char::is_ascii_alphabetic).collect();
    KINDS.iter().any(|kind| word.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_could_set_something_are_told_from_others() {
        for sql in ["select 1", " WITH x as (select 1) table x", "Insert into t values (1)"] {
            assert!(is_plain(sql), "{sql}");
        }
        for sql in [
            "set role none",
            "do $$ $$",
            "call p()",
            "/* */ reset role",
            "selection",
            "explain select 1",
            "",
        ] {
            assert!(!is_plain(sql), "{sql}");
        }
    }
}
