//! Reads out of Postgres' words where in a COPY a row failed. Pure.

use tokio_postgres::error::DbError;

use crate::model::ident::Ident;

/// Where in a COPY a row failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlace {
    /// Tuple of the COPY statement, from 1.
    pub line: u64,
    /// Column, where it was a value and not the whole row.
    pub column: Option<String>,
}

/// Reads `COPY t, line N, column c` out of the context of an error of a COPY into `relation`.
pub fn place(db: &DbError, relation: &Ident) -> Option<CopyPlace> {
    // COPY checks the size of rows when it flushes a thousand of them; the line is then the last one that was read.
    if db.code().code() == "54000" && db.routine() == Some("RelationGetBufferForTuple") {
        return None;
    }
    parse_place(db.where_()?, relation.as_str())
}

/// Names may hold any character and are not quoted there, so the relation must be known, and the column is all that follows: COPY
/// is the outermost of the contexts and so the last.
fn parse_place(context: &str, relation: &str) -> Option<CopyPlace> {
    let head = format!("COPY {relation}, line ");
    context.match_indices(&head).find_map(|(at, _)| {
        let (before, entry) = context.split_at_checked(at)?;
        let entry = entry.strip_prefix(&head)?;
        let digits = entry.bytes().take_while(u8::is_ascii_digit).count();
        let (line, rest) = entry.split_at_checked(digits)?;
        let column = rest.strip_prefix(", column ");
        let whole = column.is_some() || rest.is_empty() || rest.starts_with('\n');
        let starts_a_line = before.is_empty() || before.ends_with('\n');
        (whole && starts_a_line).then_some(())?;
        Some(CopyPlace {
            line: line.parse().ok()?,
            column: column.map(str::to_owned),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u64, column: Option<&str>) -> Option<CopyPlace> {
        let column = column.map(str::to_owned);
        Some(CopyPlace { line, column })
    }

    #[test]
    fn the_place_of_a_bad_row_is_read_from_the_copy_context() {
        assert_eq!(parse_place("COPY t, line 7, column b", "t"), at(7, Some("b")));
        assert_eq!(parse_place("COPY t, line 9", "t"), at(9, None));
        assert_eq!(parse_place("PL/pgSQL function f() line 3 at RAISE", "t"), None);
        assert_eq!(parse_place("SQL statement x\nCOPY t, line 4", "t"), at(4, None));
    }

    #[test]
    fn names_may_look_like_the_context_itself() {
        let odd = "COPY a, line 3, line 12, column x, column y";
        assert_eq!(parse_place(odd, "a, line 3"), at(12, Some("x, column y")));
        let odd = "JSON data, line 1: x\nCOPY t, line 1, column doc, line 9";
        assert_eq!(parse_place(odd, "t"), at(1, Some("doc, line 9")));
        let odd = "COPY t, line 1, column a\nCOPY t, line 9:";
        assert_eq!(parse_place(odd, "t"), at(1, Some("a\nCOPY t, line 9:")));
        let odd = "COPY a, line 5, column b, line 2";
        assert_eq!(parse_place(odd, "a, line 5, column b"), at(2, None));
    }
}
