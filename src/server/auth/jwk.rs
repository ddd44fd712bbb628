//! Public keys of a JSON Web Key Set, and signatures checked by them, by ring. A key knows its kind, so that a signature of
//! another algorithm is not even looked at; shared secrets are no keys here. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

use crate::config::JwtAlgorithm;

/// A key that checks signatures.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    /// Its name, which tokens give.
    pub(super) id: Option<String>,
    /// The only algorithm that it is for, where the set says one.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Reads a member of a set; `None` for one that checks no signatures.
    pub(super) fn read(member: &Value) -> Option<Self> {
        let text = |name: &str| member.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL.decode(text(name)?).ok();
        if text("use").is_some_and(|named| named != "sig") {
            return None;
        }
        let point = |width: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let fits = x.len() == width && y.len() == width;
            // Uncompressed, as SEC 1 has it.
            fits.then(|| [&[4][..], &x[..], &y[..]].concat())
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa {
                n: bytes("n")?,
                e: bytes("e")?,
            },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x")?),
            _ => return None,
        };
        Some(Self {
            id: text("kid").map(str::to_owned),
            algorithm: text("alg").map(str::to_owned),
            material,
        })
    }

    /// Whether a signature of that algorithm can be this key's.
    pub(super) fn is_for(&self, algorithm: JwtAlgorithm) -> bool {
        let named = self.algorithm.as_ref().is_none_or(|named| named == word(algorithm));
        named && self.way(algorithm).is_some()
    }

    /// Whether this key made the signature.
    pub(super) fn made(&self, algorithm: JwtAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let checked = match self.way(algorithm) {
            Some(Way::Rsa(parameters, n, e)) => RsaPublicKeyComponents { n, e }.verify(parameters, message, signature),
            Some(Way::Other(algorithm, key)) => UnparsedPublicKey::new(algorithm, key).verify(message, signature),
            None => return false,
        };
        checked.is_ok()
    }

    fn way(&self, algorithm: JwtAlgorithm) -> Option<Way<'_>> {
        let rsa = match algorithm {
            JwtAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            JwtAlgorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            JwtAlgorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            JwtAlgorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            JwtAlgorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
            JwtAlgorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
            JwtAlgorithm::Es256 | JwtAlgorithm::Es384 | JwtAlgorithm::EdDsa => {
                return match (algorithm, &self.material) {
                    (JwtAlgorithm::Es256, Material::P256(key)) => Some(Way::Other(&ECDSA_P256_SHA256_FIXED, key)),
                    (JwtAlgorithm::Es384, Material::P384(key)) => Some(Way::Other(&ECDSA_P384_SHA384_FIXED, key)),
                    (JwtAlgorithm::EdDsa, Material::Ed25519(key)) => Some(Way::Other(&ED25519, key)),
                    _ => None,
                };
            }
        };
        match &self.material {
            Material::Rsa { n, e } => Some(Way::Rsa(rsa, n, e)),
            _ => None,
        }
    }
}

/// How a signature is checked.
enum Way<'a> {
    Rsa(&'static RsaParameters, &'a [u8], &'a [u8]),
    Other(&'static dyn VerificationAlgorithm, &'a [u8]),
}

/// The algorithm as headers name it.
pub(super) fn word(algorithm: JwtAlgorithm) -> &'static str {
    match algorithm {
        JwtAlgorithm::Rs256 => "RS256",
        JwtAlgorithm::Rs384 => "RS384",
        JwtAlgorithm::Rs512 => "RS512",
        JwtAlgorithm::Ps256 => "PS256",
        JwtAlgorithm::Ps384 => "PS384",
        JwtAlgorithm::Ps512 => "PS512",
        JwtAlgorithm::Es256 => "ES256",
        JwtAlgorithm::Es384 => "ES384",
        JwtAlgorithm::EdDsa => "EdDSA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.4: Ed25519.
    #[test]
    fn the_signature_of_the_standard_s_own_example_is_right_and_no_other_is() {
        let member =
            serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let key = PublicKey::read(&member).unwrap();
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = URL
            .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
            .unwrap();
        assert!(key.is_for(JwtAlgorithm::EdDsa) && !key.is_for(JwtAlgorithm::Es256));
        assert!(key.made(JwtAlgorithm::EdDsa, message, &signature));
        assert!(!key.made(JwtAlgorithm::EdDsa, b"another", &signature));
        assert!(!key.made(JwtAlgorithm::Rs256, message, &signature));
    }

    /// RFC 7515, appendix A.2: RS256.
    #[test]
    fn a_signature_by_rsa_is_checked_by_modulus_and_exponent() {
        let member = serde_json::json!({"kty": "RSA", "kid": "r", "alg": "RS256", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
        let key = PublicKey::read(&member).unwrap();
        let message = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = URL.decode("cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw").unwrap();
        assert!(key.made(JwtAlgorithm::Rs256, message, &signature));
        assert!(
            key.is_for(JwtAlgorithm::Rs256) && !key.is_for(JwtAlgorithm::Ps256),
            "the set says for which"
        );
        assert!(
            !key.made(JwtAlgorithm::Ps256, message, &signature) && !key.made(JwtAlgorithm::Rs512, message, &signature)
        );
    }

    #[test]
    fn what_checks_no_signature_is_no_key() {
        for member in [
            serde_json::json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
            serde_json::json!({"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}),
            serde_json::json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
            serde_json::json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
            serde_json::json!({"kty": "novel"}),
            serde_json::json!(7),
        ] {
            assert_eq!(PublicKey::read(&member), None, "{member}");
        }
    }
}
