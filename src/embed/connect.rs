//! Connections to an embeddings service, with TLS by rustls and ring for https. Why there is none is told apart here: no
//! name, refused, no TLS.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::Unreached;

/// How long the way to the service may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections, with TLS for https.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector that trusts the authorities of this machine, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(error = %error, "certificates of authorities cannot be read (SSL_CERT_FILE, SSL_CERT_DIR)");
        }
        let (_, unusable) = roots.add_parsable_certificates(found.certs);
        if unusable > 0 {
            tracing::debug!(unusable, "some certificates of this machine cannot be used");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = versions.with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
        })
    }
}

/// A connection with or without TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = Unreached;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Unreached>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreached>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let secure = uri.scheme_str() == Some("https");
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            let opened = open(tls.clone(), &host, port, secure);
            let opened = tokio::time::timeout(CONNECT_TIMEOUT, opened).await;
            opened.unwrap_or_else(|_| Err(Unreached::Silent(format!("{host}:{port}"))))
        })
    }
}

async fn open(tls: TlsConnector, host: &str, port: u16, secure: bool) -> Result<Stream, Unreached> {
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<_> = found.map_err(|_| Unreached::Dns(host.to_owned()))?.collect();
    if addresses.is_empty() {
        return Err(Unreached::Dns(host.to_owned()));
    }
    let stream = TcpStream::connect(&addresses[..]).await;
    let stream = stream.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => Unreached::Refused(format!("{host}:{port}")),
        kind => Unreached::NoWay(format!("{host}:{port}"), kind),
    })?;
    // A delay costs time and nothing else.
    drop(stream.set_nodelay(true));
    if !secure {
        return Ok(Stream::Plain(TokioIo::new(stream)));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Unreached::Dns(host.to_owned()))?;
    let stream = tls.connect(name, stream).await.map_err(|error| no_tls(host, &error))?;
    Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
}

/// Why there is no TLS. Texts of rustls name certificates and versions, and nothing that was sent.
fn no_tls(host: &str, error: &io::Error) -> Unreached {
    let host = host.to_owned();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Unreached::UnknownAuthority(host),
        Some(error) => Unreached::Tls(host, error.to_string()),
        None => Unreached::Broke("in the TLS handshake"),
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
