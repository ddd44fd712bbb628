//! Certificate authorities made for one test, with their files.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A root that signs certificates; its files go when it is dropped.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    directory: PathBuf,
}

/// A certificate with its key, as PEM texts and files.
pub(crate) struct Issued {
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) cert_file: String,
    pub(crate) key_file: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("ring makes keys");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let directory = std::env::temp_dir().join(format!("pgflight-tls-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&directory).expect("a fresh directory");
        let authority = Self {
            issuer: Issuer::new(params, key),
            pem,
            directory,
        };
        std::fs::write(authority.file(), &authority.pem).expect("our directory");
        authority
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The root's own certificate as a file.
    pub(crate) fn file(&self) -> String {
        self.directory.join("root.crt").display().to_string()
    }

    /// A certificate for a host name.
    pub(crate) fn issue(&self, host: &str) -> Issued {
        let key = KeyPair::generate().expect("ring makes keys");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("a host name");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let file = |end: &str| self.directory.join(format!("{host}.{end}")).display().to_string();
        let issued = Issued {
            cert,
            key: key.serialize_pem(),
            cert_file: file("crt"),
            key_file: file("key"),
        };
        std::fs::write(&issued.cert_file, &issued.cert).expect("our directory");
        std::fs::write(&issued.key_file, &issued.key).expect("our directory");
        issued
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
