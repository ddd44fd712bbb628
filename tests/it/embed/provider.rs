//! One request through the real client, against every kind of answer: what it is taken for, that it is sent once, and what is
//! never read, kept or said.

use std::time::Duration;

use pgflight::config::Config;
use pgflight::embed::failure::{Failed, Failure, Unreached};
use pgflight::embed::provider::Provider;
use serde_json::{Value, json};

use super::{DIMENSIONS, good_answer};
use crate::support::embeddings::{Fault, Stub, settings};

fn provider_with(stub: &Stub, change: impl FnOnce(&mut Value)) -> Provider {
    let mut settings = settings(stub, DIMENSIONS as u32);
    settings["connection_string"] = json!("postgres://nobody@localhost/none");
    settings["embeddings"]["request_timeout"] = json!("5s");
    change(&mut settings);
    let config = Config::from_json(&settings).expect("a configuration");
    Provider::new(&config).expect("a provider")
}

fn provider(stub: &Stub) -> Provider {
    provider_with(stub, |_| {})
}

fn two() -> Vec<String> {
    ["my diary", "grandmother's recipe"].map(str::to_owned).to_vec()
}

/// The failure of one request that is answered so; it was sent once.
async fn failed(status: u16, body: &'static str) -> Failed {
    let stub = Stub::start(DIMENSIONS).await;
    stub.fail_next([Fault::Status(status, body)]);
    let failed = provider(&stub).embed(&two()).await.expect_err("it is refused");
    assert_eq!(stub.requests(), 1, "{status} {body}: no hidden retry");
    failed
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one entry per case")]
async fn every_refusal_arrives_as_what_it_is_after_one_request() {
    for (status, body, wanted) in [
        (500, "oops", Failure::Server { status: 500 }),
        (503, "<html>down</html>", Failure::Server { status: 503 }),
        (
            401,
            r#"{"error":{"message":"no","type":"x","code":null}}"#,
            Failure::Auth { status: 401 },
        ),
        (307, "", Failure::NotFound { status: 307 }),
        // vLLM: an integer code. TEI: no `error` around it, or a text. Gateways: `detail`.
        (
            400,
            r#"{"error":{"message":"bad","type":"BadRequestError","param":null,"code":400}}"#,
            Failure::BadInput {
                status: 400,
                input: None,
            },
        ),
        (
            422,
            r#"{"message":"batch size 33 > maximum allowed batch size 32","code":422,"type":"Validation"}"#,
            Failure::TooLarge { status: 422 },
        ),
        (
            429,
            r#"{"error":"Model is overloaded","error_type":"Overloaded"}"#,
            Failure::RateLimited {
                status: 429,
                after: None,
            },
        ),
        (404, r#"{"detail":"no such model"}"#, Failure::NotFound { status: 404 }),
        (
            400,
            "no JSON at all",
            Failure::BadInput {
                status: 400,
                input: None,
            },
        ),
        (
            400,
            r#"{"error":{"message":"not supported","param":"dimensions"}}"#,
            Failure::Request { status: 400 },
        ),
        (
            200,
            r#"{"error":{"message":"the model is not loaded"}}"#,
            Failure::Says { status: 200 },
        ),
        (
            200,
            r#"{"error":{"message":"slow down","code":429}}"#,
            Failure::RateLimited {
                status: 429,
                after: None,
            },
        ),
    ] {
        assert_eq!(failed(status, body).await.failure, wanted, "{status} {body}");
    }
    let failed = failed(200, r#"{"error":{"message":"the model is not loaded"}}"#).await;
    assert!(
        failed.to_string().ends_with("it says: the model is not loaded"),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_as_long_as_the_header_says_and_a_broken_connection_is_one_failure() {
    let stub = Stub::start(DIMENSIONS).await;
    let provider = provider(&stub);
    stub.fail_next([Fault::RateLimited { retry_after: Some("7") }, Fault::Reset]);
    let paused = provider.embed(&two()).await.unwrap_err().failure;
    let after = Some(Duration::from_secs(7));
    assert_eq!(paused, Failure::RateLimited { status: 429, after });
    let broken = provider.embed(&two()).await.unwrap_err().failure;
    assert!(matches!(broken, Failure::Network(Unreached::Broke(_))), "{broken}");
    stub.fail_next([Fault::NothingLeft("3s")]);
    let rest = provider.embed(&two()).await.unwrap().rest;
    assert_eq!(
        rest,
        Some(Duration::from_secs(3)),
        "headers of a good answer count, too"
    );
    assert_eq!(stub.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_object_model_or_usage_are_taken_and_others_are_not_believed() {
    let stub = Stub::start(2).await;
    let provider = provider_with(&stub, |settings| {
        settings["pgvector_config"]["openai_embedding"]["dimensions"] = json!(2);
    });
    for good in [
        r#"{"data":[{"embedding":[1,2]},{"embedding":[3,4]}]}"#,
        r#"{"data":[{"index":1,"embedding":"AABAQAAAgEA"},{"index":0,"embedding":"AACAPwAAAEA="}],"usage":"none"}"#,
        r#"{"data":[{"embedding":[1,2]},{"embedding":[3,4]}],"usage":{"total_tokens":-1.5},"object":7}"#,
    ] {
        stub.fail_next([Fault::Status(200, good)]);
        let answer = provider
            .embed(&two())
            .await
            .unwrap_or_else(|failed| panic!("{good}: {failed}"));
        assert_eq!(
            answer.vectors.iter().map(|v| v.to_vec()).collect::<Vec<_>>(),
            [[1.0, 2.0], [3.0, 4.0]]
        );
    }
    // Broken base64 is no panic; numbers are asked for from then on.
    stub.take();
    stub.fail_next([Fault::Status(
        200,
        r#"{"data":[{"embedding":"?"},{"embedding":"AACAPwAAAEA="}]}"#,
    )]);
    assert_eq!(provider.embed(&two()).await.unwrap_err().failure, Failure::Encoding);
    provider.embed(&two()).await.expect("numbers");
    let formats: Vec<Value> = stub
        .take()
        .iter()
        .map(|asked| asked.body["encoding_format"].clone())
        .collect();
    assert_eq!(formats, [json!("base64"), Value::Null]);
    for bad in [
        "<html>all is well</html>",
        r#"{"data":[{"embedding":[1,2]}]"#,
        "{\"data\":\"\u{1}\"}",
        "[]",
    ] {
        stub.fail_next([Fault::Status(200, bad)]);
        let failed = provider.embed(&two()).await.unwrap_err();
        assert!(matches!(failed.failure, Failure::WrongAnswer(_)), "{bad}: {failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn base64_is_asked_for_and_numbers_where_it_is_refused_or_ignored() {
    let stub = Stub::start(DIMENSIONS).await;
    let asked = |stub: &Stub| -> Vec<bool> {
        let requests = stub.take();
        requests
            .iter()
            .map(|asked| asked.body["encoding_format"] == "base64")
            .collect()
    };
    let floats = provider(&stub).embed(&two()).await.expect("it ignores the wish");
    stub.judge(|body| Some((200, good_answer(body, DIMENSIONS))));
    let taken = provider(&stub);
    assert_eq!(taken.embed(&two()).await.expect("base64").vectors, floats.vectors);
    assert_eq!(asked(&stub), [true, true]);
    // Refused by name, and refused without a reason that could be read.
    for (status, words) in [
        (400, r#"{"error":{"message":"no","param":"encoding_format"}}"#),
        (422, r#"{"detail":[{"loc":["body","encoding_format"],"msg":"extra"}]}"#),
        (400, r#"{"error":{"message":"Unsupported value: 'base64'"}}"#),
    ] {
        stub.judge(move |body| (body["encoding_format"] == "base64").then(|| (status, words.to_owned())));
        let provider = provider(&stub);
        assert_eq!(
            provider.embed(&two()).await.unwrap_err().failure,
            Failure::Encoding,
            "{words}"
        );
        assert_eq!(provider.embed(&two()).await.expect("numbers").vectors, floats.vectors);
        assert_eq!(asked(&stub), [true, false], "{words}");
    }
    stub.judge(|body| (body["encoding_format"] == "base64").then(|| (400, "no".to_owned())));
    let provider = provider(&stub);
    provider.probe().await.expect("numbers");
    provider.embed(&two()).await.expect("numbers");
    assert_eq!(asked(&stub), [true, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_sent_is_in_a_failure_and_a_probe_says_what_the_service_says() {
    let stub = Stub::start(DIMENSIONS).await;
    let provider = provider(&stub);
    for status in [400, 401, 402, 403, 404, 413, 418, 422, 429, 500, 503] {
        stub.fail_next([Fault::Echo(status)]);
        let failed = provider.embed(&two()).await.unwrap_err();
        let shown = format!("{failed} {failed:?}");
        for secret in ["diary", "recipe", "grandmother", "sk-secret", "secret"] {
            assert!(!shown.contains(secret), "{status}: {shown}");
        }
    }
    let says = "This model, pgflight, does not support my diary";
    stub.judge(move |_| {
        Some((
            404,
            json!({"error": {"message": format!("{says} sk-secret")}}).to_string(),
        ))
    });
    let failed = provider.probe().await.unwrap_err();
    assert!(failed.to_string().contains(says), "{failed}");
    assert!(!failed.to_string().contains("secret"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_waits_for_any_more_is_taken_back() {
    let stub = Stub::start(DIMENSIONS).await;
    let provider = provider(&stub);
    stub.hold(true);
    let waiting = tokio::spawn({
        let provider = provider.clone();
        async move { provider.embed(&two()).await }
    });
    until(|| stub.requests() == 1).await;
    waiting.abort();
    until(|| stub.abandoned() == 1).await;
    stub.hold(false);
    provider.embed(&two()).await.expect("it can be asked again");
    assert_eq!(stub.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_known_and_ports_where_nobody_listens_are_told_apart() {
    let stub = Stub::start(DIMENSIONS).await;
    let at = |url: String| {
        provider_with(&stub, |settings| {
            settings["pgvector_config"]["openai_embedding"]["base_url"] = json!(url);
        })
    };
    let unknown = at("http://pgflight.invalid/v1".to_owned())
        .embed(&two())
        .await
        .unwrap_err();
    assert_eq!(
        unknown.failure,
        Failure::Network(Unreached::Dns("pgflight.invalid".to_owned()))
    );
    let address = crate::support::process::free_address();
    let refused = at(format!("http://{address}/v1")).embed(&two()).await.unwrap_err();
    assert_eq!(
        refused.failure,
        Failure::Network(Unreached::Refused(address.to_string()))
    );
    let plain = at(format!("https://{}/v1", stub.address()))
        .embed(&two())
        .await
        .unwrap_err();
    assert_eq!(plain.failure.code(), "tls", "a port without TLS: {plain}");
}

/// The crate's own configuration would take these from the environment, and its HTTP client the proxies.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_crate_would_read_from_the_environment_is_not_read() {
    let database = crate::support::database::Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let mut settings = settings(&stub, DIMENSIONS as u32);
    settings["pgvector_config"]["openai_embedding"]["api_key"] = Value::Null;
    let file = super::process::ConfigFile::write(&database, settings);
    let mut command = file.command(&["embeddings", "probe"]);
    let nowhere = "http://127.0.0.1:1";
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
        "OPENAI_BASE_URL",
    ] {
        command.env(name, nowhere);
    }
    for name in [
        "OPENAI_API_KEY",
        "OPENAI_ADMIN_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
    ] {
        command.env(name, "from-the-environment");
    }
    let output = command.output().await.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let asked = stub.take();
    assert_eq!((asked.len(), asked[0].authorization.clone()), (1, None));
}

async fn until(condition: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
