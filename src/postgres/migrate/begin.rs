//! Opens the transactions of migrations. Nothing is done in them here.

use tokio_postgres::{Client, Transaction};

use super::error::MigrateError;
use super::request::MigrateRequest;
use crate::model::ident::TableName;

/// A transaction with the settings that the request asks for.
pub(super) async fn begin<'a>(
    client: &'a mut Client,
    request: &MigrateRequest<'_>,
    name: &TableName,
) -> Result<Transaction<'a>, MigrateError> {
    let start = |source| MigrateError::step(name, "starting its migration", source);
    let tx = client.transaction().await.map_err(start)?;
    if !request.session.is_empty() {
        tx.batch_execute(request.session).await.map_err(start)?;
    }
    Ok(tx)
}
