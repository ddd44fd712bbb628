//! Which rows are matched by a key, and whether a table has any to match. Reads only.

use crate::ingest::request::LoadRequest;
use crate::model::options::WriteMode;
use crate::planner::VerifiedTable;
use crate::postgres::error::Error;
use crate::postgres::pool::Session;
use crate::sql::Sql;

/// Whether rows of an overwrite may go straight in. Only asked where it helps and where we may look.
pub(super) async fn is_empty(client: &Session, request: &LoadRequest, table: &VerifiedTable) -> Result<bool, Error> {
    if !matches_by_key(request.options.write_mode) || !table.rights().look {
        return Ok(false);
    }
    let sql = Sql::new("select not exists (select from ")
        .table(table.name())
        .then(")");
    let rows = client.query_typed(sql.as_str(), &[]).await;
    let doing = || format!("looking whether {} is empty", table.name());
    let rows = rows.map_err(|error| Error::statement(doing(), error).of(table.name()))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Whether rows of that mode are matched by a key.
pub(super) fn matches_by_key(mode: WriteMode) -> bool {
    matches!(mode, WriteMode::Overwrite | WriteMode::OverwriteDeleteStale)
}
