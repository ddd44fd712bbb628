//! Asks for the vectors of some texts: in requests of the right size, again where that may help, and in smaller ones until it is
//! known whether a refusal is about a text.
//!
//! No text is given up, and no service left alone, because of what a refusal says alone. The service is left alone when it
//! refuses a harmless text, too; a text is given up when the service takes others and refuses it by itself, or takes the
//! others of a request without the one that it named.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use metrics::{counter, histogram};
use pgvector::Vector;
use tokio::time::Instant;
use tracing::Instrument;

use super::failure::{Failed, Failure};
use super::gate::Gate;
use super::pack::{RequestLimits, estimated_tokens};
use super::provider::Provider;
use super::reply::Vectors;
use crate::telemetry::{names, spans};

/// Requests that may fail in passing before the rows are given back.
const ATTEMPTS: u32 = 5;
/// Requests for a pause that are followed before the rows are given back.
const PAUSES: u32 = 100;
/// Tokens of the text that the service is probed with, by estimate.
const PROBE_TOKENS: u64 = 2;

/// Texts that need vectors, each once.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) texts: Vec<String>,
    pub(super) vectors: Vec<Option<Arc<Vector>>>,
    pub(super) refused: HashMap<usize, Failure>,
    /// Whether a request of several texts was found too large.
    too_large: bool,
}

impl Texts {
    /// Whether a request was too large as a whole. Where the halves lead to one text that is too large by itself, that was
    /// why, and requests may be as large as before.
    pub(super) fn were_too_many(&self) -> bool {
        let alone = |failure: &Failure| matches!(failure, Failure::TooLarge { .. });
        self.too_large && !self.refused.values().any(alone)
    }
}

/// Asks for all texts; an error ends the asking, what was answered before stays.
pub(super) async fn ask(
    texts: &mut Texts,
    limits: RequestLimits,
    provider: &Provider,
    gate: &Gate,
) -> Result<(), Failed> {
    texts.vectors = vec![None; texts.texts.len()];
    let packed = limits.pack(&texts.texts);
    let mut asking = Asking {
        requests: packed.into_iter().map(Iterator::collect).collect(),
        texts,
        provider,
        gate,
        attempts: 0,
        pauses: 0,
        takes_texts: false,
        distrusts_names: false,
        named: Vec::new(),
        doubted: HashSet::new(),
    };
    while let Some(request) = asking.requests.pop_front() {
        match asking.send(&request).await {
            Ok(answer) => asking.take(request, answer),
            Err(failed) => asking.refused(request, failed).await?,
        }
    }
    Ok(())
}

/// What is known while a batch is asked for.
struct Asking<'a> {
    texts: &'a mut Texts,
    provider: &'a Provider,
    gate: &'a Gate,
    /// Positions of texts that go out together.
    requests: VecDeque<Vec<usize>>,
    attempts: u32,
    pauses: u32,
    /// Whether the service took a text since the batch began.
    takes_texts: bool,
    /// Whether the service named a text, and refused the others as well.
    distrusts_names: bool,
    /// Texts that the service named, until it takes the others.
    named: Vec<(usize, Failure)>,
    /// Texts that were refused alone, while another was taken, by a failure that is not about texts.
    doubted: HashSet<usize>,
}

