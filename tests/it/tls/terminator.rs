//! Ends TLS before a Postgres that has none: answers SSLRequest with `S` and passes on the decrypted bytes, and passes on
//! plain connections as they are, counting both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::authority::Issued;
use crate::support::database::Database;

/// Length 8 and the code 80877103, as the frontend sends them (protocol "SSLRequest").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// TLS of a server that presents this certificate.
pub(super) fn server_config(issued: &Issued) -> ServerConfig {
    let chain = vec![CertificateDer::from_pem_slice(issued.cert.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .expect("a certificate with its key")
}

#[derive(Default)]
struct Counts {
    encrypted: AtomicUsize,
    plain: AtomicUsize,
}

pub(super) struct Terminator {
    port: u16,
    counts: Arc<Counts>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Terminator {
    pub(super) async fn start(database: &Database, issued: &Issued) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(issued)));
        let postgres: u16 = database.value("show port").await.parse().expect("a port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, counts) = (acceptor.clone(), Arc::clone(&counted));
                // A connection that the client refuses in the handshake just ends.
                tokio::spawn(async move { serve(client, &acceptor, &counts, postgres).await.ok() });
            }
        });
        Self {
            port,
            counts,
            accepting,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Connections that finished the handshake.
    pub(super) fn encrypted(&self) -> usize {
        self.counts.encrypted.load(Ordering::SeqCst)
    }

    /// Connections that never asked for TLS.
    pub(super) fn plain(&self) -> usize {
        self.counts.plain.load(Ordering::SeqCst)
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut client: TcpStream, acceptor: &TlsAcceptor, counts: &Counts, postgres: u16) -> std::io::Result<()> {
    let mut first = [0; 8];
    client.read_exact(&mut first).await?;
    if first == SSL_REQUEST {
        client.write_all(b"S").await?;
        let client = acceptor.accept(client).await?;
        counts.encrypted.fetch_add(1, Ordering::SeqCst);
        pass_on(client, &[], postgres).await
    } else {
        counts.plain.fetch_add(1, Ordering::SeqCst);
        pass_on(client, &first, postgres).await
    }
}

async fn pass_on(mut client: impl AsyncRead + AsyncWrite + Unpin, first: &[u8], postgres: u16) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", postgres)).await?;
    server.write_all(first).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
