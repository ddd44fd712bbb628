//! The HTTP port of `serve`, where there is to be one. Serves nothing itself.

use std::net::SocketAddr;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::ports::{bind_tcp, grpc_settings};
use super::serve_error::ServeError;
use crate::config::Config;
use crate::server::Certificates;
use crate::server::http::{HttpDoor, HttpSettings};

/// Binds the HTTP port, where there is to be one; what serves it is ready when it has drained.
pub(super) async fn start_http(
    config: &Config,
    door: HttpDoor,
    tls: Option<Certificates>,
    stop: &CancellationToken,
) -> Result<(Option<SocketAddr>, BoxFuture<'static, ()>), ServeError> {
    let Some(address) = config.http_listen() else {
        return Ok((None, Box::pin(std::future::ready(()))));
    };
    let listener = bind_tcp("http_listen", address).await?;
    let local = listener.local_addr().ok();
    let served = crate::server::http::serve(listener, http_settings(config), tls, door, stop.clone());
    Ok((local, Box::pin(served)))
}

/// Its connections have the limits of those of the gRPC port.
fn http_settings(config: &Config) -> HttpSettings {
    let grpc = grpc_settings(config);
    HttpSettings {
        idle_timeout: grpc.idle_timeout,
        crowd: grpc.crowd,
    }
}
