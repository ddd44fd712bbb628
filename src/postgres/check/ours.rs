//! What `check` says about pgflight's own tables: whether the role may use them, and whether this program knows their version.

use tokio_postgres::{Client, Row};

use super::{CheckReport, quoted};
use crate::model::class::Class;
use crate::model::ident::Ident;
use crate::postgres::error::{Error, driver};
use crate::postgres::state;

/// How the schema of our own tables was found.
pub(super) enum Ours {
    /// It does not exist.
    NotThere,
    /// The role may not use the schema.
    Closed,
    /// The role may use the schema, and not the tables in it.
    Foreign,
    /// The tables are a newer program's, in its words.
    Newer(String),
    /// All is well.
    Known,
}

/// What loads lose without our own tables.
const LOST: &str =
    "resumable streams and rejects will fail, and a load whose COMMIT is not answered may end with COMMIT_UNKNOWN";

pub(super) async fn look(client: &Client, row: &Row, schema: &Ident) -> Result<Ours, tokio_postgres::Error> {
    if !row.try_get("state_exists")? {
        return Ok(Ours::NotThere);
    }
    if !row.try_get("may_use_state")? {
        return Ok(Ours::Closed);
    }
    match state::look(client, schema).await {
        Ok(()) => Ok(Ours::Known),
        Err(Error::State { source, .. }) if driver::class(&source) == Class::Denied => Ok(Ours::Foreign),
        Err(Error::State { source, .. }) => Err(source),
        Err(error) => Ok(Ours::Newer(error.to_string())),
    }
}

pub(super) fn judge(ours: &Ours, schema: &Ident, report: &mut CheckReport) {
    let (role, state) = (quoted(&report.role), schema.quoted());
    match ours {
        Ours::NotThere if !report.may_create_schema => report.notes.push(format!(
            "schema {state} does not exist and role {role} may not create it: {LOST}; as the database's owner run: create schema {state} authorization {role}"
        )),
        Ours::Closed => report.notes.push(format!(
            "role {role} may not use schema {state}: {LOST}; as its owner run: grant usage, create on schema {state} to {role}"
        )),
        Ours::Foreign => report.notes.push(format!(
            "role {role} may not read the tables in schema {state}: {LOST}; as their owner run: grant select, insert, update, delete on all tables in schema {state} to {role}"
        )),
        Ours::Newer(why) => report.problems.push(why.clone()),
        Ours::NotThere | Ours::Known => {}
    }
}
