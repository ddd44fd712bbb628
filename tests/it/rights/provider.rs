//! An identity provider for tests: a key, its set in a file or behind a URL, and tokens signed by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) const ISSUER: &str = "https://issuer.test";

pub(super) struct Provider {
    key: EcdsaKeyPair,
}

impl Provider {
    pub(super) fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("it works");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("it works");
        Self { key }
    }

    pub(super) fn set(&self) -> String {
        let point = self.key.public_key().as_ref();
        let (x, y) = (URL.encode(&point[1..33]), URL.encode(&point[33..]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "kid": "k", "x": x, "y": y}]}).to_string()
    }

    /// A token of this holder that ends in so many seconds.
    pub(super) fn token(&self, holder: &str, seconds: i64) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("it works")
            .as_secs();
        let ends = i64::try_from(now).expect("it works") + seconds;
        let claims = json!({"iss": ISSUER, "aud": "pgflight", "sub": holder, "exp": ends});
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": "k"});
        let text = format!("{}.{}", URL.encode(header.to_string()), URL.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).expect("it works");
        format!("{text}.{}", URL.encode(signature.as_ref()))
    }
}

/// `auth.jwt` of a key set.
pub(super) fn jwt(jwks: &str) -> Value {
    json!({"jwks": jwks, "issuer": ISSUER, "audience": "pgflight"})
}

/// A key set behind a URL, and how often it was asked for.
pub(super) async fn served(set: String) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("it works");
    let url = format!("http://{}/keys", listener.local_addr().expect("it works"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            drop(socket.read(&mut request).await);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                set.len()
            );
            drop(socket.write_all(format!("{head}{set}").as_bytes()).await);
        }
    });
    (url, asked)
}
