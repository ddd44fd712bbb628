//! What a load has to know of the database before it is planned. Reads only.

use arrow::datatypes::Schema;

use super::destination::PgDestination;
use super::wish::depends_on_installed;
use crate::model::ident::TableName;
use crate::model::installed::Installed;
use crate::model::options::TypeProfile;
use crate::planner::found::Found;
use crate::postgres::catalog::{read_installed, read_table};
use crate::postgres::error::Error;
use crate::postgres::pool::Session;

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
