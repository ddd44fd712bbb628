//! Opens a transaction of a load and notes what will tell how it ended, should the answer to its COMMIT be lost.

use tokio_postgres::SimpleQueryMessage;

use super::commits::Commits;
use super::patience::Patience;
use super::proof::{Mark, Proof, Witness};
use crate::postgres::error::Error;
use crate::postgres::pool::Connection;
use crate::postgres::queries;

/// A transaction that is about to be opened.
#[derive(Debug)]
pub(super) struct Beginning {
    proof: Proof,
    sql: String,
    patience: Patience,
}

impl Beginning {
    /// Decides what it begins with; from here on the connection has state that nobody else may meet. `commits` is there unless a
    /// stream's row tells how the transaction ended.
    pub(super) async fn of(
        connection: &mut Connection,
        settings: &str,
        patience: Patience,
        commits: Option<&Commits>,
    ) -> Result<Self, Error> {
        connection.mark_dirty();
        let proof = match commits {
            None => Proof::Stream,
            Some(commits) => match patience.prompt().wait(commits.table(connection)).await? {
                Some(relation) => Proof::Row {
                    relation,
                    serial: connection.next_serial(),
                },
                None => Proof::Bookkeeping(None),
            },
        };
        let mut sql = format!(
            "begin; {}{settings}select pg_catalog.pg_current_xact_id()::text, pg_catalog.pg_backend_pid()::text, \
             extract(epoch from pg_catalog.now())::text",
            connection.tenure().settings()
        );
        if proof == Proof::Bookkeeping(None) {
            sql.push_str("; ");
            sql.push_str(queries::COMMIT_WITNESS);
        }
        Ok(Self { proof, sql, patience })
    }

    /// Whether a row is written that tells how it ended.
    pub(super) fn notes(&self) -> bool {
        matches!(self.proof, Proof::Row { .. })
    }

    /// Opens it and asks for its identity in the same round trip. What is asked right after it on the same connection goes with it.
    pub(super) async fn run(self, connection: &Connection) -> Result<Mark, Error> {
        let Self {
            mut proof,
            sql,
            patience,
        } = self;
        let asking = async {
            let answer = connection.client().simple_query(&sql).await;
            answer.map_err(|error| connection.tenure().refused(error))
        };
        let answer = patience.prompt().wait(asking).await?;
        let mut rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let identity = rows.next().and_then(|row| {
            let (xid, pid, began) = (row.get(0)?, row.get(1)?.parse().ok()?, row.get(2)?);
            Some((xid.to_owned(), pid, began.to_owned()))
        });
        if let Proof::Bookkeeping(witness) = &mut proof {
            *witness = rows.next().and_then(|row| {
                let (pid, started) = (row.get(0)?.parse().ok()?, row.get(1)?.to_owned());
                Some(Witness { pid, started })
            });
        }
        let (xid, pid, began) = identity.ok_or_else(|| Error::Internal("a transaction has no number".to_owned()))?;
        Ok(Mark { xid, pid, began, proof })
    }
}

/// Opens a transaction.
pub(super) async fn begin(
    connection: &mut Connection,
    settings: &str,
    patience: Patience,
    commits: Option<&Commits>,
) -> Result<Mark, Error> {
    let beginning = Beginning::of(connection, settings, patience, commits).await?;
    beginning.run(connection).await
}
