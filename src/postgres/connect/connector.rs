//! Connects as a [`ConnectPlan`] says: host by host, address by address, with libpq's order of TLS and plain text.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::lookup_host;
use tokio_postgres::config::SslMode as DriverMode;
use tokio_postgres::config::SslNegotiation;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Connection, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{ConnectError, innermost};
use super::flow::{Flow, RowRoom};
use super::metered::{Metered, Start};
use super::plan::{ConnectPlan, SessionAttrs, Target};
use super::sslmode::SslMode;
use super::wire::Wire;

/// What the driver speaks plain text over, or TLS.
type Plain = Metered<Wire>;
type RustlsStream = <MakeRustlsConnect as MakeTlsConnect<Plain>>::Stream;

/// The driver's side of a connection: a future that must be polled (spawned) for the client to make progress.
pub type PgConnection = Connection<Plain, Metered<RustlsStream>>;

/// A connection that was made.
#[expect(missing_debug_implementations, reason = "the driver's connection has none")]
pub struct Connected {
    /// Sends statements.
    pub client: Client,
    /// Must be spawned.
    pub connection: PgConnection,
    /// `host:port` or socket path that was used.
    pub address: String,
    /// True when the connection is encrypted.
    pub encrypted: bool,
    /// Where its large rows are counted.
    pub flow: Flow,
}

/// Makes connections, any number of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    plan: Arc<ConnectPlan>,
    /// Addresses that were warned about: see [`Connector::warn_of_plain_text`].
    plain: Arc<Mutex<BTreeSet<String>>>,
    /// Room for the large rows of all connections; `None` for any number.
    rows: Option<RowRoom>,
}

impl Connector {
    /// A connector for this plan.
    pub fn new(plan: ConnectPlan) -> Self {
        Self {
            plan: Arc::new(plan),
            plain: Arc::default(),
            rows: None,
        }
    }

    /// One whose connections share so much room for large rows.
    #[must_use]
    pub fn with_rows(self, rows: RowRoom) -> Self {
        Self {
            rows: Some(rows),
            ..self
        }
    }

    /// The plan.
    pub fn plan(&self) -> &ConnectPlan {
        &self.plan
    }

