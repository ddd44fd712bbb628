//! `pgflight serve`: our flags, and those with which the CloudQuery CLI starts a plugin.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::config_flags::ConfigFlags;
use crate::config::Flags;

/// Kind of address in `--address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// TCP.
    #[value(alias = "tcp4", alias = "tcp6")]
    Tcp,
    /// A unix socket.
    Unix,
}

/// `pgflight serve`.
///
/// With `--network` or `--address` (the CloudQuery CLI gives both) the address overrides `listen`, and the admin port is off
/// unless `--admin-listen` is given, so that several plugins can run side by side.
#[derive(Debug, Args)]
pub struct ServeCommand {
    /// Kind of address in --address
    #[arg(long, env = "PGFLIGHT_NETWORK", value_enum)]
    pub network: Option<Network>,
    /// Address to listen on: host:port, or the path of a socket
    #[arg(long, env = "PGFLIGHT_ADDRESS")]
    pub address: Option<String>,
    /// Accepted for the CloudQuery CLI; nothing is ever reported to Sentry
    #[arg(long, env = "PGFLIGHT_NO_SENTRY")]
    pub no_sentry: bool,
    /// Accepted for the CloudQuery CLI; pgflight needs no licence file
    #[arg(long, env = "PGFLIGHT_LICENSE", value_name = "FILE")]
    pub license: Option<PathBuf>,
    /// OpenTelemetry collector that takes OTLP over HTTP, as host:port or URL; the same as --set traces.endpoint=URL
    #[arg(long, value_name = "ADDRESS")]
    pub otel_endpoint: Option<String>,
    /// The collector of --otel-endpoint is spoken to without TLS, where its address has no scheme
    #[arg(long)]
    pub otel_endpoint_insecure: bool,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl ServeCommand {
    /// True when the CloudQuery CLI's address flags were given.
    pub fn is_plugin(&self) -> bool {
        self.network.is_some() || self.address.is_some()
    }

    /// What was given about the configuration, address flags included.
    pub fn flags(&self) -> Flags {
        let mut flags = self.config.flags();
        let mut implied = Vec::new();
        if let Some(endpoint) = &self.otel_endpoint {
            let scheme = match (endpoint.contains("://"), self.otel_endpoint_insecure) {
                (true, _) => "",
                (false, true) => "http://",
                (false, false) => "https://",
            };
            implied.push(("traces.endpoint".to_owned(), format!("{scheme}{endpoint}")));
        }
        if self.is_plugin() {
            implied.push(("admin_listen".to_owned(), "off".to_owned()));
        }
        if let Some(address) = &self.address {
            let listen = match self.network {
                Some(Network::Unix) => format!("unix:{address}"),
                _ => address.clone(),
            };
            implied.push(("listen".to_owned(), listen));
        }
        // Later values win: what was typed as a flag of its own stands.
        implied.append(&mut flags.values);
        flags.values = implied;
        flags
    }
}
