//! The sockets that `serve` listens on and what it serves them with, as the configuration says. Serves nothing itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, UnixListener};

use super::open_files::{self, Places};
use super::serve_error::ServeError;
use crate::config::{Config, ListenAddress};
use crate::server::{CrowdLimits, GrpcSettings, Listener, TlsFiles};

/// Reads the certificates now, so that a wrong path stops the start and not the first client.
pub(super) fn tls_files(config: &Config) -> Result<Option<TlsFiles>, ServeError> {
    let Some(tls) = &config.raw().tls else { return Ok(None) };
    let read = |key: &'static str, path: &PathBuf| {
        std::fs::read(path).map_err(|source| ServeError::Certificate {
            key,
            path: path.clone(),
            source,
        })
    };
    Ok(Some(TlsFiles {
        cert: read("tls.cert", &tls.cert)?,
        key: read("tls.key", &tls.key)?,
        client_ca: tls
            .client_ca
            .as_ref()
            .map(|path| read("tls.client_ca", path))
            .transpose()?,
    }))
}

pub(super) fn grpc_settings(config: &Config) -> GrpcSettings {
    let (limits, all) = (&config.raw().limits, open_files::places(config));
    let places = if config.http_listen().is_some() {
        halved(all)
    } else {
        all
    };
    GrpcSettings {
        max_message_bytes: usize::try_from(limits.max_message_bytes).unwrap_or(usize::MAX),
        stream_window_bytes: limits.http2_stream_window_bytes,
        connection_window_bytes: limits.http2_connection_window_bytes,
        max_streams: Some(limits.max_streams),
        keepalive: limits.http2_keepalive_interval.get(),
        keepalive_timeout: limits.http2_keepalive_timeout.get(),
        idle_timeout: limits.stream_idle_timeout.get(),
        crowd: CrowdLimits {
            total: places.total,
            per_address: places.per_address,
            first_call: limits.handshake_timeout.get(),
            brief: false,
        },
    }
}

pub(super) async fn bind(
    address: &ListenAddress,
) -> Result<(Listener, Option<SocketAddr>, Option<PathBuf>), ServeError> {
    match address {
        ListenAddress::Tcp { .. } => {
            let listener = bind_tcp("listen", address).await?;
            let local = listener.local_addr().ok();
            Ok((Listener::Tcp(listener), local, None))
        }
        ListenAddress::Unix(path) => {
            let listener = UnixListener::bind(path).map_err(|source| ServeError::Bind {
                key: "listen",
                address: path.display().to_string(),
                source,
            })?;
            Ok((Listener::Unix(listener), None, Some(path.clone())))
        }
    }
}

/// Half of the places, of which each port has one.
fn halved(places: Places) -> Places {
    Places {
        total: places.total.div_ceil(2),
        per_address: places.per_address.div_ceil(2),
    }
}

pub(super) async fn bind_tcp(key: &'static str, address: &ListenAddress) -> Result<TcpListener, ServeError> {
    let text = address.to_string();
    let ListenAddress::Tcp { host, port } = address else {
        let source = std::io::Error::new(std::io::ErrorKind::Unsupported, "a TCP address is needed");
        return Err(ServeError::Bind {
            key,
            address: text,
            source,
        });
    };
    TcpListener::bind((host.as_str(), *port))
        .await
        .map_err(|source| ServeError::Bind {
            key,
            address: text,
            source,
        })
}
