//! Whether a session takes writes, and if not, why: a standby may be promoted, a setting stays until somebody changes it.

use super::error::Error;
use super::pool::Ask;
use super::queries;
use crate::planner::found::ServerFacts;

/// Asks the server.
///
/// # Errors
/// [`Error::Standby`] or [`Error::ReadOnly`], or the question failed.
pub(super) async fn check(client: &impl Ask) -> Result<(), Error> {
    let asked = client.ask(queries::CATALOG_WRITABLE, &[]).await;
    let rows = asked.map_err(|error| Error::statement("asking whether Postgres takes writes", error))?;
    match rows.first() {
        Some(row) if row.get("read_only") => Err(refusal(row.get("in_recovery"), row.get("role"), row.get("database"))),
        _ => Ok(()),
    }
}

/// Judges by what was found with a table.
///
/// # Errors
/// As [`check`].
pub(super) fn check_found(server: &ServerFacts) -> Result<(), Error> {
    match server.read_only {
        true => Err(refusal(
            server.in_recovery,
            server.role.clone(),
            server.database.clone(),
        )),
        false => Ok(()),
    }
}

fn refusal(in_recovery: bool, role: String, database: String) -> Error {
    match in_recovery {
        true => Error::Standby,
        false => Error::ReadOnly { role, database },
    }
}
