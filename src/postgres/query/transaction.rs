//! How a statement's transaction begins, what is said in it, and a query as a COPY.

use crate::config::QueryAccess;
use crate::postgres::error::Error;
use crate::postgres::pool::Connection;

/// What may follow in a COPY: words that begin a query.
const QUERIES: [&str; 4] = ["select", "with", "values", "table"];

/// How a statement begins that gives rows.
pub(super) fn begin_for(connection: &Connection, access: QueryAccess) -> String {
    match access {
        QueryAccess::ReadWrite => begin(connection),
        QueryAccess::Off | QueryAccess::ReadOnly => format!(
            "begin isolation level repeatable read, read only; {}",
            connection.tenure().values()
        ),
    }
}

pub(super) fn begin(connection: &Connection) -> String {
    format!("begin; {}", connection.tenure().settings())
}

pub(super) async fn run(connection: &Connection, sql: &str) -> Result<(), Error> {
    let done = connection.client().batch_execute(sql).await;
    done.map_err(|source| Error::Query { source })
}

/// The statement as a COPY; `None` where it is not plainly a query.
pub(super) fn copied(sql: &str) -> Option<String> {
    let query = sql.trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let word: String = query.chars().take_while(char::is_ascii_alphabetic).collect();
    let plain = QUERIES.iter().any(|known| word.eq_ignore_ascii_case(known)) && !query.contains(';');
    // Postgres has parsed it as one statement, so no bracket of it closes ours; a comment at its end does not either.
    plain.then(|| format!("copy (\n{query}\n) to stdout (format binary)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plainly_a_query_is_copied_and_nothing_else() {
        for query in [
            "select 1",
            " SELECT 1 ;\n",
            "with x as (select 1) table x",
            "values (1)",
            "select 1 -- one",
        ] {
            let copy = copied(query).unwrap_or_else(|| panic!("{query}"));
            assert!(
                copy.starts_with("copy (\n") && copy.ends_with("\n) to stdout (format binary)"),
                "{copy}"
            );
        }
        for other in [
            "show work_mem",
            "explain select 1",
            "insert into t values (1) returning 1",
            "",
            "select ';'",
            "selection",
        ] {
            assert_eq!(copied(other), None, "{other}");
        }
    }
}
