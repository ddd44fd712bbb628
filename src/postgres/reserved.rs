//! Schemas that are not the clients': where pgflight keeps what it knows about streams, and what Postgres keeps about tables.
//! Neither written nor read through a door. Pure.

use super::error::Error;
use crate::model::ident::Ident;

/// What somebody wants of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Rows, columns or the table itself change.
    Change,
    /// Rows or columns are read.
    Read,
}

/// Refuses a table of such a schema.
///
/// # Errors
/// [`Error::Reserved`].
pub(crate) fn check(schema: &Ident, state_schema: &Ident, wanted: Use) -> Result<(), Error> {
    let owner = match schema.as_str() {
        _ if schema == state_schema => "where pgflight keeps its own tables (state_schema)",
        name if name == "pg_temp" || name.starts_with("pg_temp_") => {
            "of temporary tables, which belong to one session and vanish with it"
        }
        // Postgres refuses to create others with this beginning.
        name if name == "information_schema" || name.starts_with("pg_") => "Postgres' own",
        _ => return Ok(()),
    };
    let refusal = match wanted {
        Use::Change => "no stream may change it; choose another schema for the table",
        Use::Read => "it is not read here; name a table of another schema, or ask Postgres itself",
    };
    Err(Error::Reserved {
        schema: schema.as_str().to_owned(),
        owner,
        refusal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_of_postgres_and_of_pgflight_are_reserved_and_others_are_not() {
        let ident = |name: &str| Ident::new(name).unwrap();
        let state = ident("state");
        for (name, whose) in [
            ("state", "state_schema"),
            ("pg_catalog", "Postgres' own"),
            ("pg_toast_temp_3", "Postgres' own"),
            ("information_schema", "Postgres' own"),
            ("pg_temp", "one session"),
            ("pg_temp_12", "one session"),
        ] {
            for (wanted, says) in [(Use::Change, "choose another schema"), (Use::Read, "not read here")] {
                let text = check(&ident(name), &state, wanted).unwrap_err().to_string();
                assert!(text.contains(whose) && text.contains(says), "{text}");
            }
        }
        for name in ["public", "pgflight", "PG_CATALOG", "pgtemp"] {
            assert!(check(&ident(name), &state, Use::Read).is_ok(), "{name}");
        }
    }
}
