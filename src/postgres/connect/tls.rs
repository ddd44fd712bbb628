//! From `ssl*` parameters to a rustls configuration with libpq's meaning. One crypto provider: ring.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use super::parameters::{Parameters, home_file};
use super::sslmode::SslMode;
use super::verifier::{Chain, LibpqVerifier};
use crate::config::Source;

/// What was decided about TLS.
#[derive(Debug, Clone)]
pub struct TlsChoice {
    /// The mode in force.
    pub mode: SslMode,
    /// True when the server's certificate must lead to a known authority.
    pub verifies_chain: bool,
    /// True when it must be for the host that was asked for.
    pub verifies_name: bool,
    /// TLS starts at once (`sslnegotiation=direct`, PostgreSQL 17 and later) instead of after a request.
    pub direct: bool,
    pub(super) client: Arc<ClientConfig>,
}

enum Roots {
    None,
    System,
    File(PathBuf, String),
}

/// Takes every `ssl*` parameter and builds the client side of TLS. An error is one sentence without a subject.
pub(super) fn choose(parameters: &mut Parameters, source: &dyn Source) -> Result<TlsChoice, String> {
    let mode = parameters
        .take("sslmode")
        .map(|text| SslMode::parse(&text))
        .transpose()?;
    let roots = roots(parameters, source)?;
    let mode = match (&roots, mode) {
        // libpq: the system's authorities sign for everybody, so only a check of the name means anything.
        (Roots::System, None) => SslMode::VerifyFull,
        (Roots::System, Some(mode)) if mode != SslMode::VerifyFull => {
            return Err(format!(
                "sslmode={mode} is too weak for sslrootcert=system; use verify-full"
            ));
        }
        (_, mode) => mode.unwrap_or(SslMode::Prefer),
    };
    if matches!(roots, Roots::None) && mode >= SslMode::VerifyCa {
        return Err(format!(
            "sslmode={mode} needs a root certificate: put one into ~/.postgresql/root.crt, or set sslrootcert to its file, \
             or to system for the authorities that this machine trusts"
        ));
    }
    let direct = match parameters.take("sslnegotiation").as_deref() {
        None | Some("postgres") => false,
        Some("direct") if mode >= SslMode::Require => true,
        Some("direct") => {
            return Err(format!(
                "sslmode={mode} is too weak for sslnegotiation=direct; use require or stronger"
            ));
        }
        Some(other) => return Err(format!("sslnegotiation is {other:?}; allowed: postgres, direct")),
    };
    let verifies_chain = !matches!(roots, Roots::None);
    let verifies_name = mode == SslMode::VerifyFull;
    let client = client_config(parameters, source, &roots, verifies_name, direct)?;
    Ok(TlsChoice {
        mode,
        verifies_chain,
        verifies_name,
        direct,
        client: Arc::new(client),
    })
}

fn roots(parameters: &mut Parameters, source: &dyn Source) -> Result<Roots, String> {
    let read = |path: &PathBuf| {
        source
            .read_small(path)
            .map_err(|error| format!("cannot read the root certificates {}: {error}", path.display()))
    };
    match parameters.take("sslrootcert") {
        Some(word) if word == "system" => Ok(Roots::System),
        Some(path) => {
            let path = PathBuf::from(path);
            let text = read(&path)?;
            Ok(Roots::File(path, text))
        }
        None => match home_file(source, ".postgresql/root.crt").filter(|path| source.permissions(path).is_ok()) {
            Some(path) => {
                let text = read(&path)?;
                Ok(Roots::File(path, text))
            }
            None => Ok(Roots::None),
        },
    }
}

