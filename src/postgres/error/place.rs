//! Reads out of Postgres' words where in a COPY a row failed. Pure.

use tokio_postgres::error::DbError;

/// Where in a COPY a row failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlace {
    /// Tuple of the COPY statement, from 1.
    pub line: u64,
    /// Column, where it was a value and not the whole row.
    pub column: Option<String>,
}

/// Reads `COPY t, line N, column c` out of an error's context.
pub fn place(db: &DbError) -> Option<CopyPlace> {
    // COPY checks the size of rows when it flushes a thousand of them; the line is then the last one that was read.
    if db.code().code() == "54000" && db.routine() == Some("RelationGetBufferForTuple") {
        return None;
    }
    parse_place(db.where_()?)
}

fn parse_place(context: &str) -> Option<CopyPlace> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let (_, rest) = line.rsplit_once(", line ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let column = rest
        .split_once(", column ")
        .map(|(_, column)| column.trim_end_matches(':').to_owned());
    Some(CopyPlace {
        line: digits.parse().ok()?,
        column,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_bad_row_is_read_from_the_copy_context() {
        let place = parse_place("COPY t, line 7, column b").unwrap();
        assert_eq!((place.line, place.column.as_deref()), (7, Some("b")));
        let odd = parse_place("COPY a, line 3, line 12, column x, column y").unwrap();
        assert_eq!(odd.line, 12, "a table name may look like the context itself");
        assert_eq!(
            parse_place("COPY t, line 9").unwrap(),
            CopyPlace { line: 9, column: None }
        );
        assert_eq!(parse_place("PL/pgSQL function f() line 3 at RAISE"), None);
        assert_eq!(parse_place("SQL statement x\nCOPY t, line 4").unwrap().line, 4);
    }
}
