//! Reads in parts: how many are asked for, and which statements are such reads. How a table is cut is the destination's. Pure.

use tonic::metadata::MetadataMap;

use crate::ingest::error::RequestError;
use crate::model::ident::{Ident, TableName};

/// The option's name, behind the prefix of headers.
pub(super) const OPTION: &str = "partitions";
const HEADER: &str = "pgflight-partitions";
/// Far more than there are connections.
const MOST: u64 = 256;

/// How many parts the header asks for.
///
/// # Errors
/// A value that is no such number.
pub(super) fn of_headers(headers: &MetadataMap) -> Result<Option<u32>, RequestError> {
    let Some(header) = headers.get(HEADER) else {
        return Ok(None);
    };
    let number = header.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.and_then(within).map(Some).ok_or_else(|| refused("header"))
}

/// A number of parts.
pub(super) fn within(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|_| (1..=MOST).contains(&number))
}

pub(super) fn refused(place: &str) -> RequestError {
    RequestError::Malformed(format!(
        "{OPTION} in the {place} is not a number of parts from 1 to {MOST}"
    ))
}

/// The table that a statement reads whole: `select * from t` or `table t`, and nothing else. A name without a schema counts where the
/// search path decides what it means here as in a statement.
pub(super) fn plain_table(sql: &str, by_search_path: bool) -> Option<TableName> {
    let mut rest = sql.trim().trim_end_matches(';').trim_end();
    let first = word(&mut rest)?;
    if first.eq_ignore_ascii_case("select") {
        rest = rest.trim_start().strip_prefix('*')?;
        let from = word(&mut rest).filter(|from| from.eq_ignore_ascii_case("from"));
        from?;
    } else if !first.eq_ignore_ascii_case("table") {
        return None;
    }
    let mut names = vec![name(&mut rest)?];
    while let Some(behind) = rest.strip_prefix('.') {
        rest = behind;
        names.push(name(&mut rest)?);
    }
    if !rest.trim().is_empty() {
        return None;
    }
    let ident = |name: &String| Ident::new(name.as_str()).ok();
    match names.as_slice() {
        // Names of Postgres' own catalog come before the search path.
        [table] if by_search_path && !table.starts_with("pg_") => Some(TableName::bare(ident(table)?)),
        [schema, table] => Some(TableName::qualified(ident(schema)?, ident(table)?)),
        _ => None,
    }
}

fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (word, behind) = text.split_at_checked(end)?;
    *rest = behind;
    Some(word)
}

/// A name as Postgres reads it: folded to lower case unless it is in double quotes.
fn name(rest: &mut &str) -> Option<String> {
    let text = rest.trim_start();
    if let Some(mut quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        loop {
            let end = quoted.find('"')?;
            let (part, behind) = quoted.split_at_checked(end)?;
            name.push_str(part);
            quoted = behind.strip_prefix('"')?;
            match quoted.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    quoted = more;
                }
                None => break,
            }
        }
        *rest = quoted;
        return Some(name);
    }
    // Letters beyond ASCII are folded by the server's own rules.
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, behind) = text.split_at_checked(end)?;
    *rest = behind;
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> Option<String> {
        plain_table(sql, true).map(|table| table.quoted())
    }

    #[test]
    fn a_statement_that_reads_a_table_whole_is_known() {
        assert_eq!(read("select * from t").as_deref(), Some("\"t\""));
        assert_eq!(read(" SELECT *\nFROM S.T ; ").as_deref(), Some("\"s\".\"t\""));
        assert_eq!(read("table \"A \"\"b\"\".c\"").as_deref(), Some("\"A \"\"b\"\".c\""));
        assert_eq!(read("select*from\"t\"").as_deref(), Some("\"t\""));
        assert_eq!(read("select * from \"S\".\"t\"").as_deref(), Some("\"S\".\"t\""));
    }

    #[test]
    fn every_other_statement_is_left_to_postgres() {
        for sql in [
            "select a from t",
            "select * from t where a",
            "select * from t, u",
            "select * from t u",
            "select * from f()",
            "select * from only t",
            "select * from a.b.c",
            "select * from pg_class",
            "select * from größe",
            "select * from t --",
            "select * from \"t",
            "select * from 1",
            "selectx * from t",
            "table",
            "values (1)",
            "",
        ] {
            assert_eq!(read(sql), None, "{sql}");
        }
        assert_eq!(plain_table("table t", false), None);
        assert!(plain_table("table s.t", false).is_some());
    }

    #[test]
    fn a_number_of_parts_is_one() {
        let of = |value: &str| {
            let mut headers = MetadataMap::new();
            headers.insert(HEADER, value.parse().unwrap());
            of_headers(&headers)
        };
        assert_eq!(of("4").unwrap(), Some(4));
        for wrong in ["0", "-1", "257", "many", ""] {
            assert!(of(wrong).unwrap_err().to_string().contains("from 1 to 256"), "{wrong}");
        }
        assert_eq!(of_headers(&MetadataMap::new()).unwrap(), None);
    }
}
