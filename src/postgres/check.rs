//! `pgflight check`: connects like the server does and reports what it found; changes nothing.
//!
//! What makes loads impossible is a problem, with the remedy; what may surprise is a note. Passwords are never shown.

mod ours;
mod report;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::connect::{ConnectError, ConnectPlan, Connected, Connector};
use super::error::driver;
use super::queries;
use super::scope::{Tenure, is_direct};
use super::session::SessionSettings;
use crate::config::{Config, Pooler, Source};

use ours::Ours;
pub use report::{CheckReport, PoolerFound};

/// Older servers are not tested against.
const OLDEST_TESTED: i32 = 140_000;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server's answers could not be read.
    #[error("the server at {address} did not answer the check's questions: {reason}")]
    Query {
        /// `host:port`, or the socket's path.
        address: String,
        /// What the server or the driver said.
        reason: String,
    },
}

/// Connects as the configuration says and looks around.
///
/// # Errors
/// [`CheckError`] when there is nothing to report; a usable connection with problems is a report.
pub async fn check(config: &Config, source: &dyn Source) -> Result<CheckReport, CheckError> {
    let text = config
        .raw()
        .connection_string
        .as_ref()
        .map_or("", |string| string.expose());
    let plan = ConnectPlan::new(text, config.raw().pool.connect_timeout.get(), source)?;
    let connector = Connector::new(plan);
    let Connected {
        client,
        connection,
        address,
        encrypted,
        flow: _,
    } = connector.connect().await?;
    let polled = tokio::spawn(connection);
    let result = look_around(&connector, &client, config, &address, encrypted).await;
    drop(client);
    // The connection ends when its client is gone; how it ended is of no interest any more.
    drop(polled.await);
    result.map_err(|error| {
        let reason = driver::words(&error, None);
        CheckError::Query { address, reason }
    })
}

async fn look_around(
    connector: &Connector,
    client: &Client,
    config: &Config,
    address: &str,
    encrypted: bool,
) -> Result<CheckReport, tokio_postgres::Error> {
    let schema = config.schema().map(|schema| schema.as_str());
    let state_schema = config.state_schema().as_str();
    let configured = config.raw().pool.pooler;
    let pooler = match configured {
        Pooler::Auto | Pooler::None => find_pooler(connector, client).await?,
        Pooler::Session => PoolerFound::Session,
        Pooler::Transaction => PoolerFound::Transaction,
    };
    let tenure = Tenure::establish(client, configured, &as_configured(), connector.plan().options()).await?;
    // Unnamed statements with stated types work through a transaction pooler.
    client.batch_execute(&format!("begin; {}", tenure.settings())).await?;
    let rows = client
        .query_typed(
            queries::CHECK_SERVER,
            &[(&schema, Type::TEXT), (&state_schema, Type::TEXT)],
        )
        .await?;
    let ours = match rows.first() {
        Some(row) => ours::look(client, row, config.state_schema()).await?,
        None => Ours::NotThere,
    };
    client.batch_execute("rollback").await?;
    let mut report = CheckReport {
        connection: connector.plan().redacted.clone(),
        address: address.to_owned(),
        sslmode: connector.plan().tls.mode.to_string(),
        encrypted,
        certificate_verified: encrypted && connector.plan().tls.verifies_chain,
        pooler,
        notes: connector.plan().warnings.clone(),
        ..CheckReport::default()
    };
    if let Some(row) = rows.first() {
        read(row, &mut report)?;
        judge(row, config, &mut report)?;
        ours::judge(&ours, config.state_schema(), &mut report);
    }
    Ok(report)
}

fn read(row: &Row, report: &mut CheckReport) -> Result<(), tokio_postgres::Error> {
    report.server_version = row.try_get("version")?;
    report.database = row.try_get("database")?;
    report.role = row.try_get("role")?;
    report.in_recovery = row.try_get("in_recovery")?;
    report.schema = row.try_get("target_schema")?;
    report.may_create_schema = row.try_get("may_create_schema")?;
    report.may_create_temporary = row.try_get("may_create_temporary")?;
    report.may_create_table = row.try_get("may_create_table")?;
    report.vector_installed = row.try_get("vector_installed")?;
    report.vector_available = row.try_get("vector_available")?;
    report.settings = row.try_get("settings")?;
    Ok(())
}

