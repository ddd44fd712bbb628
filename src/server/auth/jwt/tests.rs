//! Tokens as a provider signs them, and as those make them who have no key.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;

struct Provider {
    key: EcdsaKeyPair,
    id: &'static str,
}

impl Provider {
    fn new(id: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self { key, id }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": URL.encode(&point[1..33]), "y": URL.encode(&point[33..])})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", URL.encode(header.to_string()), URL.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL.encode(signature.as_ref()))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "typ": "JWT", "kid": self.id}), claims)
    }
}

/// Gives one set after the other, and the last one for ever.
#[derive(Debug)]
struct Sets(Mutex<(VecDeque<Result<Value, String>>, usize)>);

impl Sets {
    fn of(sets: Vec<Result<Value, String>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new((sets.into(), 0))))
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

#[async_trait::async_trait]
impl KeySource for Sets {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let mut sets = self.0.lock().unwrap();
        sets.1 += 1;
        let set = match sets.0.len() {
            1 => sets.0[0].clone(),
            _ => sets.0.pop_front().unwrap(),
        };
        set.map(|set| set.to_string().into_bytes())
    }

    fn name(&self) -> &str {
        "a test"
    }
}

fn settings() -> Jwt {
    let settings =
        json!({"jwks": "x", "issuer": "https://issuer", "audience": "pgflight", "required_claims": ["scope"]});
    serde_json::from_value(settings).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({"iss": "https://issuer", "aud": ["other", "pgflight"], "sub": "etl", "exp": now() + 600, "scope": "x"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn verifier(provider: &Provider) -> Verifier {
    Verifier::new(&settings(), Sets::of(vec![Ok(json!({"keys": [provider.jwk()]}))]))
}

#[tokio::test]
async fn a_token_of_the_issuer_names_its_holder_by_the_claim_that_is_configured() {
    let provider = Provider::new("one");
    let token = provider.token(&with("team", json!("data")));
    assert_eq!(&*verifier(&provider).principal(&token).await.unwrap(), "etl");
    let named = Jwt {
        principal_claim: "team".to_owned(),
        ..settings()
    };
    let keys = Sets::of(vec![Ok(json!({"keys": [provider.jwk()]}))]);
    assert_eq!(&*Verifier::new(&named, keys).principal(&token).await.unwrap(), "data");
    let unnamed = provider.sign(&json!({"alg": "ES256"}), &claims());
    assert_eq!(
        &*verifier(&provider).principal(&unnamed).await.unwrap(),
        "etl",
        "the only key is meant"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_told_by_its_kind() {
    let provider = Provider::new("one");
    let verifier = verifier(&provider);
    let missing = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let claim = |name: &str| Refused::Claim(name.to_owned());
    for (claims, refused) in [
        (with("exp", json!(now() - 120)), Refused::Expired),
        (with("nbf", json!(now() + 120)), Refused::Early),
        (with("iss", json!("https://else")), Refused::Issuer),
        (with("aud", json!("else")), Refused::Audience),
        (missing("exp"), claim("exp")),
        (missing("iss"), claim("iss")),
        (missing("aud"), claim("aud")),
        (missing("scope"), claim("scope")),
        (missing("sub"), claim("sub")),
        (with("sub", json!(7)), claim("sub")),
        (with("sub", json!("")), claim("sub")),
        (with("exp", json!("4000000000")), claim("exp")),
        (with("nbf", json!("1")), claim("nbf")),
    ] {
        assert_eq!(
            verifier.principal(&provider.token(&claims)).await,
            Err(refused),
            "{claims}"
        );
    }
    let leeway = provider.token(&with("exp", json!(now() - 30)));
    assert!(verifier.principal(&leeway).await.is_ok(), "clocks may be apart");
}

#[tokio::test]
async fn nobody_without_the_private_key_makes_a_token() {
    let (provider, stranger) = (Provider::new("one"), Provider::new("one"));
    let verifier = verifier(&provider);
    assert_eq!(
        verifier.principal(&stranger.token(&claims())).await,
        Err(Refused::Signature)
    );
    let other = Provider::new("two").token(&claims());
    assert_eq!(verifier.principal(&other).await, Err(Refused::UnknownKey));
    // The public key as a shared secret.
    let text = format!(
        "{}.{}",
        URL.encode(json!({"alg": "HS256", "kid": "one"}).to_string()),
        URL.encode(claims().to_string())
    );
    let secret = hmac::Key::new(hmac::HMAC_SHA256, provider.key.public_key().as_ref());
    let confused = format!("{text}.{}", URL.encode(hmac::sign(&secret, text.as_bytes())));
    assert_eq!(verifier.principal(&confused).await, Err(Refused::Algorithm));
    let unsigned = format!(
        "{}.{}.",
        URL.encode(json!({"alg": "none"}).to_string()),
        URL.encode(claims().to_string())
    );
    assert_eq!(verifier.principal(&unsigned).await, Err(Refused::Algorithm));
    let wrong = provider.sign(&json!({"alg": "RS256", "kid": "one"}), &claims());
    assert_eq!(
        verifier.principal(&wrong).await,
        Err(Refused::UnknownKey),
        "no key of that algorithm"
    );
    let mut changed = provider.token(&claims());
    let (start, _) = changed.split_once('.').unwrap();
    changed = format!(
        "{start}.{}.{}",
        URL.encode(with("sub", json!("root")).to_string()),
        changed.rsplit('.').next().unwrap()
    );
    assert_eq!(verifier.principal(&changed).await, Err(Refused::Signature));
    let critical = provider.sign(&json!({"alg": "ES256", "kid": "one", "crit": ["b64"]}), &claims());
    assert_eq!(verifier.principal(&critical).await, Err(Refused::Malformed));
    for nothing in ["..", "a.b.c", "!.!.!"] {
        assert!(verifier.principal(nothing).await.is_err(), "{nothing}");
    }
}

#[tokio::test]
async fn a_shared_secret_in_the_set_is_no_key_and_a_broken_one_hides_no_other() {
    let provider = Provider::new("one");
    let keys = json!({"keys": [
        {"kty": "oct", "kid": "secret", "k": URL.encode("secret"), "alg": "HS256"},
        {"kty": "novel"}, 7, {"kty": "EC", "crv": "P-256", "kid": "short", "x": "AA", "y": "AA"},
        provider.jwk(),
    ]});
    let verifier = Verifier::new(&settings(), Sets::of(vec![Ok(keys)]));
    assert!(verifier.principal(&provider.token(&claims())).await.is_ok());
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_named_and_strangers_do_not_make_us_ask() {
    let (old, new) = (Provider::new("old"), Provider::new("new"));
    let sets = Sets::of(vec![Ok(json!({"keys": [old.jwk()]})), Ok(json!({"keys": [new.jwk()]}))]);
    let verifier = Verifier::new(&settings(), Arc::clone(&sets) as Arc<dyn KeySource>);
    assert!(verifier.principal(&old.token(&claims())).await.is_ok());
    for _ in 0..100 {
        let refused = verifier.principal(&new.token(&claims())).await;
        assert_eq!(refused, Err(Refused::UnknownKey), "asked a moment ago");
    }
    assert_eq!(sets.asked(), 1);
    verifier.keys.forget_pause().await;
    assert!(verifier.principal(&new.token(&claims())).await.is_ok());
    assert_eq!(
        verifier.principal(&old.token(&claims())).await,
        Err(Refused::UnknownKey),
        "it is not in the set any more"
    );
    assert_eq!(sets.asked(), 2);
}

#[tokio::test]
async fn a_set_that_cannot_be_fetched_is_no_fault_of_the_token_and_leaves_the_old_one() {
    let provider = Provider::new("one");
    let token = provider.token(&claims());
    let sets = Sets::of(vec![
        Err("away".to_owned()),
        Ok(json!({"keys": [provider.jwk()]})),
        Err("away".to_owned()),
    ]);
    let verifier = Verifier::new(&settings(), Arc::clone(&sets) as Arc<dyn KeySource>);
    let refused = verifier.principal(&token).await.unwrap_err();
    assert_eq!(Status::from(refused).code(), tonic::Code::Unavailable);
    verifier.keys.forget_pause().await;
    assert!(verifier.principal(&token).await.is_ok());
    verifier.keys.forget_pause().await;
    let stranger = Provider::new("two").token(&claims());
    assert_eq!(verifier.principal(&stranger).await, Err(Refused::UnknownKey));
    assert!(verifier.principal(&token).await.is_ok(), "the old set is still there");
}
