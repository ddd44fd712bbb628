//! Everything about a connection that can be decided without the network.

mod reading;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslNegotiation;

use super::error::ConnectError;
use super::options::escape_option;
use super::parameters::Parameters;
use super::sslmode::SslMode;
use super::tls::{self, TlsChoice};
use crate::config::{Secret, Source, dsn};
use reading::{driver_settings, number, passwords, pool_hints, refuse_unsupported, session_attrs, targets, word};

/// One host to try, in the order of the connection string.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Name, IP address, or directory of a unix socket (starts with `/` or `@`).
    pub host: String,
    /// Address to connect to instead of looking the name up.
    pub hostaddr: Option<IpAddr>,
    /// Port, also of a unix socket.
    pub port: u16,
    pub(super) password: Option<Secret>,
}

impl Target {
    /// True for a unix socket.
    pub fn is_unix(&self) -> bool {
        self.host.starts_with(['/', '@'])
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unix() {
            write!(f, "{}/.s.PGSQL.{}", self.host, self.port)
        } else if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAttrs {
    /// Any server.
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that takes no writes.
    ReadOnly,
    /// One that is not in recovery.
    Primary,
    /// One that is in recovery.
    Standby,
    /// A standby if there is one, else any.
    PreferStandby,
}

/// What pgx's `pool_*` parameters say; they win over the `pool` configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolHints {
    /// `pool_max_conns`.
    pub max_size: Option<u32>,
    /// `pool_max_conn_lifetime`.
    pub max_lifetime: Option<Duration>,
    /// `pool_max_conn_idle_time`.
    pub idle_timeout: Option<Duration>,
}

/// A connection string that was understood.
#[derive(Clone)]
pub struct ConnectPlan {
    /// Login, database and driver settings, without hosts.
    pub(super) base: Config,
    /// Hosts to try, in order.
    pub targets: Vec<Target>,
    /// Try them in random order.
    pub shuffle: bool,
    /// What the server must be.
    pub session_attrs: SessionAttrs,
    /// TLS.
    pub tls: TlsChoice,
    /// Time for one attempt with one address, login included; `None` waits without limit.
    pub connect_timeout: Option<Duration>,
    /// What the string says about the pool.
    pub pool: PoolHints,
    /// The string without passwords.
    pub redacted: String,
    /// Parameters that are ignored and things that are odd, one sentence each.
    pub warnings: Vec<String>,
}

impl fmt::Debug for ConnectPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectPlan")
            .field("redacted", &self.redacted)
            .field("targets", &self.targets)
            .finish()
    }
}

/// Parameters of pgx or libpq that change nothing here.
const IGNORED: [&str; 16] = [
    "pool_min_conns",
    "pool_min_idle_conns",
    "pool_health_check_period",
    "pool_max_conn_lifetime_jitter",
    "pool_ping_timeout",
    "statement_cache_capacity",
    "description_cache_capacity",
    "default_query_exec_mode",
    "min_protocol_version",
    "max_protocol_version",
    "sslcompression",
    "sslcertmode",
    "fallback_application_name",
    "krbsrvname",
    "krbspn",
    "gsslib",
];

impl ConnectPlan {
    /// Understands a connection string. An empty one leaves everything to `PG*` and libpq's defaults.
    ///
    /// `source` gives environment and files; for a string from a client pass an empty [`crate::config::FixedSource`], so that it
    /// can use neither the server's environment nor its files.
    ///
    /// # Errors
    /// [`ConnectError::BadString`].
    pub fn new(text: &str, connect_timeout: Duration, source: &dyn Source) -> Result<Self, ConnectError> {
        let mut parameters = Parameters::gather(text, source)?;
        Self::from_parameters(&mut parameters, connect_timeout, source, dsn::redact(text))
            .and_then(|plan| plan.with_rest(parameters.rest()))
            .map_err(ConnectError::BadString)
    }

    fn from_parameters(
        parameters: &mut Parameters,
        connect_timeout: Duration,
        source: &dyn Source,
        redacted: String,
    ) -> Result<Self, String> {
        refuse_unsupported(parameters)?;
        let mut warnings = Vec::new();
        let tls = tls::choose(parameters, source)?;
        let user = parameters
            .take("user")
            .or_else(|| source.variable("USER"))
            .or_else(|| source.variable("LOGNAME"));
        let user = user.ok_or("no user is given; add user=... to the connection string or set PGUSER")?;
        let database = parameters.take("dbname").unwrap_or_else(|| user.clone());
        let mut targets = targets(parameters, source)?;
        passwords(&mut targets, parameters, (&user, &database), source, &mut warnings);
        let mut base = Config::new();
        base.user(&user).dbname(&database);
        driver_settings(&mut base, parameters)?;
        if tls.direct {
            base.ssl_negotiation(SslNegotiation::Direct);
        }
        let connect_timeout = match number::<i64>(parameters, "connect_timeout")? {
            None => Some(connect_timeout),
            Some(seconds) if seconds <= 0 => None,
            // libpq rounds 1 up, because its clock has whole seconds.
            Some(seconds) => Some(Duration::from_secs(seconds.max(2).unsigned_abs())),
        };
        let shuffle = word(
            parameters,
            "load_balance_hosts",
            &[("disable", false), ("random", true)],
        )?
        .unwrap_or(false);
        let plan = Self {
            base,
            shuffle,
            session_attrs: session_attrs(parameters)?,
            pool: pool_hints(parameters)?,
            connect_timeout,
            tls,
            redacted,
            warnings,
            targets,
        };
        Ok(plan.with_tls_warning())
    }

    /// Anybody on the way can read and change what travels without a verified certificate.
    fn with_tls_warning(mut self) -> Self {
        let remote = self.targets.iter().find(|target| {
            let loopback = target.host == "localhost" || target.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
            !target.is_unix() && !loopback
        });
        if let Some(target) = remote.filter(|_| self.tls.mode < SslMode::Require) {
            self.warnings.push(format!(
                "sslmode is {} and {target} is another machine: the connection may be unencrypted; set sslmode=verify-full",
                self.tls.mode
            ));
        }
        self
    }

    /// What is left goes to the server as runtime parameters, as libpq's `options` and pgx do it.
    fn with_rest(mut self, rest: BTreeMap<String, String>) -> Result<Self, String> {
        let mut options = self.base.get_options().unwrap_or_default().to_owned();
        for (keyword, value) in rest {
            if IGNORED.contains(&keyword.as_str()) {
                self.warnings
                    .push(format!("{keyword} in the connection string is ignored"));
                continue;
            }
            let plain = keyword.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && keyword
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
            if !plain {
                // Not repeated: it may be a piece of a password that was not quoted.
                return Err("a parameter name has characters other than letters, digits, `_` and `.`".to_owned());
            }
            if !options.is_empty() {
                options.push(' ');
            }
            options.push_str(&format!("-c {keyword}={}", escape_option(&value)));
        }
        if !options.is_empty() {
            self.base.options(options);
        }
        Ok(self)
    }

    /// The user to log in as.
    pub fn user(&self) -> &str {
        self.base.get_user().unwrap_or_default()
    }

    /// The database.
    pub fn database(&self) -> &str {
        self.base.get_dbname().unwrap_or_default()
    }

    /// `options` of the startup message: the user's, and runtime parameters as `-c name=value`.
    pub fn options(&self) -> &str {
        self.base.get_options().unwrap_or_default()
    }
}
