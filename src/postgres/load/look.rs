//! What a load has to know of the database before it is planned. Reads only.

use arrow::datatypes::Schema;

use super::destination::{PgDestination, matches_by_key};
use super::wish::depends_on_installed;
use crate::ingest::request::LoadRequest;
use crate::model::ident::TableName;
use crate::model::installed::Installed;
use crate::model::options::TypeProfile;
use crate::planner::VerifiedTable;
use crate::planner::found::Found;
use crate::postgres::catalog::{read_installed, read_table};
use crate::postgres::error::Error;
use crate::postgres::pool::Session;
use crate::sql::Sql;

impl PgDestination {
    /// A table by its name.
    pub(super) async fn found(&self, client: &Session, table: &TableName) -> Result<Found, Error> {
        Ok(read_table(client, table, self.default_schema.as_ref()).await?)
    }

    /// What the database has beyond a bare server, asked only where a column's type may depend on it.
    pub(super) async fn installed(&self, schema: &Schema, profile: TypeProfile) -> Result<Installed, Error> {
        if !depends_on_installed(schema, profile) {
            return Ok(Installed::default());
        }
        let mut connection = self.connections.get().await?;
        Ok(read_installed(&*connection.scope().await?).await?)
    }
}

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
