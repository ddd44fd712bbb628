//! What every session of ours works with: its limits, and settings that make values mean the same on every server. Pure text.
//!
//! A session that is ours alone gets them once. Behind a pooler that hands server sessions out by transaction nothing may be left
//! in them, and what other programs left there must not count: every transaction then begins with all of it, as `set local`.

use std::time::Duration;

use super::connect::runtime_parameters;
use crate::config::Config;

/// How much longer than a silent client Postgres waits for us in a transaction.
const IDLE_SLACK: Duration = Duration::from_secs(30);

/// Settings that another program may have changed in a session that we are lent, and that decide what our statements mean, where
/// rows go or how safe they are. They are taken as the server, the database and the role have them.
const AS_CONFIGURED: [&str; 15] = [
    "search_path",
    "role",
    "row_security",
    "synchronous_commit",
    "default_tablespace",
    "temp_tablespaces",
    "default_table_access_method",
    "default_toast_compression",
    "default_text_search_config",
    "xmloption",
    "bytea_output",
    "lc_monetary",
    "transform_null_equals",
    "quote_all_identifiers",
    "array_nulls",
];

/// Parameters whose value is a list of names.
const LISTS: [&str; 2] = ["search_path", "temp_tablespaces"];

/// Limits that every session has; a load with others sets them for its transactions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimits {
    pub(crate) lock_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    /// After which Postgres ends a transaction that hears nothing: a server of ours that vanished must not hold locks.
    idle_in_transaction: Duration,
}

impl SessionLimits {
    pub(crate) fn of(config: &Config) -> Self {
        let raw = config.raw();
        Self {
            lock_timeout: raw.lock_timeout.get(),
            statement_timeout: raw.statement_timeout.get(),
            idle_in_transaction: raw.limits.stream_idle_timeout.get() + IDLE_SLACK,
        }
    }
}

/// The settings of one pool's sessions.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    ours: Vec<String>,
    isolation: Option<&'static str>,
}

/// What a server says about a session that is lent to us.
#[derive(Clone, Debug)]
pub(crate) struct Lent {
    /// Whether our role may change what only superusers may.
    pub(crate) superuser: bool,
    /// `server_version_num`.
    pub(crate) version: i32,
    /// Whether it is a standby, where nobody may write.
    pub(crate) in_recovery: bool,
    /// Whether transactions are read-only where nothing else is said.
    pub(crate) read_only: bool,
    /// The isolation of transactions where nothing else is said.
    pub(crate) isolation: String,
}

/// Settings as text: for transactions that say themselves how they are isolated, and for all others.
#[derive(Clone, Debug)]
pub(crate) struct TransactionSettings {
    /// `set local ...`, each with a semicolon.
    pub(crate) values: String,
    /// What isolation a transaction has and whether it writes, then [`Self::values`].
    pub(crate) all: String,
}

impl SessionSettings {
    /// Text forms and time zones must not depend on the server's settings.
    pub(crate) fn new(limits: &SessionLimits) -> Self {
        let millis = |name: &str, limit: Duration| format!("{name} = {}", limit.as_millis());
        let ours = vec![
            "timezone = 'UTC'".to_owned(),
            "client_encoding = 'UTF8'".to_owned(),
            "standard_conforming_strings = on".to_owned(),
            "datestyle = 'ISO, MDY'".to_owned(),
            "intervalstyle = 'postgres'".to_owned(),
            "extra_float_digits = 1".to_owned(),
            millis("lock_timeout", limits.lock_timeout),
            millis("statement_timeout", limits.statement_timeout),
            millis("idle_in_transaction_session_timeout", limits.idle_in_transaction),
        ];
        Self { ours, isolation: None }
    }

    /// With one more setting.
    #[must_use]
    pub(crate) fn with(mut self, setting: &str) -> Self {
        self.ours.push(setting.to_owned());
        self
    }

    /// With transactions that see what others committed while they waited.
    #[must_use]
    pub(crate) fn read_committed(mut self) -> Self {
        self.isolation = Some("read committed");
        self
    }

    /// What a session of our own starts with.
    pub(crate) fn of_session(&self) -> String {
        let isolation = self
            .isolation
            .map(|level| format!("default_transaction_isolation = '{level}'"));
        // A session that reads COPY data obeys no timeout. Where our machine vanishes in the middle of one, only this ends it,
        // after a minute instead of the two hours that operating systems take; without effect on a Unix socket. Of a pooler's
        // session it would say something about the pooler's machine.
        let alive = [
            "tcp_keepalives_idle = 30",
            "tcp_keepalives_interval = 10",
            "tcp_keepalives_count = 3",
        ];
        let all = self.ours.iter().cloned().chain(isolation);
        let all = all.chain(alive.map(str::to_owned));
        all.map(|setting| format!("set {setting}; ")).collect()
    }

