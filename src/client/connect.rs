//! Connections to a server: addresses as Flight clients write them, TLS, the bearer token, HTTP/2 limits.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use base64::Engine;
use tonic::Code;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint as HttpEndpoint};

use super::put::Refusal;
use super::wrong_port;

/// Where a server is looked for when nobody says where: the default of `pgflight serve`.
pub const DEFAULT_SERVER: &str = "grpc://127.0.0.1:8815";
/// Uploads flow the other way, so only answers use these windows; they are still set, not left to a default.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Largest answer taken: results are small JSON objects.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Long loads may send nothing for minutes (standard input): pings keep balancers from closing the connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Which server to use.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// One that listens somewhere.
    Server(Server),
    /// One that is connected already, such as a server in this process; `name` is used in messages.
    Connected {
        /// The connection.
        channel: Channel,
        /// What to call it.
        name: String,
    },
}

/// A server's address and how to be let in.
#[derive(Clone)]
pub struct Server {
    /// `grpc://host:port`, `grpc+tcp://`, `grpc+tls://`, `http://`, `https://`, or just `host:port`.
    pub uri: String,
    /// Bearer token.
    pub token: Option<String>,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Server {
    /// A server without token, trusted by the system's authorities if it speaks TLS.
    pub fn at(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            token: None,
            ca_file: None,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("uri", &self.uri)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address cannot be used.
    #[error("{uri:?} is not a server address: {reason}; write grpc://host:port or grpc+tls://host:port")]
    Address {
        /// The address as given.
        uri: String,
        /// What is wrong.
        reason: String,
    },
    /// The token cannot be sent.
    #[error("the token holds characters that no HTTP header can carry")]
    Token,
    /// The authorities cannot be read.
    #[error("cannot read the certificate authorities in {path:?}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The system trusts nobody.
    #[error("no certificate authority is installed on this system; name one with --ca-file")]
    NoAuthorities,
    /// Nobody answers.
    #[error("cannot reach a server at {uri}: {reason}; start one with `pgflight serve`, or name another with --to")]
    Unreachable {
        /// The address as given.
        uri: String,
        /// The innermost cause.
        reason: String,
    },
}

/// An open connection; cheap to clone.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    authorization: Option<AsciiMetadataValue>,
    name: String,
    /// `host:port` of a server that listens somewhere, and whether TLS was asked for.
    address: Option<(String, bool)>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, or takes the connection that is there.
    pub async fn open(endpoint: Endpoint) -> Result<Self, ConnectError> {
        let server = match endpoint {
            Endpoint::Connected { channel, name } => {
                return Ok(Self {
                    channel,
                    authorization: None,
                    name,
                    address: None,
                });
            }
            Endpoint::Server(server) => server,
        };
        let authorization = server.token.as_deref().map(bearer).transpose()?;
        let (uri, tls) = http_uri(&server.uri)?;
        let authority = uri.split_once("://").map_or("", |(_, authority)| authority).to_owned();
        let channel = match http_endpoint(&server)?.connect().await {
            Ok(channel) => channel,
            Err(error) => {
                let found = wrong_port::look(&authority, tls).await;
                return Err(ConnectError::Unreachable {
                    uri: server.uri.clone(),
                    reason: found.unwrap_or_else(|| innermost(&error)),
                });
            }
        };
        Ok(Self {
            channel,
            authorization,
            name: server.uri,
            address: Some((authority, tls)),
        })
    }

    /// A refusal with what answers at the address, where that is no gRPC server at all. A connection is made before anybody knows.
    pub(crate) async fn explained(&self, refusal: Refusal) -> Refusal {
        let Some((authority, tls)) = &self.address else {
            return refusal;
        };
        let transport = matches!(
            refusal.code,
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled | Code::Unimplemented
        );
        match transport {
            true => match wrong_port::look(authority, *tls).await {
                Some(message) => Refusal { message, ..refusal },
                None => refusal,
            },
            false => refusal,
        }
    }

    /// What the server is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A gRPC client on this connection; an answer is limited, a message to the server is not.
    pub(crate) fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
            .max_encoding_message_size(usize::MAX)
    }

    /// A Flight client on this connection.
    pub(crate) fn flight(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(crate) fn request<T>(&self, body: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(body);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }
}

fn bearer(token: &str) -> Result<AsciiMetadataValue, ConnectError> {
    let mut value: AsciiMetadataValue = format!("Bearer {token}").parse().map_err(|_| ConnectError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn http_endpoint(server: &Server) -> Result<HttpEndpoint, ConnectError> {
    let (uri, tls) = http_uri(&server.uri)?;
    let address_error = |error: tonic::transport::Error| ConnectError::Address {
        uri: server.uri.clone(),
        reason: innermost(&error),
    };
    let endpoint = HttpEndpoint::from_shared(uri)
        .map_err(address_error)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .user_agent(concat!("pgflight-load/", env!("CARGO_PKG_VERSION")))
        .map_err(address_error)?;
    if tls {
        endpoint.tls_config(tls_config(server)?).map_err(address_error)
    } else {
        Ok(endpoint)
    }
}

/// The address with the scheme that HTTP libraries know, and whether TLS is wanted.
fn http_uri(uri: &str) -> Result<(String, bool), ConnectError> {
    let address_error = |reason: &str| ConnectError::Address {
        uri: uri.to_owned(),
        reason: reason.to_owned(),
    };
    let (scheme, rest) = uri.split_once("://").unwrap_or(("grpc", uri));
    let tls = match scheme {
        "grpc" | "grpc+tcp" | "http" => false,
        "grpc+tls" | "grpcs" | "https" => true,
        _ => return Err(address_error("the scheme is unknown")),
    };
    let authority = rest.trim_end_matches('/');
    if authority.is_empty() {
        return Err(address_error("the host is missing"));
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !has_port {
        return Err(address_error("the port is missing"));
    }
    Ok((format!("{}://{authority}", if tls { "https" } else { "http" }), tls))
}

fn tls_config(server: &Server) -> Result<ClientTlsConfig, ConnectError> {
    if let Some(path) = &server.ca_file {
        let pem = std::fs::read(path).map_err(|source| ConnectError::Authorities {
            path: path.clone(),
            source,
        })?;
        return Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)));
    }
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return Err(ConnectError::NoAuthorities);
    }
    let certificates = found.iter().map(|der| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        Certificate::from_pem(format!(
            "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
        ))
    });
    Ok(ClientTlsConfig::new().ca_certificates(certificates))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_flight_clients_write_them() {
        let http = |uri: &str| http_uri(uri).unwrap();
        assert_eq!(http("grpc://h:1"), ("http://h:1".to_owned(), false));
        assert_eq!(http("grpc+tcp://[::1]:8815/"), ("http://[::1]:8815".to_owned(), false));
        assert_eq!(http("grpc+tls://h:1"), ("https://h:1".to_owned(), true));
        assert_eq!(http("localhost:8815"), ("http://localhost:8815".to_owned(), false));
        let refused = http_uri("ftp://h:1").unwrap_err().to_string();
        assert!(
            refused.starts_with("\"ftp://h:1\" is not a server address: the scheme is unknown"),
            "{refused}"
        );
        assert!(
            http_uri("grpc://h")
                .unwrap_err()
                .to_string()
                .contains("the port is missing")
        );
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_the_cause() {
        let error = Connection::open(Endpoint::Server(Server::at("grpc://127.0.0.1:1")))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("cannot reach a server at grpc://127.0.0.1:1: "),
            "{text}"
        );
        assert!(text.contains("refused"), "{text}");
    }
}
