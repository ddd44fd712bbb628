//! Which extensions a database has whose types columns are created with. Runs `sql/catalog/installed.sql`.

use super::{CatalogError, CatalogFault, ident};
use crate::model::installed::Installed;
use crate::postgres::pool::Ask;
use crate::postgres::queries;

/// Reads which of those extensions there are.
pub async fn read_installed(client: &impl Ask) -> Result<Installed, CatalogError> {
    let found = read_once(client).await;
    found.map_err(|fault| CatalogError::of("the extensions of the database", fault))
}

async fn read_once(client: &impl Ask) -> Result<Installed, CatalogFault> {
    let rows = client.ask(queries::CATALOG_INSTALLED, &[]).await?;
    let row = rows.first().ok_or_else(|| CatalogFault::Shape("no row".to_owned()))?;
    let postgis: Option<String> = row.try_get(0)?;
    Ok(Installed {
        postgis: postgis.as_deref().map(ident).transpose()?,
    })
}
