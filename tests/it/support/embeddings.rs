//! A stub of an embeddings service with every fault that one is known for, and short ways to see what the ledger holds.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use pgflight::embed::hash_test;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::database::Database;

/// What the stub does with one request instead of answering well.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Reordered,
    ShortData,
    WrongWidth,
    NullNumber,
    RateLimited {
        retry_after: Option<&'static str>,
    },
    Status(u16, &'static str),
    Slow(Duration),
    /// The head of the answer comes at once, its body after a while.
    SlowBody(Duration),
    Reset,
    NotJson,
    ZeroVector,
    /// A number that no f32 can hold.
    Huge,
    /// A good answer that leaves no request for so long.
    NothingLeft(&'static str),
    /// A status whose words repeat the texts that were sent and the key.
    Echo(u16),
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) texts: Vec<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

/// Answers instead of the stub where it returns something: status and body for a request's body.
type Judge = Box<dyn Fn(&Value) -> Option<(u16, String)> + Send>;

#[derive(Default)]
struct Script {
    asked: Vec<Asked>,
    /// Texts that got their vectors.
    answered: Vec<String>,
    faults: VecDeque<Fault>,
    /// Requests with a text that holds this are refused with this status, without saying which text it was.
    poison: Option<(&'static str, StatusCode)>,
    /// Of so many requests one is asked for a pause; 0: none.
    limited: usize,
    requests: usize,
    down: bool,
    delay: Duration,
    judge: Option<Judge>,
    /// Requests that were given up by who sent them before they were answered.
    abandoned: usize,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

/// Counts a request as abandoned unless it is told otherwise.
struct Answering(Option<Arc<Mutex<Script>>>);

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(script) = &self.0 {
            script.lock().unwrap_or_else(PoisonError::into_inner).abandoned += 1;
        }
    }
}

/// The stub; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Stub {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    held: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Stub {
    /// A stub that answers with vectors of this size.
    pub(crate) async fn start(dimensions: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a TCP address");
        let script: Arc<Mutex<Script>> = Arc::default();
        let (held, holds) = watch::channel(false);
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state((Arc::clone(&script), dimensions, holds));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the stub serves") });
        Self {
            address,
            script,
            held,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next requests meet these, one each.
    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script(|script| script.faults.extend(faults));
    }

    /// Whether requests get no answer for the time being.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Requests that this says something about are answered so, before everything else.
    pub(crate) fn judge(&self, judge: impl Fn(&Value) -> Option<(u16, String)> + Send + 'static) {
        self.script(|script| script.judge = Some(Box::new(judge)));
    }

    /// How many requests were given up before they were answered.
    pub(crate) fn abandoned(&self) -> usize {
        self.script(|script| script.abandoned)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn poison(&self, word: Option<&'static str>) {
        self.script(|script| script.poison = word.map(|word| (word, StatusCode::BAD_REQUEST)));
    }

    /// Requests with a text that holds this are found too large.
    pub(crate) fn too_large(&self, word: &'static str) {
        self.script(|script| script.poison = Some((word, StatusCode::PAYLOAD_TOO_LARGE)));
    }

    /// One request in so many is asked for a pause.
    pub(crate) fn limit_one_in(&self, requests: usize) {
        self.script(|script| script.limited = requests);
    }

    /// Every request gets 500.
    pub(crate) fn set_down(&self, down: bool) {
        self.script(|script| script.down = down);
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        self.script(|script| script.delay = delay);
    }

    /// All requests so far; forgets them.
    pub(crate) fn take(&self) -> Vec<Asked> {
        self.script(|script| std::mem::take(&mut script.asked))
    }

    /// How many requests came since the last [`Stub::take`].
    pub(crate) fn requests(&self) -> usize {
        self.script(|script| script.asked.len())
    }

    /// Texts that got their vectors so far, as often as they did; forgets them.
    pub(crate) fn take_answered(&self) -> Vec<String> {
        self.script(|script| std::mem::take(&mut script.answered))
    }

    /// Texts of all requests so far; forgets them.
    pub(crate) fn take_texts(&self) -> Vec<String> {
        self.take().into_iter().flat_map(|asked| asked.texts).collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State((script, dimensions, mut holds)): State<(Arc<Mutex<Script>>, usize, watch::Receiver<bool>)>,
    headers: HeaderMap,
    uri: axum::http::Uri,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("requests are JSON");
    let texts: Vec<String> = serde_json::from_value(body["input"].clone()).expect("a list of texts");
    let mut answering = Answering(Some(Arc::clone(&script)));
    let (fault, poison, delay, judged) = {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = script.judge.as_ref().and_then(|judge| judge(&body));
        script.asked.push(Asked {
            texts: texts.clone(),
            authorization: headers
                .get("authorization")
                .map(|value| value.to_str().expect("ASCII").to_owned()),
            path: uri.path().to_owned(),
            body,
            at: Instant::now(),
        });
        script.requests += 1;
        let fault = if script.down {
            Some(Fault::Status(500, "down"))
        } else if script.limited > 0 && script.requests % script.limited == 0 {
            Some(Fault::RateLimited { retry_after: None })
        } else {
            script.faults.pop_front()
        };
        (fault, script.poison, script.delay, judged)
    };
    tokio::time::sleep(delay).await;
    drop(holds.wait_for(|held| !held).await);
    answering.0 = None;
    if let Some((status, body)) = judged {
        return (StatusCode::from_u16(status).expect("a status"), body).into_response();
    }
    let poisoned = poison.filter(|(word, _)| texts.iter().any(|text| text.contains(word)));
    if let (None, Some((_, status))) = (&fault, poisoned) {
        let words = r#"{"error":{"message":"cannot embed this","code":400,"type":"BadRequestError"}}"#;
        return (status, words).into_response();
    }
    if matches!(fault, None | Some(Fault::Reordered | Fault::NothingLeft(_))) {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        script.answered.extend(texts.iter().cloned());
    }
    if let Some(Fault::Echo(status)) = fault {
        let words = json!({"error": {"message": format!("no: {texts:?} with {headers:?}"), "type": "x"}});
        return (StatusCode::from_u16(status).expect("a status"), words.to_string()).into_response();
    }
    faulty(fault, &texts, dimensions).await
}

async fn faulty(fault: Option<Fault>, texts: &[String], dimensions: usize) -> Response {
    let width = match fault {
        Some(Fault::WrongWidth) => dimensions / 2,
        _ => dimensions,
    };
    let entries = texts.iter().enumerate();
    let mut data: Vec<Value> = entries
        .map(
            |(index, text)| json!({"object": "embedding", "index": index, "embedding": hash_test::vector(text, width)}),
        )
        .collect();
    match fault {
        Some(Fault::Reordered) => data.reverse(),
        Some(Fault::ShortData) => drop(data.pop()),
        Some(Fault::NullNumber) => data[0]["embedding"][0] = Value::Null,
        Some(Fault::RateLimited { retry_after }) => {
            let words = (StatusCode::TOO_MANY_REQUESTS, "slow down, no JSON here");
            return match retry_after {
                Some(seconds) => ([("retry-after", seconds)], words).into_response(),
                None => words.into_response(),
            };
        }
        Some(Fault::Status(status, words)) => {
            return (StatusCode::from_u16(status).expect("a status"), words).into_response();
        }
        Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
        Some(Fault::Reset) => {
            let pieces = [
                Ok(Bytes::from_static(b"{\"data\":[")),
                Err(std::io::Error::other("reset")),
            ];
            return Response::new(Body::from_stream(futures::stream::iter(pieces)));
        }
        Some(Fault::NotJson) => return "<html>all is well</html>".into_response(),
        Some(Fault::ZeroVector) => data[0]["embedding"] = json!(vec![0.0; dimensions]),
        Some(Fault::Huge) => data[0]["embedding"][0] = json!(1e300),
        Some(Fault::SlowBody(_) | Fault::NothingLeft(_) | Fault::Echo(_) | Fault::WrongWidth) | None => {}
    }
    let tokens: usize = texts.iter().map(|text| text.len() / 4 + 1).sum();
    let whole =
        json!({"object": "list", "model": "stub", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
            .to_string();
    answered(fault, whole)
}

/// A good answer as the fault wants it to come.
fn answered(fault: Option<Fault>, whole: String) -> Response {
    if let Some(Fault::NothingLeft(reset)) = fault {
        let headers = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", reset),
        ];
        return (headers, whole).into_response();
    }
    let Some(Fault::SlowBody(pause)) = fault else {
        return Response::new(Body::from(whole));
    };
    let (first, rest) = (
        whole.chars().take(10).collect::<String>(),
        whole.chars().skip(10).collect::<String>(),
    );
    let late = async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(Bytes::from(rest))
    };
    let pieces = futures::stream::once(async { Ok(Bytes::from(first)) }).chain(futures::stream::once(late));
    Response::new(Body::from_stream(pieces))
}

/// Settings that embed column `body` of `docs` into `docs_vectors` through a stub.
pub(crate) fn settings(stub: &Stub, dimensions: u32) -> Value {
    json!({
        "pgvector_config": {
            "tables": [{
                "source_table_name": "docs", "target_table_name": "docs_vectors",
                "embed_columns": ["body"], "metadata_columns": ["id", "kind"],
            }],
            "text_splitter": {"recursive_text": {"chunk_size": 40, "chunk_overlap": 10}},
            "openai_embedding": {
                "provider": "custom", "base_url": stub.url(), "api_key": "sk-secret",
                "model_name": "stub", "dimensions": dimensions,
            },
        },
        "embeddings": {
            "poll_interval": "20ms", "retry_after": "300ms", "request_timeout": "30s", "lease": "30s", "claim_rows": 16,
        },
    })
}

/// Waits until nothing waits any more; fails when nothing has changed for 90 s, which is longer than a worker's longest pause.
pub(crate) async fn drained(database: &Database) {
    let (mut changed, mut before) = (Instant::now(), String::new());
    loop {
        let waits = "select (select count(*) from pgflight.embed_journal) \
                     + (select count(*) from pgflight.embed_state where state in (0, 1))";
        let waits = database.value(waits).await;
        if waits == "0" {
            return;
        }
        if waits != before {
            (changed, before) = (Instant::now(), waits);
        }
        if changed.elapsed() >= Duration::from_secs(90) {
            panic!("{before} rows still wait\n{}", standstill(database).await);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a person would look at when nothing moves: who holds which rows, what is noted, what sessions do and wait for.
async fn standstill(database: &Database) -> String {
    let questions = [
        "select now(), table_id, state, prio, attempts, gen, want_hash = have_hash as same, want_cfg, have_cfg, \
         not_before, lease_owner, lease_until, err_code, count(*) as rows, min(pk::text), max(pk::text) \
         from pgflight.embed_state where state in (0, 1) group by 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 limit 40",
        "select id, table_id, kind, prio, row_count, next_block, created_at from pgflight.embed_journal order by id limit 20",
        "select id, table_id, active from pgflight.embed_config",
        "select pid, state, wait_event_type, wait_event, now() - xact_start as xact, now() - state_change as since, \
         pg_blocking_pids(pid) as blocked_by, left(query, 200) as query \
         from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    ];
    let mut seen = String::new();
    for question in questions {
        let lines = database.lines(question).await;
        seen.push_str(&format!("-- {question}\n{}\n", lines.join("\n")));
    }
    seen
}