fn judge(row: &Row, config: &Config, report: &mut CheckReport) -> Result<(), tokio_postgres::Error> {
    let product: String = row.try_get("product")?;
    let version: i32 = row.try_get("version_num")?;
    if !product.starts_with("PostgreSQL") {
        report.problems.push(format!(
            "the server is not PostgreSQL but {product:?}; only PostgreSQL is supported"
        ));
    } else if version < OLDEST_TESTED {
        report.notes.push(format!(
            "PostgreSQL {} is older than the oldest tested version, 14",
            report.server_version
        ));
    }
    let read_only: bool = row.try_get("read_only")?;
    if report.in_recovery {
        report.problems.push(
            "the server is a standby and takes no writes; add target_session_attrs=read-write and name the primary too"
                .to_owned(),
        );
    } else if read_only {
        report
            .problems
            .push("sessions are read-only (default_transaction_read_only); turn it off for this role".to_owned());
    }
    judge_schemas(row, report)?;
    judge_vector(config, report);
    if report.settings.iter().any(|setting| setting == "fsync=off") {
        report
            .notes
            .push("fsync is off: a crash of the machine may destroy the database".to_owned());
    }
    if report.pooler == PoolerFound::Transaction {
        report.notes.push(
            "a pooler in transaction mode stands between: advisory locks and SET are used inside transactions only"
                .to_owned(),
        );
    }
    Ok(())
}

fn judge_schemas(row: &Row, report: &mut CheckReport) -> Result<(), tokio_postgres::Error> {
    let role = quoted(&report.role);
    let database = quoted(&report.database);
    let exists: bool = row.try_get("target_exists")?;
    match &report.schema {
        None => report.problems.push(
            "search_path names no schema that exists; set `schema` in the configuration, or search_path in the connection string".to_owned(),
        ),
        Some(schema) if exists && !report.may_create_table => report.problems.push(format!(
            "role {role} may not create tables in schema {schema:?}; as its owner run: grant usage, create on schema {} to {role}",
            quoted(schema)
        )),
        Some(schema) if !exists && !report.may_create_schema => report.problems.push(format!(
            "schema {schema:?} does not exist and role {role} may not create it; as the database's owner run: create schema {} authorization {role}",
            quoted(schema)
        )),
        Some(_) => {}
    }
    if !report.may_create_temporary {
        report.notes.push(format!(
            "role {role} may not create temporary tables in database {database}: overwrite, replace and other loads that stage rows will fail; as the database's owner run: grant temporary on database {database} to {role}"
        ));
    }
    Ok(())
}

fn judge_vector(config: &Config, report: &mut CheckReport) {
    if config.raw().pgvector_config.is_none() || report.vector_installed.is_some() {
        return;
    }
    let text = match &report.vector_available {
        Some(_) => {
            "`pgvector_config` is set and the extension vector is not installed; as a superuser or the database's owner run: create extension vector"
        }
        None => {
            "`pgvector_config` is set and the server does not have pgvector; install its package on the server, then run: create extension vector"
        }
    };
    if config.raw().embeddings.required {
        report.problems.push(text.to_owned());
    } else {
        report.notes.push(text.to_owned());
    }
}

/// A name as it stands in a command that a person may paste.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Settings that the report shows, as the server, the database and the role have them.
fn as_configured() -> SessionSettings {
    let limits = [
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
    ];
    let default = |settings: SessionSettings, name| settings.with(&format!("{name} = default"));
    limits.into_iter().fold(SessionSettings::default(), default)
}

/// A session whose key names the process that answers is ours alone. Of others, two clients that are served by one process prove a
/// pooler that hands connections out by transaction: it serves the second from the connection that the first has just given back.
async fn find_pooler(connector: &Connector, client: &Client) -> Result<PoolerFound, tokio_postgres::Error> {
    if is_direct(client).await? {
        return Ok(PoolerFound::None);
    }
    let pid = "select pg_catalog.pg_backend_pid()";
    let ask = async |client: &Client| -> Result<i32, tokio_postgres::Error> {
        let rows = client.query_typed(pid, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.try_get(0))
    };
    let first = ask(client).await?;
    let Ok(second) = connector.connect().await else {
        return Ok(PoolerFound::Unknown);
    };
    let polled = tokio::spawn(second.connection);
    second.client.batch_execute("begin").await?;
    let other = ask(&second.client).await?;
    second.client.batch_execute("rollback").await?;
    drop(second.client);
    drop(polled.await);
    Ok(if first == other {
        PoolerFound::Transaction
    } else {
        PoolerFound::Unknown
    })
}