impl Asking<'_> {
    async fn send(&mut self, request: &[usize]) -> Result<Vectors, Failed> {
        let inputs = request.iter().filter_map(|at| self.texts.texts.get(*at).cloned());
        let inputs: Vec<String> = inputs.collect();
        let estimated = inputs.iter().map(|text| estimated_tokens(text) as u64).sum();
        let pass = self.gate.pass(estimated).await;
        let started = Instant::now();
        let answer = self.provider.embed(&inputs).instrument(spans::embed()).await;
        drop(pass);
        histogram!(names::EMBED_REQUEST_SECONDS).record(started.elapsed().as_secs_f64());
        histogram!(names::EMBED_REQUEST_INPUTS).record(inputs.len() as f64);
        self.count(&answer, estimated);
        answer
    }

    fn count(&mut self, answer: &Result<Vectors, Failed>, estimated: u64) {
        let code = answer.as_ref().map_or_else(|failed| failed.failure.code(), |_| "ok");
        counter!(names::EMBED_REQUESTS, "outcome" => code).increment(1);
        if let Ok(answer) = answer {
            self.gate.succeeded();
            (self.attempts, self.takes_texts) = (0, true);
            counter!(names::EMBED_TOKENS).increment(answer.tokens.unwrap_or(0));
            self.gate.counted(estimated, answer.tokens.unwrap_or(estimated));
            if let Some(pause) = answer.rest {
                self.gate.rest(pause);
            }
        }
    }

    fn take(&mut self, request: Vec<usize>, answer: Vectors) {
        counter!(names::EMBED_CHUNKS, "source" => "new").increment(request.len() as u64);
        for (at, vector) in request.into_iter().zip(answer.vectors) {
            if let Some(place) = self.texts.vectors.get_mut(at) {
                *place = Some(Arc::new(vector));
            }
        }
        self.texts.refused.extend(self.named.drain(..));
    }

    async fn refused(&mut self, request: Vec<usize>, failed: Failed) -> Result<(), Failed> {
        let several = request.len() > 1;
        match failed.failure {
            _ if failed.failure.is_passing() => {
                self.wait(failed)?;
                self.requests.push_front(request);
                return Ok(());
            }
            // The next request asks for numbers.
            Failure::Encoding => {
                self.requests.push_front(request);
                return Ok(());
            }
            Failure::BadInput { input: Some(at), .. } if several && self.named.is_empty() && !self.distrusts_names => {
                if let Some(culprit) = request.get(at).copied() {
                    self.named.push((culprit, failed.failure));
                    self.requests
                        .push_front(request.into_iter().filter(|at| *at != culprit).collect());
                    return Ok(());
                }
            }
            _ => {}
        }
        // Had the name been right, the others would have been taken.
        self.distrusts_names |= !self.named.is_empty();
        self.requests.extend(self.named.drain(..).map(|(at, _)| vec![at]));
        let about_texts = failed.failure.may_be_the_text();
        if several && matches!(failed.failure, Failure::TooLarge { .. }) {
            self.texts.too_large = true;
        } else if !(about_texts && self.takes_texts) {
            self.probe().await?;
        }
        match request.as_slice() {
            [only] if about_texts || !self.doubted.insert(*only) => {
                self.texts.refused.insert(*only, failed.failure);
            }
            // A failure that is not about texts has to happen to it twice.
            [_] => self.requests.push_front(request),
            _ => {
                let (left, right) = request.split_at(request.len() / 2);
                self.requests.push_front(right.to_vec());
                self.requests.push_front(left.to_vec());
            }
        }
        Ok(())
    }

    /// Notes a failure that may pass; too many of them are one that does not.
    fn wait(&mut self, failed: Failed) -> Result<(), Failed> {
        if matches!(failed.failure, Failure::RateLimited { .. }) && self.pauses < PAUSES {
            self.pauses += 1;
        } else if self.attempts + 1 < ATTEMPTS {
            self.attempts += 1;
        } else {
            self.gate.close(&failed);
            return Err(failed);
        }
        self.gate.failed(&failed);
        Ok(())
    }

    /// Finds out whether the service takes any text. Where it takes none, it is left alone.
    async fn probe(&mut self) -> Result<(), Failed> {
        loop {
            let pass = self.gate.pass(PROBE_TOKENS).await;
            let answer = self.provider.probe().await;
            drop(pass);
            self.count(&answer, PROBE_TOKENS);
            match answer {
                Ok(_) => return Ok(()),
                Err(failed) if failed.failure.is_passing() => self.wait(failed)?,
                Err(failed) => {
                    self.gate.close(&failed);
                    return Err(failed);
                }
            }
        }
    }
}
