//! SqlInfo: what drivers ask first, told as it is. Pure.

use arrow::array::RecordBatch;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetSqlInfo, SqlInfo, SqlNullOrdering, SqlSupportedCaseSensitivity, SqlSupportedTransaction,
};

use super::unencodable;
use crate::config::QueryAccess;
use crate::ingest::error::{Error, RequestError};

/// Bytes of a name, columns of a table: limits of every stock Postgres.
const NAME_BYTES: i64 = 63;
const COLUMNS: i64 = 1600;
/// More than there are.
const ASKED_AT_ONCE: usize = 1000;

/// All that is told, or what the command names.
///
/// # Errors
/// Only a fault of ours.
pub(super) fn batch(mut command: CommandGetSqlInfo, access: QueryAccess) -> Result<RecordBatch, Error> {
    // Each number costs a look through all that is told, and a message has room for millions.
    command.info.sort_unstable();
    command.info.dedup();
    if command.info.len() > ASKED_AT_ONCE {
        return Err(RequestError::Malformed(format!(
            "the command asks for {} numbers of SqlInfo; ask for {ASKED_AT_ONCE} at most, or for none, which gives all",
            command.info.len()
        ))
        .into());
    }
    command.into_builder(&data(access)?).build().map_err(unencodable)
}

/// Numbers from 10000 on are not told: the JDBC driver fails on those that it does not know.
fn data(access: QueryAccess) -> Result<SqlInfoData, Error> {
    let changes = access == QueryAccess::ReadWrite;
    let mut told = SqlInfoDataBuilder::new();
    told.append(SqlInfo::FlightSqlServerName, "pgflight");
    told.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    told.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    told.append(SqlInfo::FlightSqlServerReadOnly, false);
    told.append(SqlInfo::FlightSqlServerSql, access != QueryAccess::Off);
    told.append(SqlInfo::FlightSqlServerSubstrait, false);
    told.append(
        SqlInfo::FlightSqlServerTransaction,
        SqlSupportedTransaction::None as i32,
    );
    told.append(SqlInfo::FlightSqlServerCancel, false);
    told.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    told.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    told.append(SqlInfo::SqlDdlCatalog, false);
    told.append(SqlInfo::SqlDdlSchema, changes);
    told.append(SqlInfo::SqlDdlTable, changes);
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    let unknown = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    told.append(SqlInfo::SqlIdentifierCase, lower);
    told.append(SqlInfo::SqlQuotedIdentifierCase, unknown);
    told.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    told.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    told.append(SqlInfo::SqlSearchStringEscape, "\\");
    told.append(SqlInfo::SqlSchemaTerm, "schema");
    told.append(SqlInfo::SqlProcedureTerm, "procedure");
    told.append(SqlInfo::SqlCatalogTerm, "database");
    told.append(SqlInfo::SqlCatalogAtStart, true);
    for name in [
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxTableNameLength,
    ] {
        told.append(name, NAME_BYTES);
    }
    told.append(SqlInfo::SqlMaxColumnsInTable, COLUMNS);
    told.append(SqlInfo::SqlTransactionsSupported, false);
    told.build().map_err(unencodable)
}
