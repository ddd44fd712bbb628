//! What a statement takes and gives: Postgres parses it, the catalog tells the types with their modifiers.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use tokio_postgres::Statement;

use super::bound::begin_as;
use super::transaction::{begin, copied, run};

use crate::codec::decode::ReadPlan;
use crate::codec::decode::type_map::field;
use crate::ingest::ports::query::Prepared;
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::postgres::catalog::read_types;
use crate::postgres::error::Error;
use crate::postgres::pool::{Connection, Connections};
use crate::postgres::scope::Tenure;

/// A statement that Postgres has parsed in one session.
pub(super) struct Described {
    pub(super) statement: Statement,
    pub(super) parameters: Vec<PgType>,
    pub(super) columns: Vec<(String, PgType)>,
}

/// Refuses a session in which a setting would be left for others.
pub(super) fn own(connection: &Connection) -> Result<(), Error> {
    match connection.tenure() {
        Tenure::Ours | Tenure::Lent { is_kept: true, .. } => Ok(()),
        Tenure::Lent { is_kept: false, .. } => Err(Error::SessionIsLent),
    }
}

/// Parses a statement.
pub(super) async fn describe(connection: &Connection, sql: &str) -> Result<Described, Error> {
    let client = connection.client();
    let parsed = client.prepare(sql).await;
    let statement = parsed.map_err(|source| Error::Query { source })?;
    let parameters = statement.params().iter().map(|ty| (ty.oid(), -1));
    let columns = statement.columns().iter();
    let columns = columns.map(|column| (column.type_().oid(), column.type_modifier()));
    let wanted: Vec<(u32, i32)> = parameters.chain(columns).collect();
    let mut parameters = read_types(client, &wanted).await?;
    let types = parameters.split_off(statement.params().len());
    let names = statement.columns().iter().map(|column| column.name().to_owned());
    Ok(Described {
        columns: names.zip(types).collect(),
        parameters,
        statement,
    })
}

impl Described {
    pub(super) fn plan(&self) -> Result<ReadPlan, Error> {
        ReadPlan::of_result(&self.columns).map_err(|source| Error::Result { source })
    }
}

/// What a statement takes and gives, without running it.
pub(crate) async fn prepare(connections: &Connections, role: Option<&Ident>, sql: &str) -> Result<Prepared, Error> {
    let mut connection = connections.get().await?;
    own(&connection)?;
    if let Some(role) = role {
        // A session that is in a transaction is not lent again.
        connection.mark_dirty();
        begin_as(&connection, &begin(&connection), role, sql).await?;
        may_run(&connection, sql).await?;
    }
    let described = describe(&connection, sql).await?;
    let parameters = described.parameters.iter().enumerate();
    let parameters: Vec<Field> = parameters
        .map(|(n, ty)| field(&format!("${}", n + 1), ty, true))
        .collect();
    Ok(Prepared {
        parameters: Arc::new(Schema::new(parameters)),
        columns: described.plan()?.schema().clone(),
    })
}

/// Refuses a query of tables that the role may not read: parsing alone would tell their columns. One with parameters is seen
/// only when it is run.
async fn may_run(connection: &Connection, sql: &str) -> Result<(), Error> {
    match copied(sql).filter(|_| !sql.contains('$')) {
        Some(_) => run(connection, &format!("explain {sql}")).await,
        None => Ok(()),
    }
}
