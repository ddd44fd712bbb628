//! Flight SQL, which drivers (JDBC, ADBC, ODBC) speak and this server does not: says what came and what to use instead. Pure.

use crate::ingest::error::RequestError;

/// Actions that Flight SQL and Flight itself define, and that are not offered.
const ACTIONS: [&str; 12] = [
    "CreatePreparedStatement",
    "ClosePreparedStatement",
    "CreatePreparedSubstraitPlan",
    "BeginTransaction",
    "EndTransaction",
    "BeginSavepoint",
    "EndSavepoint",
    "CancelQuery",
    "CancelFlightInfo",
    "RenewFlightEndpoint",
    "SetSessionOptions",
    "GetSessionOptions",
];
const CLOSE_SESSION: &str = "CloseSession";
/// What every Flight SQL message holds: the type URL of `google.protobuf.Any`.
const TYPE_URL: &[u8] = b"type.googleapis.com/arrow.flight.protocol.sql.";

const PUT: &str = "to load rows, call DoPut with a descriptor PATH [table] or CMD {\"table\": \"t\"}";
const READ: &str = "to read a table, call GetFlightInfo with PATH [table], or DoGet with its name as the ticket; to run SQL, connect to Postgres itself, e.g. by its own JDBC driver";
const LOOK: &str = "ListFlights names the tables, and GetSchema tells their columns; to run SQL, connect to Postgres itself, e.g. by its own JDBC driver";
const COMMIT: &str = "each put is a transaction of its own (option commit: atomic or batch)";

/// The name of the Flight SQL message in a command or ticket, e.g. `CommandStatementQuery`.
pub(super) fn message(bytes: &[u8]) -> Option<String> {
    let at = bytes.windows(TYPE_URL.len()).position(|window| window == TYPE_URL)?;
    let name = bytes.iter().skip(at + TYPE_URL.len());
    let name: Vec<u8> = name.copied().take_while(u8::is_ascii_alphanumeric).collect();
    Some(String::from_utf8_lossy(&name).into_owned())
}

/// The refusal of a Flight SQL command or ticket.
pub(super) fn refusal(message: &str) -> RequestError {
    let instead = match message {
        "CommandStatementIngest" => PUT,
        _ if message.starts_with("CommandGet") => LOOK,
        _ => READ,
    };
    RequestError::Unsupported(format!(
        "{message} is a command of Flight SQL, as JDBC, ODBC and ADBC drivers for Flight send it, and this server speaks plain Flight and runs no SQL; {instead}"
    ))
}

/// The refusal of an action that Flight SQL or Flight defines; `None` for others.
pub(super) fn action(name: &str) -> Option<RequestError> {
    if name != CLOSE_SESSION && !ACTIONS.contains(&name) {
        return None;
    }
    let (of, instead) = match name {
        "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => ("Flight SQL", COMMIT),
        "CancelQuery" => (
            "Flight SQL",
            "a call is ended by cancelling it, and what it did not commit is rolled back",
        ),
        "CancelFlightInfo" | "RenewFlightEndpoint" => (
            "Flight",
            "a ticket of this server never expires; a read is ended by cancelling DoGet",
        ),
        "SetSessionOptions" | "GetSessionOptions" | CLOSE_SESSION => (
            "Flight",
            "there are no sessions here: options stand in the descriptor, in headers pgflight-<option> or in the configuration",
        ),
        _ => ("Flight SQL", READ),
    };
    Some(RequestError::Unsupported(format!(
        "{name} is an action of {of}, as JDBC, ODBC and ADBC drivers for Flight send it, and is not offered; {instead}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_flight_sql_is_named_with_what_to_use_instead() {
        for (name, instead) in [
            ("CommandStatementQuery", "GetFlightInfo"),
            ("CommandPreparedStatementUpdate", "connect to Postgres itself"),
            ("TicketStatementQuery", "DoGet"),
            ("CommandGetTables", "ListFlights"),
            ("CommandStatementIngest", "DoPut"),
        ] {
            let mut bytes = b"\x0a\x42".to_vec();
            bytes.extend_from_slice(TYPE_URL);
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b"\x12\x0aselect 1");
            assert_eq!(message(&bytes).as_deref(), Some(name));
            let told = refusal(name).to_string();
            assert!(
                told.contains(name) && told.contains("Flight SQL") && told.contains(instead),
                "{told}"
            );
        }
        assert_eq!(message(b"{\"table\": \"t\"}"), None);
    }

    #[test]
    fn actions_of_flight_and_flight_sql_are_known_and_others_are_not() {
        for name in ACTIONS.into_iter().chain([CLOSE_SESSION]) {
            let told = action(name).unwrap().to_string();
            assert!(told.starts_with(name) && told.contains("not offered; "), "{told}");
        }
        assert!(action("pgflight.migrate").is_none() && action("Nonsense").is_none());
    }
}