    /// Connects to the first host that can be used.
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::AllFailed`] when several addresses were tried.
    pub async fn connect(&self) -> Result<Connected, ConnectError> {
        let mut errors = Vec::new();
        let rounds: &[SessionAttrs] = match self.plan.session_attrs {
            SessionAttrs::PreferStandby => &[SessionAttrs::Standby, SessionAttrs::Any],
            ref one => std::slice::from_ref(one),
        };
        for attrs in rounds {
            errors.clear();
            for target in self.order() {
                match self.connect_target(target, *attrs, &mut errors).await {
                    Some(connected) => return Ok(connected),
                    None => continue,
                }
            }
        }
        match errors.len() {
            1 => Err(errors.remove(0)),
            _ => Err(ConnectError::AllFailed(errors)),
        }
    }

    fn tls(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new((*self.plan.tls.client).clone())
    }

    fn order(&self) -> Vec<&Target> {
        let mut targets: Vec<&Target> = self.plan.targets.iter().collect();
        if self.plan.shuffle {
            fastrand::shuffle(&mut targets);
        }
        targets
    }

    /// Tries every address of one host. What failed is added to `errors`.
    async fn connect_target(
        &self,
        target: &Target,
        attrs: SessionAttrs,
        errors: &mut Vec<ConnectError>,
    ) -> Option<Connected> {
        let addresses = match self.addresses(target).await {
            Ok(addresses) => addresses,
            Err(error) => {
                errors.push(error);
                return None;
            }
        };
        for address in addresses {
            let attempt = self.connect_modes(target, address, attrs);
            let result = match self.plan.connect_timeout {
                None => attempt.await,
                Some(after) => timed(target, after, attempt).await,
            };
            match result {
                Ok(connected) => return Some(connected),
                // A host's further addresses are the same server: a refused login is refused there as well.
                Err(error @ (ConnectError::Auth { .. } | ConnectError::UnknownDatabase { .. })) => {
                    errors.push(error);
                    return None;
                }
                Err(error) => errors.push(error),
            }
        }
        None
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<Option<IpAddr>>, ConnectError> {
        if target.is_unix() {
            return Ok(vec![None]);
        }
        if let Some(address) = target.hostaddr.or_else(|| target.host.parse().ok()) {
            return Ok(vec![Some(address)]);
        }
        let found = lookup_host((target.host.as_str(), target.port))
            .await
            .map_err(|error| ConnectError::Dns {
                host: target.host.clone(),
                reason: innermost(&error),
            })?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found {
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
        if self.plan.shuffle {
            fastrand::shuffle(&mut addresses);
        }
        Ok(addresses.into_iter().map(Some).collect())
    }

    /// Plain text and TLS in the order of `sslmode`.
    async fn connect_modes(
        &self,
        target: &Target,
        address: Option<IpAddr>,
        attrs: SessionAttrs,
    ) -> Result<Connected, ConnectError> {
        // libpq: TLS is never used over a unix socket, whatever the mode.
        if target.is_unix() {
            return self.connect_once(target, address, DriverMode::Disable, attrs).await;
        }
        let (first, second) = match self.plan.tls.mode {
            SslMode::Disable => (DriverMode::Disable, None),
            SslMode::Allow => (DriverMode::Disable, Some(DriverMode::Require)),
            SslMode::Prefer => (DriverMode::Prefer, Some(DriverMode::Disable)),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (DriverMode::Require, None),
        };
        let error = match self.connect_once(target, address, first, attrs).await {
            Ok(connected) => {
                if first == DriverMode::Prefer && self.plan.tls.verifies_chain && !connected.encrypted {
                    self.warn_of_plain_text(
                        target,
                        &"the server has no TLS, although a root certificate is configured",
                    );
                }
                return Ok(connected);
            }
            Err(error) => error,
        };
        // libpq also repeats a login that failed for its password; the password would then travel in plain text, so only
        // a server that turned the kind of connection down (SQLSTATE 28000) is asked again.
        let other_kind_may_work = match &error {
            ConnectError::Tls { .. } => true,
            ConnectError::Auth { message, .. } => message.contains("pg_hba.conf"),
            _ => false,
        };
        match second.filter(|_| other_kind_may_work) {
            Some(second) => match self.connect_once(target, address, second, attrs).await {
                Ok(connected) => {
                    if second == DriverMode::Disable {
                        self.warn_of_plain_text(target, &error);
                    }
                    Ok(connected)
                }
                // The first error says what to mend when the second attempt fails as well.
                Err(_) => Err(error),
            },
            None => Err(error),
        }
    }

    /// Once per address: `sslmode=prefer` goes on in plain text where TLS fails, also when somebody between makes it fail.
    fn warn_of_plain_text(&self, target: &Target, reason: &dyn std::fmt::Display) {
        let address = target.to_string();
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if plain.insert(address.clone()) {
            tracing::warn!(
                address,
                reason = %reason,
                "the connection to Postgres is not encrypted, because sslmode is prefer and TLS failed; set sslmode=require or verify-full to be refused instead"
            );
        }
    }

    async fn connect_once(
        &self,
        target: &Target,
        address: Option<IpAddr>,
        mode: DriverMode,
        attrs: SessionAttrs,
    ) -> Result<Connected, ConnectError> {
        let mut config: Config = self.plan.base.clone();
        config.host(&target.host).port(target.port).ssl_mode(mode);
        if let Some(address) = address {
            config.hostaddr(address);
        }
        if let Some(password) = &target.password {
            config.password(password.expose());
        }
        let name = target.to_string();
        let unreachable = |error: io::Error| ConnectError::Unreachable {
            address: name.clone(),
            reason: innermost(&error),
        };
        let wire = Wire::open(&config, target, address).await.map_err(unreachable)?;
        let start = match (mode, config.get_ssl_negotiation()) {
            (DriverMode::Disable, _) => Start::Messages,
            (_, SslNegotiation::Direct) => Start::Encrypted,
            _ => Start::TlsAnswer,
        };
        let flow = Flow::new(self.rows.clone());
        let Ok(inner) = MakeTlsConnect::<Plain>::make_tls_connect(&mut self.tls(), &target.host);
        let encrypted = Arc::new(AtomicBool::new(false));
        let tls = WatchedConnect {
            inner,
            used: Arc::clone(&encrypted),
            flow: flow.clone(),
        };
        let (client, mut connection) = config
            .connect_raw(Metered::new(wire, start, flow.clone()), tls)
            .await
            .map_err(|error| ConnectError::from_driver(&name, &error))?;
        check_attrs(&client, &mut connection, attrs, &name).await?;
        Ok(Connected {
            client,
            connection,
            address: name,
            encrypted: encrypted.load(Ordering::Relaxed),
            flow,
        })
    }
}

type RustlsConnect = <MakeRustlsConnect as MakeTlsConnect<Plain>>::TlsConnect;

/// rustls that notes whether it was asked to encrypt, which the driver does not tell (`sslmode=prefer`).
struct WatchedConnect {
    inner: RustlsConnect,
    used: Arc<AtomicBool>,
    flow: Flow,
}

impl TlsConnect<Plain> for WatchedConnect {
    type Stream = Metered<RustlsStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Stream>>;

    fn connect(self, stream: Plain) -> Self::Future {
        // Called only after the server agreed to TLS; a failed handshake is an error of the whole attempt.
        self.used.store(true, Ordering::Relaxed);
        Box::pin(async move {
            let stream = TlsConnect::<Plain>::connect(self.inner, stream).await?;
            Ok(Metered::new(stream, Start::Messages, self.flow))
        })
    }
}

async fn timed(
    target: &Target,
    after: Duration,
    attempt: impl Future<Output = Result<Connected, ConnectError>>,
) -> Result<Connected, ConnectError> {
    let result = tokio::time::timeout(after, attempt).await;
    result.unwrap_or_else(|_| {
        Err(ConnectError::Timeout {
            address: target.to_string(),
            after,
        })
    })
}

/// Whether sessions are read-only: as this one was when it began, because behind a pooler another program may have changed it.
const READ_ONLY: &str = "select case when pg_catalog.pg_is_in_recovery() then 'on' else s.reset_val end \
    from pg_catalog.pg_settings s where s.name operator(pg_catalog.=) 'default_transaction_read_only'";

/// Asks the server whether it is what `target_session_attrs` wants.
async fn check_attrs(
    client: &Client,
    connection: &mut PgConnection,
    attrs: SessionAttrs,
    address: &str,
) -> Result<(), ConnectError> {
    let (question, yes, wanted) = match attrs {
        SessionAttrs::Any | SessionAttrs::PreferStandby => return Ok(()),
        SessionAttrs::ReadWrite => (READ_ONLY, "off", "read-write"),
        SessionAttrs::ReadOnly => (READ_ONLY, "on", "read-only"),
        SessionAttrs::Primary => ("select pg_catalog.pg_is_in_recovery()", "f", "a primary"),
        SessionAttrs::Standby => ("select pg_catalog.pg_is_in_recovery()", "t", "a standby"),
    };
    let broken = |error: &tokio_postgres::Error| ConnectError::from_driver(address, error);
    let messages = tokio::select! {
        messages = client.simple_query(question) => messages.map_err(|error| broken(&error))?,
        closed = connection => {
            let reason = closed.err().map_or_else(|| "closed by the server".to_owned(), |error| innermost(&error));
            return Err(ConnectError::Broken { address: address.to_owned(), reason });
        }
    };
    let answer = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    if answer == Some(yes) {
        return Ok(());
    }
    Err(ConnectError::WrongRole {
        address: address.to_owned(),
        wanted,
    })
}