    /// What a transaction starts with in a session that is lent to us. `options` are those of the connection, which such a pooler
    /// does not pass on.
    pub(crate) fn of_transaction(&self, lent: &Lent, options: &str) -> TransactionSettings {
        let mut settings: Vec<String> = AS_CONFIGURED.map(|name| format!("{name} = default")).to_vec();
        if lent.superuser {
            settings.push("session_replication_role = default".to_owned());
        }
        if lent.version >= 170_000 {
            settings.push("transaction_timeout = default".to_owned());
        }
        let asked = runtime_parameters(options);
        let asked_for = |wanted: &str| {
            let mut values = asked.iter().rev().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            values.next().map(|(_, value)| value.to_ascii_lowercase())
        };
        settings.extend(asked.iter().map(|(name, value)| assigned(name, value)));
        settings.extend(self.ours.iter().cloned());
        let values: String = settings
            .into_iter()
            .map(|setting| format!("set local {setting}; "))
            .collect();
        // The defaults of transactions have no effect on the one that is open already.
        let isolation = asked_for("default_transaction_isolation").unwrap_or_else(|| lent.isolation.clone());
        let isolation = self.isolation.unwrap_or(match isolation.as_str() {
            "serializable" => "serializable",
            "repeatable read" => "repeatable read",
            _ => "read committed",
        });
        let read_only = asked_for("default_transaction_read_only").map_or(lent.read_only, |value| is_on(&value));
        let access = match (read_only, lent.in_recovery) {
            (true, _) => ", read only",
            (false, true) => "",
            (false, false) => ", read write",
        };
        TransactionSettings {
            all: format!("set transaction isolation level {isolation}{access}; {values}"),
            values,
        }
    }
}

/// A boolean as Postgres reads one, in lower case.
fn is_on(value: &str) -> bool {
    !value.is_empty() && (value == "on" || value == "1" || "true".starts_with(value) || "yes".starts_with(value))
}

/// `name = 'value'`, or the names of a list one by one: as one text they would be one name.
fn assigned(name: &str, value: &str) -> String {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    if !LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        return format!("{name} = {}", literal(value));
    }
    let names: Vec<String> = list(value).iter().map(|name| literal(name)).collect();
    match names.is_empty() {
        true => format!("{name} = ''"),
        false => format!("{name} = {}", names.join(", ")),
    }
}

/// The names of a list as Postgres reads one: between commas, in lower case unless quoted.
fn list(value: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut characters = value.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => (quoted, any) = (!quoted, true),
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if !quoted && c.is_whitespace() => {}
            c if quoted => name.push(c),
            c => name.extend(c.to_lowercase()),
        }
    }
    if any || !name.is_empty() || !names.is_empty() {
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent() -> Lent {
        Lent {
            superuser: false,
            version: 160_000,
            in_recovery: false,
            read_only: false,
            isolation: "read committed".to_owned(),
        }
    }

    fn settings() -> SessionSettings {
        SessionSettings::new(&SessionLimits {
            lock_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(2),
            idle_in_transaction: Duration::from_secs(3),
        })
    }

    #[test]
    fn a_lent_session_is_told_everything_for_a_transaction_only() {
        let told = settings().of_transaction(&lent(), "");
        for statement in told.values.split("; ").filter(|statement| !statement.is_empty()) {
            assert!(statement.starts_with("set local "), "{statement}");
        }
        assert!(
            told.all
                .starts_with("set transaction isolation level read committed, read write; ")
        );
        assert!(told.all.ends_with(&told.values));
        for setting in settings().ours {
            assert!(told.values.contains(&format!("set local {setting}; ")), "{setting}");
        }
        let begins = |lent: Lent, options: &str, access: &str| {
            let all = settings().of_transaction(&lent, options).all;
            let (begin, _) = all.split_once(';').unwrap();
            assert_eq!(begin, format!("set transaction isolation level {access}"));
        };
        let standby = Lent {
            in_recovery: true,
            ..lent()
        };
        begins(standby, "", "read committed");
        let read_only = Lent {
            read_only: true,
            ..lent()
        };
        begins(read_only.clone(), "", "read committed, read only");
        begins(
            read_only,
            "-c default_transaction_read_only=off",
            "read committed, read write",
        );
        begins(
            lent(),
            "-c default_transaction_read_only=YES",
            "read committed, read only",
        );
        begins(
            lent(),
            "--default-transaction-isolation=serializable",
            "serializable, read write",
        );
        assert!(!told.values.contains("session_replication_role"));
        assert!(!told.values.contains("transaction_timeout"));
    }

    #[test]
    fn parameters_of_the_connection_hold_in_a_lent_session_too() {
        let options = r#"-c search_path=Own,\ "A,\ ""b""" --geqo=off -c application.x=it's"#;
        let told = settings().of_transaction(&lent(), options).values;
        let default = told.find("set local search_path = default; ").unwrap();
        let own = told.find(r#"set local search_path = 'own', 'A, "b"'; "#).unwrap();
        assert!(default < own, "{told}");
        assert!(
            told.contains("set local geqo = 'off'; set local application.x = 'it''s'; "),
            "{told}"
        );
    }
}
