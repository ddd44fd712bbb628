//! Statements that end each transaction, known to a session of our own by a name of SQL: there they are parsed once and planned
//! once, and yet go in one message with COMMIT, which only the simple protocol can. Nothing hangs on a name: where a session does not
//! take one, the statement itself is sent.

use super::patience::Patience;
use crate::postgres::error::Error;
use crate::postgres::pool::Connection;

/// A statement and its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) name: &'static str,
    /// Types of its parameters, as SQL.
    pub(super) parameters: &'static str,
    pub(super) text: &'a str,
}

impl Named<'_> {
    /// Gives the session the name, once in its life; whether it knows it. The connection must be outside a transaction.
    pub(super) async fn teach(self, connection: &mut Connection, patience: Patience) -> Result<bool, Error> {
        if connection.tenure().is_lent() {
            return Ok(false);
        }
        if let Some(known) = connection.knows(self.name) {
            return Ok(known);
        }
        let prepare = format!("prepare {} ({}) as {}", self.name, self.parameters, self.text);
        let preparing = async {
            let done = connection.client().batch_execute(&prepare).await;
            done.map_err(|error| Error::statement("preparing what ends a transaction", error))
        };
        let known = match patience.prompt().wait(preparing).await {
            Ok(()) => true,
            Err(error) if error.sqlstate().is_some() && !error.lost_connection() => {
                tracing::debug!(error = %error, name = self.name, "a statement is sent as a whole each time");
                false
            }
            Err(error) => return Err(error),
        };
        connection.note_taught(self.name, known);
        Ok(known)
    }
}
