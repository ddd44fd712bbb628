//! What a client's certificate calls it: its common name, else its first alternative name. Pure.

use x509_cert::Certificate;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// X.520's commonName.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The name in a certificate; `None` where there is none, or more than one common name.
pub(super) fn name_of(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
    let parts = certificate.subject.0.iter().flat_map(|part| part.0.iter());
    let mut common = parts.filter(|part| part.oid == COMMON_NAME).map(|part| {
        let text = match part.value.tag() {
            Tag::Utf8String => part.value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str().to_owned(),
            Tag::PrintableString => part
                .value
                .decode_as::<PrintableStringRef<'_>>()
                .ok()?
                .as_str()
                .to_owned(),
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    });
    match (common.next(), common.next()) {
        (Some(name), None) => name,
        (Some(_), Some(_)) => None,
        (None, _) => {
            let (_, names) = certificate.get::<SubjectAltName>().ok()??;
            names.0.iter().find_map(|name| match name {
                GeneralName::UniformResourceIdentifier(name)
                | GeneralName::DnsName(name)
                | GeneralName::Rfc822Name(name) => Some(name.as_str().to_owned()),
                _ => None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn named(common: &[&str], alternative: &[&str]) -> Option<String> {
        let names: Vec<String> = alternative.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for name in common {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        let key = KeyPair::generate().unwrap();
        name_of(params.self_signed(&key).unwrap().der())
    }

    #[test]
    fn a_certificate_s_common_name_counts_before_its_alternative_names() {
        assert_eq!(named(&["etl"], &["host.example"]).as_deref(), Some("etl"));
        assert_eq!(named(&["naïve"], &[]).as_deref(), Some("naïve"));
        assert_eq!(
            named(&[], &["host.example", "other.example"]).as_deref(),
            Some("host.example")
        );
        assert_eq!(named(&[], &[]), None);
        assert_eq!(name_of(b"no certificate"), None);
    }
}
