//! Which extensions a database has whose types columns are created with. Runs `sql/catalog/installed.sql`.

use tokio_postgres::GenericClient;

use super::{CatalogError, ident};
use crate::model::installed::Installed;
use crate::postgres::queries;

/// Reads which of those extensions there are.
pub async fn read_installed(client: &impl GenericClient) -> Result<Installed, CatalogError> {
    let rows = client.query_typed(queries::CATALOG_INSTALLED, &[]).await?;
    let row = rows.first().ok_or_else(|| CatalogError::Shape("no row".to_owned()))?;
    let postgis: Option<String> = row.try_get(0)?;
    Ok(Installed {
        postgis: postgis.as_deref().map(ident).transpose()?,
    })
}
