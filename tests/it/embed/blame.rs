//! Who is to blame for a refusal: a text, which is found and given up, or the service, which is left alone with every row pending.

use serde_json::{Value, json};

use super::process::run;
use super::{Bench, DIMENSIONS, good_answer, wanted};
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};

/// Rows of `docs` without a server, noted for workers: `text 0` and so on, one of them with something else.
async fn noted(rows: i64, odd: &str) -> (Database, Stub, Value) {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let table = format!(
        "create table docs (id bigint primary key, kind text, body text); \
         insert into docs select n, 'k', case n when 12 then $q${odd}$q$ else 'text ' || n end \
         from generate_series(0, {rows} - 1) n"
    );
    database.execute(&table).await;
    let mut settings = settings(&stub, DIMENSIONS as u32);
    settings["embeddings"]["claim_rows"] = json!(64);
    // A service that is left alone stays so for the whole test.
    settings["embeddings"]["retry_after"] = json!("10m");
    let (code, text) = run(&database, &settings, &["backfill"]).await;
    assert_eq!(code, Some(0), "{text}");
    (database, stub, settings)
}

fn holds(body: &Value, word: &str) -> bool {
    let texts = body["input"].as_array().expect("a list");
    texts.iter().any(|text| text.as_str().expect("a text").contains(word))
}

async fn given_up(database: &Database) -> Vec<String> {
    database
        .lines("select v.pk::text, v.err_code from pgflight.embed_state v where v.state = 3 order by 1")
        .await
}

/// Whatever the echoed text says, only its own row is given up, and all others are embedded in the same run.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_a_refusal_echoes_is_given_up_alone_whatever_it_says() {
    for (odd, status, echo) in [
        // FastAPI: the input in a member of its own; others: within the message; or as a plain page.
        ("the model does not exist", 422, 0),
        ("the model does not exist", 400, 1),
        ("does   not\nexist: model_not_found", 400, 1),
        ("see input[0] and input[1]", 422, 0),
        ("see input[0] and input[1]", 400, 1),
        ("insufficient_quota, batch size, dimensions", 400, 1),
        ("Unsupported value: encoding_format base64", 422, 2),
        // An angry gateway does not like the words.
        ("select * from users", 403, 1),
        ("select * from users", 404, 2),
    ] {
        let (database, stub, settings) = noted(25, odd).await;
        let start: &'static str = odd.split([' ', '\n']).next().expect("a word");
        let second: &'static str = odd.split([' ', '\n']).nth(1).expect("a second word");
        stub.judge(move |body| {
            if !(holds(body, start) && holds(body, second)) {
                return None;
            }
            let words = match echo {
                0 => json!({"detail": [{"type": "x", "loc": ["body", "input"], "msg": "bad", "input": body["input"]}]})
                    .to_string(),
                1 => json!({"error": {"message": format!("cannot embed {}: {odd}", body["input"]), "code": null}})
                    .to_string(),
                _ => format!("<html>cannot embed {}: {odd}</html>", body["input"]),
            };
            Some((status, words))
        });
        let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
        assert_eq!(code, Some(3), "{odd}: {text}");
        let dead = given_up(&database).await;
        assert!(
            dead.len() == 1 && dead[0].starts_with("[\"12\"]"),
            "{status} {odd}: {dead:?}"
        );
        assert_eq!(super::chunks(&database).await.len(), 24, "{status} {odd}");
    }
}

/// A service that names the first text whatever is wrong: who was named is asked for alone before it is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_names_the_wrong_text_costs_no_innocent_row() {
    let (database, stub, settings) = noted(25, "poison").await;
    let named = r#"{"error":{"message":"Invalid 'input[0]': no","code":null}}"#;
    stub.judge(move |body| holds(body, "poison").then(|| (400, named.to_owned())));
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(3), "{text}");
    assert_eq!(given_up(&database).await, ["[\"12\"]|bad_input"]);
    assert_eq!(super::chunks(&database).await.len(), 24);
}

/// What is wrong is the request: no row is given up, the service is left alone, and its own words say why.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_request_is_the_service_s_and_its_words_are_told() {
    for (status, body, says) in [
        (
            400,
            r#"{"error":{"message":"This model does not support specifying dimensions.","code":null}}"#,
            "it says: This model does not support specifying dimensions.",
        ),
        (
            422,
            r#"{"detail":[{"loc":["body","user"],"msg":"field required"}]}"#,
            "it says: field required",
        ),
        (400, "no", "it says: no"),
        (
            403,
            r#"{"detail":"your tier has no embeddings"}"#,
            "it says: your tier has no embeddings",
        ),
        (
            200,
            r#"{"error":{"message":"the model is still loading"}}"#,
            "it says: the model is still loading",
        ),
        (200, "<html>please log in</html>", "is no list of embeddings"),
    ] {
        let (database, stub, settings) = noted(25, "dimensions").await;
        stub.judge(move |_| Some((status, body.to_owned())));
        let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
        assert_eq!(code, Some(3), "{body}: {text}");
        assert!(text.contains(says), "{says}: {text}");
        assert_eq!(given_up(&database).await, Vec::<String>::new(), "{body}");
        let pending = "select count(*) from pgflight.embed_state where state = 0";
        assert_eq!(database.value(pending).await, "25", "{body}");
        assert!(stub.requests() <= 4, "{body}: {} requests", stub.requests());
        let (_, text) = run(&database, &settings, &["status"]).await;
        assert!(text.contains(says) && text.contains("left alone for another"), "{text}");
        // What was noted is gone with the first answer.
        stub.judge(|_| None);
        let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
        assert_eq!(code, Some(0), "{body}: {text}");
        let (_, text) = run(&database, &settings, &["status"]).await;
        assert!(!text.contains("left alone"), "{text}");
        assert_eq!(super::chunks(&database).await, wanted(&database).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_base64_is_asked_for_numbers_and_no_row_is_given_up() {
    let mut bench = Bench::start().await;
    bench.stub.judge(|body| match body["encoding_format"].as_str() {
        Some(_) => Some((400, r#"{"error":{"message":"unknown field","code":400}}"#.to_owned())),
        None => Some((200, good_answer(body, DIMENSIONS))),
    });
    bench.put(&[(1, "a", Some("one")), (2, "b", Some("two"))]).await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    bench.stub.take();
    bench.put(&[(3, "c", Some("three"))]).await;
    drained(&bench.database).await;
    let asked = bench.stub.take();
    assert!(
        asked.len() == 1 && asked[0].body["encoding_format"].is_null(),
        "{asked:?}"
    );
}
