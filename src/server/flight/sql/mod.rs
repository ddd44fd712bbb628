//! Flight SQL, which ADBC, JDBC and ODBC drivers speak: which command came, and who answers it. What is not offered says so and
//! what to use instead. Pure.

mod handle;
pub(super) mod info;
pub(super) mod ingest;
mod keys;
mod look;
pub(super) mod run;
pub(super) mod session;
mod types;

use arrow_flight::sql::Any;
pub(super) use arrow_flight::sql::Command;
use prost::Message;

pub(super) use look::{check_catalog, flight_info, get, schema};

use crate::ingest::error::{Error, RequestError};

/// What the type of every message of Flight SQL begins with.
const TYPE_URL: &str = "type.googleapis.com/arrow.flight.protocol.sql.";
/// What the type of every message in a `google.protobuf.Any` begins with.
const ANY_URL: &str = "type.googleapis.com/";

const NO_SQL: &str = "connect to Postgres itself for that, e.g. by its own JDBC or ADBC driver. To read a table, call DoGet with its name as the ticket";
const COMMIT: &str = "each ingest is one transaction (atomic), and so is each put";

/// The Flight SQL command in a descriptor or ticket; `None` where the bytes are something else.
///
/// # Errors
/// A command that is damaged, or that nobody knows.
pub(super) fn command(bytes: &[u8]) -> Result<Option<Command>, RequestError> {
    let Some(any) = Any::decode(bytes).ok().filter(|any| any.type_url.starts_with(ANY_URL)) else {
        let holds = bytes
            .windows(TYPE_URL.len())
            .any(|window| window == TYPE_URL.as_bytes());
        // Half a message; a JSON object or a table may have that in its text.
        if holds && bytes.first() == Some(&0x0a) {
            return Err(RequestError::Malformed(
                "the Flight SQL command is damaged: it is no google.protobuf.Any".to_owned(),
            ));
        }
        return Ok(None);
    };
    let name = name_of(&any.type_url).to_owned();
    match Command::try_from(any) {
        Ok(Command::Unknown(_)) => Err(RequestError::Unsupported(format!(
            "{name:?} is no command of Flight SQL that this server knows"
        ))),
        Ok(command) => Ok(Some(command)),
        Err(error) => Err(RequestError::Malformed(format!(
            "the command {name} cannot be read: {error}"
        ))),
    }
}

/// A fault of ours, since what is encoded is of our making.
fn unencodable(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("metadata cannot be encoded: {error}"))
}

/// Whether a command is a statement of SQL, or a prepared one.
fn is_statement(command: &Command) -> bool {
    matches!(
        command,
        Command::CommandStatementQuery(_)
            | Command::CommandStatementUpdate(_)
            | Command::CommandPreparedStatementQuery(_)
            | Command::CommandPreparedStatementUpdate(_)
            | Command::TicketStatementQuery(_)
    )
}

/// Whether a command is a statement that comes by DoPut.
pub(super) fn is_put(command: &Command) -> bool {
    is_statement(command)
        && !matches!(
            command,
            Command::CommandStatementQuery(_) | Command::TicketStatementQuery(_)
        )
}

/// The name of a message by its type.
fn name_of(url: &str) -> &str {
    url.rsplit(['/', '.']).next().unwrap_or(url)
}

/// The refusal of a command where it stands.
pub(super) fn refusal(command: &Command) -> RequestError {
    let name = name_of(command.type_url());
    RequestError::Unsupported(match command {
        Command::CommandStatementIngest(_) => format!("{name} brings rows; send it with them, by DoPut"),
        Command::CommandStatementSubstraitPlan(_) | Command::ActionCreatePreparedSubstraitPlanRequest(_) => {
            format!("{name} is a plan of Substrait, which Postgres cannot carry out")
        }
        _ => format!("{name} is not what this call takes"),
    })
}

/// The refusal of an action that Flight SQL or Flight defines; `None` for others.
pub(super) fn action(name: &str) -> Option<RequestError> {
    let why = match name {
        "CreatePreparedSubstraitPlan" => "Postgres cannot carry out plans of Substrait",
        "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => COMMIT,
        "CancelQuery" | "CancelFlightInfo" => {
            "a call is ended by cancelling it, and what it did not commit is rolled back"
        }
        "RenewFlightEndpoint" => "a ticket never expires, but for one of a part, which lasts while parts are read",
        _ => return None,
    };
    Some(RequestError::Unsupported(format!("{name} is not offered: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_flight::sql::{CommandStatementIngest, CommandStatementQuery, ProstMessageExt};

    #[test]
    fn a_command_is_read_and_what_is_none_is_left_to_others() {
        let query = CommandStatementQuery {
            query: "select 1".to_owned(),
            transaction_id: None,
        };
        let read = command(&query.as_any().encode_to_vec()).unwrap();
        assert_eq!(read, Some(Command::CommandStatementQuery(query)));
        let about = format!("{{\"table\": \"{TYPE_URL}\"}}");
        for other in [b"{\"table\": \"t\"}".as_slice(), b"t", b"", about.as_bytes()] {
            assert_eq!(command(other).unwrap(), None);
        }
    }

    #[test]
    fn damaged_and_unknown_commands_are_told_apart() {
        let any = |url: &str, value: &[u8]| Any {
            type_url: url.to_owned(),
            value: value.to_vec().into(),
        };
        let told = |any: Any| command(&any.encode_to_vec()).unwrap_err();
        let unknown = told(any("type.googleapis.com/arrow.flight.protocol.sql.CommandDance", b""));
        assert!(matches!(&unknown, RequestError::Unsupported(text) if text.contains("CommandDance")));
        let other = told(any("type.googleapis.com/google.protobuf.Empty", b""));
        assert!(matches!(&other, RequestError::Unsupported(text) if text.contains("Empty")));
        let ingest = <CommandStatementIngest as ProstMessageExt>::type_url();
        let damaged = told(any(ingest, b"\xff\xff"));
        assert!(matches!(&damaged, RequestError::Malformed(text) if text.contains("CommandStatementIngest")));
        let mut cut = any(ingest, b"abcdef").encode_to_vec();
        cut.pop();
        assert!(matches!(command(&cut), Err(RequestError::Malformed(_))));
    }

    #[test]
    fn every_action_that_is_not_offered_says_why() {
        for (name, why) in [
            ("BeginTransaction", "one transaction"),
            ("EndSavepoint", "one transaction"),
            ("CancelFlightInfo", "cancelling"),
            ("RenewFlightEndpoint", "never expires"),
        ] {
            let told = action(name).unwrap().to_string();
            assert!(told.starts_with(name) && told.contains(why), "{told}");
        }
        assert!(action("pgflight.migrate").is_none() && action("Nonsense").is_none());
    }
}
