//! The doors: protocols in, calls of the ingest core out. Never touches Postgres.

mod accept;
pub mod admin;
pub(crate) mod arrow_ipc;
pub mod auth;
mod authority;
mod certificate_name;
pub mod cloudquery;
pub mod connection;
mod crowd;
mod doorman;
pub mod flight;
mod health;
pub mod http;
pub mod overview;
pub mod readiness;
mod secured;
pub mod status;
mod upload;

use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tower::util::MapRequestLayer;

use accept::Incoming;
use auth::Authenticator;
use cloudquery::CloudQueryFront;
use cloudquery::discovery_v0::discovery_server::DiscoveryServer as DiscoveryV0Server;
use cloudquery::discovery_v1::discovery_server::DiscoveryServer as DiscoveryV1Server;
use cloudquery::pb::plugin_server::PluginServer;
use crowd::Crowd;
pub use crowd::CrowdLimits;
use doorman::Doorman;
use flight::front::FlightFront;
use health::HealthFront;
use readiness::Readiness;
pub use secured::{Certificates, TlsFiles, UnusableTls};
use secured::{Protocol, secured};
use tonic_health::pb::health_server::HealthServer;
use upload::Upload;

/// Sizes and times of the gRPC server.
#[derive(Clone, Copy, Debug)]
pub struct GrpcSettings {
    /// Largest message that is taken; clients do not split batches, so the default of 4 MiB would refuse real uploads.
    pub max_message_bytes: usize,
    /// HTTP/2 flow control window of one stream.
    pub stream_window_bytes: u32,
    /// HTTP/2 flow control window of one connection.
    pub connection_window_bytes: u32,
    /// Streams that one connection may have open.
    pub max_streams: Option<u32>,
    /// Interval of HTTP/2 pings, so that a quiet stream is not cut by what lies between.
    pub keepalive: Duration,
    /// How long the answer to a ping may take before the connection is given up.
    pub keepalive_timeout: Duration,
    /// How long a call may wait for its only message.
    pub idle_timeout: Duration,
    /// What connections may use.
    pub crowd: CrowdLimits,
}

impl GrpcSettings {
    /// So many that those that wait for memory, each with a full window, cannot use up the connection's: the rest of a message
    /// that was given memory has to get through.
    fn streams_of_a_connection(&self) -> u32 {
        let fitting = (self.connection_window_bytes / self.stream_window_bytes).max(1);
        self.max_streams.map_or(fitting, |streams| streams.min(fitting))
    }
}

/// Largest HTTP/2 frame that we let clients send: fewer frames per batch than the default of 16 KiB.
const MAX_FRAME_BYTES: u32 = 1 << 20;

/// The gRPC server ended on its own.
#[derive(Debug, thiserror::Error)]
#[error("the gRPC server failed: {0}")]
pub struct GrpcError(#[from] tonic::transport::Error);

/// A bound socket that doors are served on.
#[derive(Debug)]
pub enum Listener {
    /// Host and port.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// What is served on the gRPC port.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Arrow Flight.
    pub flight: FlightFront,
    /// CloudQuery's plugin protocol.
    pub cloudquery: CloudQueryFront,
    /// Who is let in by any of them.
    pub authenticator: Authenticator,
    /// What health says.
    pub readiness: Readiness,
}

/// Serves all doors on one listener until `stop`, then waits for running calls.
///
/// # Errors
/// What the transport says.
pub async fn serve(
    listener: Listener,
    settings: GrpcSettings,
    tls: Option<Certificates>,
    doors: Doors,
    stop: CancellationToken,
) -> Result<(), GrpcError> {
    let flight = FlightServiceServer::new(doors.flight)
        .max_decoding_message_size(settings.max_message_bytes)
        .max_encoding_message_size(settings.max_message_bytes);
    let plugin = PluginServer::new(doors.cloudquery.clone())
        .max_decoding_message_size(settings.max_message_bytes)
        .max_encoding_message_size(settings.max_message_bytes);
    let router = Server::builder()
        .initial_stream_window_size(settings.stream_window_bytes)
        .initial_connection_window_size(settings.connection_window_bytes)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_concurrent_streams(Some(settings.streams_of_a_connection()))
        .http2_keepalive_interval(Some(settings.keepalive))
        .http2_keepalive_timeout(Some(settings.keepalive_timeout))
        .layer(Doorman::new(doors.authenticator))
        .layer(MapRequestLayer::new(move |request| {
            Upload::guard(request, settings.max_message_bytes, settings.idle_timeout)
        }))
        .add_service(HealthServer::new(HealthFront::new(doors.readiness)))
        .add_service(flight)
        .add_service(plugin)
        .add_service(DiscoveryV1Server::new(doors.cloudquery.clone()))
        .add_service(DiscoveryV0Server::new(doors.cloudquery));
    let crowd = Crowd::new("grpc", settings.crowd);
    match listener {
        Listener::Tcp(socket) => {
            let incoming = Incoming::new(socket, crowd).stream();
            let stop = stop.cancelled_owned();
            match tls {
                Some(tls) => {
                    router
                        .serve_with_incoming_shutdown(secured(incoming, tls, Protocol::Grpc), stop)
                        .await?
                }
                None => router.serve_with_incoming_shutdown(incoming, stop).await?,
            }
        }
        Listener::Unix(socket) => {
            let incoming = Incoming::new(socket, crowd).stream();
            let stop = stop.cancelled_owned();
            match tls {
                Some(tls) => {
                    router
                        .serve_with_incoming_shutdown(secured(incoming, tls, Protocol::Grpc), stop)
                        .await?
                }
                None => router.serve_with_incoming_shutdown(incoming, stop).await?,
            }
        }
    }
    Ok(())
}