fn client_config(
    parameters: &mut Parameters,
    source: &dyn Source,
    roots: &Roots,
    check_name: bool,
    direct: bool,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = chain(parameters, source, roots, check_name, &provider)?;
    let verifier = LibpqVerifier {
        chain,
        provider: Arc::clone(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(parameters)?)
        .map_err(|error| format!("no TLS version is left: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut client = match identity(parameters, source)? {
        Some((certificates, key)) => builder
            .with_client_auth_cert(certificates, key)
            .map_err(|error| format!("sslcert and sslkey do not fit each other: {error}"))?,
        None => builder.with_no_client_auth(),
    };
    client.enable_sni = match parameters.take("sslsni").as_deref() {
        None | Some("1") => true,
        Some("0") => false,
        Some(other) => return Err(format!("sslsni is {other:?}; allowed: 0, 1")),
    };
    if direct {
        // The name that PostgreSQL 17 asks for when TLS starts without a request.
        client.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(client)
}

fn chain(
    parameters: &mut Parameters,
    source: &dyn Source,
    roots: &Roots,
    check_name: bool,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Chain>, String> {
    let crl = parameters.take("sslcrl");
    let certificates = match roots {
        Roots::None if crl.is_some() => return Err("sslcrl needs root certificates; set sslrootcert".to_owned()),
        Roots::None => return Ok(None),
        Roots::System => rustls_native_certs::load_native_certs().certs,
        Roots::File(path, text) => certificates(text)
            .map_err(|reason| format!("{} holds no usable root certificate: {reason}", path.display()))?,
    };
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        return Err("no usable root certificate was found".to_owned());
    }
    let mut builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
    if let Some(path) = crl {
        let text = source
            .read(path.as_ref())
            .map_err(|error| format!("cannot read sslcrl {path:?}: {error}"))?;
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(text.as_bytes()).collect();
        builder = builder.with_crls(lists.map_err(|error| format!("sslcrl {path:?} is not PEM: {error}"))?);
    }
    let webpki = builder
        .build()
        .map_err(|error| format!("the root certificates cannot be used: {error}"))?;
    // Of the system's authorities none is a server itself.
    let roots = if matches!(roots, Roots::File(..)) {
        certificates
    } else {
        Vec::new()
    };
    Ok(Some(Chain {
        webpki,
        roots,
        check_name,
    }))
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("it has no `BEGIN CERTIFICATE`".to_owned());
    }
    Ok(found)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client's certificate and key: as named, or the two files in `~/.postgresql` when the certificate exists.
fn identity(parameters: &mut Parameters, source: &dyn Source) -> Result<Option<Identity>, String> {
    let named = parameters.take("sslcert").map(PathBuf::from);
    let default = || home_file(source, ".postgresql/postgresql.crt").filter(|path| source.permissions(path).is_ok());
    let key = parameters.take("sslkey").map(PathBuf::from);
    if parameters.take("sslpassword").is_some() {
        return Err(
            "sslpassword is not supported; store the key without a password, readable by its owner only".to_owned(),
        );
    }
    let Some(cert_path) = named.or_else(default) else {
        return Ok(None);
    };
    let key_path = key
        .or_else(|| home_file(source, ".postgresql/postgresql.key"))
        .ok_or_else(|| format!("sslcert {} needs sslkey", cert_path.display()))?;
    let text = source
        .read(&cert_path)
        .map_err(|error| format!("cannot read sslcert {}: {error}", cert_path.display()))?;
    let chain =
        certificates(&text).map_err(|reason| format!("sslcert {} cannot be used: {reason}", cert_path.display()))?;
    let cannot_read = |error| format!("cannot read sslkey {}: {error}", key_path.display());
    // libpq also allows 0640, for keys that belong to root.
    if source
        .permissions(&key_path)
        .map_err(cannot_read)?
        .is_some_and(|mode| mode & 0o037 != 0)
    {
        return Err(format!(
            "sslkey {} is open to group or others; its permissions must be 0600, or 0640 when root owns it",
            key_path.display()
        ));
    }
    let text = source.read_small(&key_path).map_err(cannot_read)?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| {
        format!(
            "sslkey {} is not an unencrypted PEM key (PKCS#8, SEC1 or PKCS#1): {error}",
            key_path.display()
        )
    })?;
    Ok(Some((chain, key)))
}

/// rustls has 1.2 and 1.3; a lower minimum means 1.2.
fn versions(parameters: &mut Parameters) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut rank = |keyword: &str, default: u8| match parameters.take(keyword).as_deref() {
        None => Ok(default),
        Some("TLSv1") => Ok(0),
        Some("TLSv1.1") => Ok(1),
        Some("TLSv1.2") => Ok(2),
        Some("TLSv1.3") => Ok(3),
        Some(other) => Err(format!(
            "{keyword} is {other:?}; allowed: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"
        )),
    };
    let least = rank("ssl_min_protocol_version", 2)?;
    let most = rank("ssl_max_protocol_version", 3)?;
    let offered = [(2, &version::TLS12), (3, &version::TLS13)];
    let kept = offered.into_iter().filter(|(rank, _)| (least..=most).contains(rank));
    let kept: Vec<_> = kept.map(|(_, version)| version).collect();
    if kept.is_empty() {
        return Err(
            "ssl_min_protocol_version and ssl_max_protocol_version leave no TLS version of 1.2 and 1.3".to_owned(),
        );
    }
    Ok(kept)
}
