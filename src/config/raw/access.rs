//! Keys about callers: who may call, and who may do what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secret::Secret;
use crate::model::duration::GoDuration;
use crate::model::rights::Right;

/// Who may call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Bearer tokens; when there is none, every caller is anonymous and allowed.
    pub tokens: Vec<AuthToken>,
    /// Signed tokens of an identity provider (JSON Web Tokens).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// What a Handshake gives in place of the token that it was sent: a token that ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// Whether a caller that sends no token is named by its client certificate (`tls.client_ca`): `tls:` and its common name, else
    /// its first alternative name.
    pub client_certificates: bool,
    /// Whether a caller over a unix socket that sends no token is named by its user there: `unix:uid=1000`.
    pub unix_peers: bool,
    /// Who may do what with which tables; when there is none, everybody may do everything, and with one nothing else is allowed.
    pub rules: Vec<AuthRule>,
}

/// What somebody may do (docs/security.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthRule {
    /// Whom it is for, with `*` and `?`; callers without a name are `anonymous`.
    #[schemars(length(min = 1))]
    pub principal: String,
    /// Tables as `schema.table` with `*` and `?` in either, or `*` for all; names with dots stand in double quotes.
    #[serde(default)]
    pub tables: Vec<String>,
    /// What it gives: rights to these tables; `query`, to run SQL; `admin`, to bring a database or embeddings of one's own.
    pub may: Vec<Right>,
    /// Role of the database that statements of SQL run as; the server's own when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub role: Option<String>,
}

/// One bearer token and who holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthToken {
    /// The name under which its holder acts.
    #[schemars(length(min = 1))]
    pub principal: String,
    /// The token; this or `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// SHA-256 of the token as 64 hexadecimal digits; this or `token`. The token should be random: a short one is found from this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub sha256: Option<String>,
}

/// Tokens that a Handshake gives (docs/security.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// What they are signed by, at least 32 characters; every server with the same key takes them.
    pub key: Secret,
    /// How long each is taken.
    #[serde(default = "Session::default_lifetime")]
    pub lifetime: GoDuration,
}

impl Session {
    fn default_lifetime() -> GoDuration {
        GoDuration::from_secs(3600)
    }
}

/// Which signed tokens are taken (docs/security.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The provider's public keys as a JSON Web Key Set: path of a file, or an `http` or `https` URL.
    #[schemars(length(min = 1))]
    pub jwks: String,
    /// Whose tokens are taken: what the claim `iss` must be.
    #[schemars(length(min = 1))]
    pub issuer: String,
    /// For whom they must be: what the claim `aud` must name.
    #[schemars(length(min = 1))]
    pub audience: String,
    /// Algorithms that a token may be signed by.
    #[serde(default = "Jwt::default_algorithms")]
    #[schemars(length(min = 1))]
    pub algorithms: Vec<JwtAlgorithm>,
    /// How far the provider's clock and ours may be apart; at most an hour.
    #[serde(default = "Jwt::default_leeway")]
    pub leeway: GoDuration,
    /// The claim that holds the principal.
    #[serde(default = "Jwt::default_principal_claim")]
    #[schemars(length(min = 1))]
    pub principal_claim: String,
    /// Claims that must be there besides `exp`, `iss`, `aud` and the principal's.
    #[serde(default)]
    pub required_claims: Vec<String>,
}

impl Jwt {
    fn default_algorithms() -> Vec<JwtAlgorithm> {
        vec![JwtAlgorithm::Rs256, JwtAlgorithm::Es256]
    }

    fn default_leeway() -> GoDuration {
        GoDuration::from_secs(60)
    }

    fn default_principal_claim() -> String {
        "sub".to_owned()
    }
}

/// Algorithms of signatures by a private key. Those by a shared secret are not among them, and neither is `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum JwtAlgorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA, PKCS#1 v1.5, SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA, PKCS#1 v1.5, SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA, PSS, SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSA, PSS, SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSA, PSS, SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA over P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA over P-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}
