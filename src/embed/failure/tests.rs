//! Statuses and bodies of real services, and what each of them means.

use super::*;

fn of(status: u16, body: &str) -> Failure {
    let texts = ["one", "two", "three", "four"].map(str::to_owned);
    classify(status, &PauseHeaders::default(), body.as_bytes(), &texts)
}

#[test]
fn a_rate_limit_is_told_from_a_used_up_quota() {
    let after = |headers: PauseHeaders| match classify(429, &headers, b"", &[]) {
        Failure::RateLimited { after, .. } => after,
        other => panic!("{other}"),
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(after(PauseHeaders::default()), None);
    let headers = PauseHeaders {
        retry_after: text("2"),
        retry_after_ms: text("2500"),
        reset_tokens: text("6m0s"),
        ..PauseHeaders::default()
    };
    assert_eq!(after(headers), Some(Duration::from_millis(2500)));
    let headers = PauseHeaders {
        reset_requests: text("1s"),
        reset_tokens: text("6m0s"),
        ..PauseHeaders::default()
    };
    assert_eq!(after(headers), Some(Duration::from_secs(360)));
    let quota = r#"{"error":{"message":"You exceeded..","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    assert_eq!(of(429, quota), Failure::Quota { status: 429 });
}

#[test]
fn a_good_answer_that_leaves_nothing_makes_a_rest() {
    let rest = |requests: &str, tokens: &str, reset: &str, used| {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let headers = PauseHeaders {
            remaining_requests: text(requests),
            remaining_tokens: text(tokens),
            reset_requests: text(reset),
            reset_tokens: text("250ms"),
            ..PauseHeaders::default()
        };
        headers.rest(used)
    };
    assert_eq!(rest("", "", "1s", 10), None, "nothing is said");
    assert_eq!(rest("1", "10", "1s", 10), None, "enough for one more");
    assert_eq!(rest("0", "10", "1s", 10), Some(Duration::from_secs(1)));
    assert_eq!(rest("5", "9", "1s", 10), Some(Duration::from_millis(250)));
    assert_eq!(
        rest("0", "0", "6m0s", 0),
        Some(Duration::from_secs(60)),
        "no longer than that"
    );
    assert_eq!(rest("0", "many", "soon", 10), None, "not understood");
}

#[test]
fn an_input_is_found_in_every_shape_of_body() {
    for (status, body, input) in [
        (
            400,
            r#"{"error":{"message":"Invalid 'input[3]': maximum input length is 8192 tokens.","code":null}}"#,
            Some(3),
        ),
        (400, r#"{"error":{"message":"bad text","code":400}}"#, None),
        (
            422,
            r#"{"message":"Input validation error","code":422,"type":"Validation"}"#,
            None,
        ),
        (422, r#"{"detail":[{"msg":"no"}]}"#, None),
        (400, "<html>no</html>", None),
    ] {
        assert_eq!(of(status, body), Failure::BadInput { status, input }, "{body}");
    }
}

#[test]
fn too_much_in_one_request_is_known_by_code_or_words() {
    for (status, body) in [
        (413, ""),
        (
            400,
            r#"{"error":{"message":"Requested 629204 tokens, max 600000","code":"max_tokens_per_request"}}"#,
        ),
        (400, r#"{"error":{"message":"'$.input' is invalid."}}"#),
        (
            422,
            r#"{"error":"batch size 33 > maximum allowed batch size 32","error_type":"Validation"}"#,
        ),
    ] {
        assert_eq!(of(status, body), Failure::TooLarge { status }, "{body}");
    }
}

#[test]
fn a_status_that_says_nothing_about_a_text_gives_no_row_up() {
    for status in [301, 302, 307, 308] {
        assert_eq!(of(status, "moved"), Failure::NotFound { status });
    }
    for status in [408, 409, 424, 425, 499] {
        assert!(of(status, "later").is_passing(), "{status}");
    }
    for status in [406, 410, 411, 414, 415, 418, 421, 426, 431, 451] {
        let failure = of(status, r#"{"error":{"message":"no"}}"#);
        assert_eq!(failure, Failure::Unknown { status });
        assert!(!failure.is_passing(), "{status}");
    }
}

#[test]
fn what_is_about_the_request_is_no_text_s_fault() {
    for body in [
        r#"{"error":{"message":"This model does not support specifying dimensions.","type":"invalid_request_error"}}"#,
        r#"{"error":{"message":"Model is not matryoshka","code":400,"type":"BadRequestError","param":"dimensions"}}"#,
        r#"{"detail":[{"loc":["body","dimensions"],"msg":"no","type":"extra_forbidden","input":8}]}"#,
    ] {
        assert_eq!(of(400, body), Failure::Request { status: 400 }, "{body}");
    }
}

#[test]
fn why_a_service_is_not_reached_is_told_apart() {
    let host = || "h:1".to_owned();
    for (unreached, code, passing) in [
        (Unreached::Dns(host()), "dns", true),
        (Unreached::Refused(host()), "refused", true),
        (Unreached::UnknownAuthority(host()), "tls", false),
        (Unreached::Tls(host(), "expired".to_owned()), "tls", false),
        (Unreached::Slow, "timeout", true),
        (Unreached::Broke("before the answer"), "network", true),
    ] {
        let failure = Failure::Network(unreached);
        assert_eq!((failure.code(), failure.is_passing()), (code, passing), "{failure}");
    }
}

#[test]
fn no_word_of_a_body_is_kept() {
    let secret = r#"{"error":{"message":"cannot embed 'my diary' with key sk-123"}}"#;
    for status in [302, 400, 401, 403, 404, 418, 422, 424, 429, 500, 503] {
        let shown = format!("{0} {0:?}", of(status, secret));
        assert!(!shown.contains("diary") && !shown.contains("sk-123"), "{shown}");
    }
}
