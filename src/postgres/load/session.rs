//! What every session of ours starts with: its limits, and settings that make values mean the same on every server. Pure text.

use std::time::Duration;

use crate::config::Config;

/// How much longer than a silent client Postgres waits for us in a transaction.
const IDLE_SLACK: Duration = Duration::from_secs(30);

/// Limits that every session has; a load with others sets them for its transactions.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLimits {
    pub(super) lock_timeout: Duration,
    pub(super) statement_timeout: Duration,
    /// After which Postgres ends a transaction that hears nothing: a server of ours that vanished must not hold locks.
    pub(super) idle_in_transaction: Duration,
}

impl SessionLimits {
    pub(super) fn of(config: &Config) -> Self {
        let raw = config.raw();
        Self {
            lock_timeout: raw.lock_timeout.get(),
            statement_timeout: raw.statement_timeout.get(),
            idle_in_transaction: raw.limits.stream_idle_timeout.get() + IDLE_SLACK,
        }
    }
}

/// What the sessions of this configuration start with, whoever opens them.
pub(crate) fn session_setup_of(config: &Config) -> String {
    session_setup(&SessionLimits::of(config), "set ")
}

/// What every session of the pool starts with. Text forms and time zones must not depend on the server's settings.
pub(super) fn session_setup(session: &SessionLimits, set: &str) -> String {
    let (lock, statement) = (session.lock_timeout.as_millis(), session.statement_timeout.as_millis());
    let settings = [
        "timezone = 'UTC'".to_owned(),
        "client_encoding = 'UTF8'".to_owned(),
        "standard_conforming_strings = on".to_owned(),
        "datestyle = 'ISO, MDY'".to_owned(),
        "intervalstyle = 'postgres'".to_owned(),
        "extra_float_digits = 1".to_owned(),
        format!("lock_timeout = {lock}"),
        format!("statement_timeout = {statement}"),
        format!(
            "idle_in_transaction_session_timeout = {}",
            session.idle_in_transaction.as_millis()
        ),
        // A session that reads COPY data obeys no timeout. Where our machine vanishes in the middle of one, only this ends it,
        // after a minute instead of the two hours that operating systems take; without effect on a Unix socket.
        "tcp_keepalives_idle = 30".to_owned(),
        "tcp_keepalives_interval = 10".to_owned(),
        "tcp_keepalives_count = 3".to_owned(),
    ];
    settings.map(|setting| format!("{set}{setting}")).join("; ")
}
