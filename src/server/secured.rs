//! TLS of the ports for rows by certificates that can be changed while it serves: each handshake takes those that hold at its
//! begin, and connections that are there keep theirs. tonic's own acceptor has them for good.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::certificate_name::name_of;
use super::connection::{ConnectionInfo, Tracked};

/// Certificates of the ports for rows, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate and chain.
    pub cert: Vec<u8>,
    /// Private key.
    pub key: Vec<u8>,
    /// Authorities of client certificates; with them, clients must have one.
    pub client_ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles")
            .field("client_ca", &self.client_ca.is_some())
            .finish_non_exhaustive()
    }
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key} cannot be used: {why}")]
pub struct UnusableTls {
    /// The configuration's key.
    pub key: &'static str,
    /// What is wrong with its file.
    pub why: String,
}

/// The certificates that hold now. Cheap to clone; all clones see a change.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<RwLock<Arc<ServerConfig>>>);

impl Certificates {
    /// These certificates.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn new(files: &TlsFiles) -> Result<Self, UnusableTls> {
        Ok(Self(Arc::new(RwLock::new(server_config(files)?))))
    }

    /// From the next handshake on these hold.
    ///
    /// # Errors
    /// As [`Certificates::new`]; the old ones stay then.
    pub fn change(&self, files: &TlsFiles) -> Result<(), UnusableTls> {
        let new = server_config(files)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn acceptor(&self, protocol: Protocol) -> TlsAcceptor {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        match protocol {
            Protocol::Grpc => config.into(),
            Protocol::Http => {
                let mut config = ServerConfig::clone(&config);
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Arc::new(config).into()
            }
        }
    }
}

/// What is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// gRPC, over HTTP/2.
    Grpc,
    /// HTTP/1.1.
    Http,
}

fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, UnusableTls> {
    fn unusable(key: &'static str) -> impl Fn(&dyn std::fmt::Display) -> UnusableTls {
        move |why| UnusableTls {
            key,
            why: why.to_string(),
        }
    }
    let (cert, key, client_ca) = (unusable("tls.cert"), unusable("tls.key"), unusable("tls.client_ca"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| cert(&error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for one in CertificateDer::pem_slice_iter(pem) {
                let one = one.map_err(|error| client_ca(&error))?;
                roots.add(one).map_err(|error| client_ca(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| client_ca(&error))?)
        }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files.cert).collect();
    let chain = chain.map_err(|error| cert(&error))?;
    let private = PrivateKeyDer::from_pem_slice(&files.key).map_err(|error| key(&error))?;
    let mut config = builder.with_single_cert(chain, private).map_err(|error| cert(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A connection with TLS.
pub(super) struct Secured<Io> {
    io: TlsStream<Tracked<Io>>,
    info: ConnectionInfo,
}

impl<Io> Secured<Io> {
    fn new(io: TlsStream<Tracked<Io>>) -> Self {
        let (tracked, session) = io.get_ref();
        let mut info = tracked.connect_info();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        info.peer_name.certificate = certificate.and_then(|certificate| name_of(certificate)).map(Arc::from);
        Self { io, info }
    }
}

impl<Io> Connected for Secured<Io> {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

/// Connections after their handshakes, of which any number is under way at once; one that fails is nobody else's business.
pub(super) fn secured<Io>(
    incoming: impl Stream<Item = io::Result<Tracked<Io>>> + Send + 'static,
    certificates: Certificates,
    protocol: Protocol,
) -> impl Stream<Item = io::Result<Secured<Io>>>
where
    Io: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
{
    let handshakes: JoinSet<io::Result<TlsStream<Tracked<Io>>>> = JoinSet::new();
    let begin = (Box::pin(incoming), handshakes, certificates);
    futures::stream::unfold(begin, move |(mut incoming, mut handshakes, certificates)| async move {
        loop {
            tokio::select! {
                connection = incoming.next() => match connection? {
                    Ok(connection) => {
                        let acceptor = certificates.acceptor(protocol);
                        handshakes.spawn(async move { acceptor.accept(connection).await });
                    }
                    Err(error) => return Some((Err(error), (incoming, handshakes, certificates))),
                },
                Some(ended) = handshakes.join_next() => match ended {
                    Ok(Ok(stream)) => return Some((Ok(Secured::new(stream)), (incoming, handshakes, certificates))),
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(error) => tracing::debug!(%error, "a TLS handshake ended unexpectedly"),
                },
            }
        }
    })
}
