//! Some claimed rows from text to vectors: split, look up what is stored, have the rest asked for, sort out what is refused.
//!
//! A text is asked for once, however many rows or chunks have it. Whatever was answered is handed on also when a later
//! request fails, because it was paid for.

use std::collections::{HashMap, HashSet};

use metrics::counter;
use sha2::{Digest, Sha256};

use super::ask::{Texts, ask};
use super::failure::Failed;
use super::gate::Gate;
use super::pack::{cut_long, estimated_tokens};
use super::provider::Provider;
use super::split::split;
use crate::ingest::ports::embed::{ChunkVector, Claimed, Embedded, NewChunk, Refused, RowKey};
use crate::model::embed::Splitter;
use crate::telemetry::names;

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Rows to commit.
    pub(super) embedded: Vec<Embedded>,
    /// Rows to give up.
    pub(super) refused: Vec<Refused>,
    /// Rows to give back.
    pub(super) released: Vec<RowKey>,
    /// Why rows are given back.
    pub(super) failure: Option<Failed>,
}

/// A chunk whose vector is stored or asked for.
enum Source {
    Stored(bytes::Bytes),
    /// Position among the texts.
    Asked(usize),
}

struct Row {
    claimed: Claimed,
    chunks: Vec<(String, [u8; 32], Source)>,
}

/// Takes rows from text to vectors. May be dropped at any await; nothing is written here.
pub(super) async fn embed(rows: Vec<Claimed>, splitter: Splitter, provider: &Provider, gate: &Gate) -> Outcome {
    let mut outcome = Outcome::default();
    let mut texts = Texts::default();
    let mut open = Vec::new();
    let mut places = HashMap::new();
    for (claimed, pieces) in pieces(rows, splitter, provider.limits().input_tokens).await {
        match pieces {
            Pieces::None => outcome.embedded.push(embedded(claimed, None)),
            Pieces::Of(pieces) => open.push(row(claimed, pieces, &mut texts, &mut places)),
            Pieces::Unsplittable => outcome.refused.push(Refused {
                held: claimed.held,
                code: "unsplittable",
                message: format!("the splitter {} fails on its text", splitter.name()),
            }),
        }
    }
    let halvings = gate.halvings();
    let limits = (0..halvings).fold(provider.limits(), |limits, _| limits.halved());
    outcome.failure = ask(&mut texts, limits, provider, gate).await.err();
    if texts.were_too_many() {
        gate.too_large(halvings);
    }
    for row in open {
        sort_out(row, &texts, &mut outcome);
    }
    outcome
}

/// What a row's text was split into.
enum Pieces {
    /// Nothing to split: the row is gone, or up to date already. The store finds out which while it holds the ledger's row.
    None,
    Of(Vec<String>),
    /// The splitter panicked.
    Unsplittable,
}

/// Splits all texts, away from the threads that wait for sockets: tokens of long texts take their time.
async fn pieces(rows: Vec<Claimed>, splitter: Splitter, longest: usize) -> Vec<(Claimed, Pieces)> {
    let of = move |row: Claimed| {
        let pieces = match &row.text {
            Some(text) if !row.up_to_date => {
                let pieces = std::panic::catch_unwind(|| cut_long(split(text, splitter), longest));
                pieces.map_or(Pieces::Unsplittable, Pieces::Of)
            }
            _ => Pieces::None,
        };
        (row, pieces)
    };
    let split_all = tokio::task::spawn_blocking(move || rows.into_iter().map(of).collect());
    // Only a runtime that shuts down loses the rows, and then their leases run out.
    split_all.await.unwrap_or_default()
}

fn row(claimed: Claimed, pieces: Vec<String>, texts: &mut Texts, places: &mut HashMap<[u8; 32], usize>) -> Row {
    let stored: HashMap<&[u8], &bytes::Bytes> = claimed
        .stored
        .iter()
        .map(|(hash, vector)| (&hash[..], vector))
        .collect();
    let (mut kept, mut shared) = (0, 0);
    let chunks = pieces.into_iter().map(|piece| {
        let hash: [u8; 32] = Sha256::digest(piece.as_bytes()).into();
        let source = match (stored.get(&hash[..]), places.get(&hash)) {
            (Some(vector), _) => {
                kept += 1;
                Source::Stored((*vector).clone())
            }
            (None, Some(at)) => {
                shared += 1;
                Source::Asked(*at)
            }
            (None, None) => {
                let at = texts.texts.len();
                places.insert(hash, at);
                texts.texts.push(piece.clone());
                Source::Asked(at)
            }
        };
        (piece, hash, source)
    });
    let chunks: Vec<_> = chunks.collect();
    counter!(names::EMBED_CHUNKS, "source" => "stored").increment(kept);
    counter!(names::EMBED_CHUNKS, "source" => "shared").increment(shared);
    Row { claimed, chunks }
}

fn sort_out(row: Row, texts: &Texts, outcome: &mut Outcome) {
    let asked = row.chunks.iter().filter_map(|(_, _, source)| match source {
        Source::Asked(at) => Some(*at),
        Source::Stored(_) => None,
    });
    let asked: HashSet<usize> = asked.collect();
    if let Some(failure) = asked.iter().find_map(|at| texts.refused.get(at)) {
        outcome.refused.push(Refused {
            held: row.claimed.held,
            code: failure.code(),
            message: failure.to_string(),
        });
        return;
    }
    let chunks = row.chunks.into_iter().map(|(text, hash, source)| {
        let vector = match source {
            Source::Stored(bytes) => ChunkVector::Kept(bytes),
            Source::Asked(at) => ChunkVector::New(texts.vectors.get(at)?.clone()?),
        };
        Some(NewChunk { text, hash, vector })
    });
    match chunks.collect::<Option<Vec<NewChunk>>>() {
        Some(chunks) => outcome.embedded.push(embedded(row.claimed, Some(chunks))),
        None => outcome.released.push(row.claimed.held.key),
    }
}

fn embedded(row: Claimed, chunks: Option<Vec<NewChunk>>) -> Embedded {
    let tokens = row.text.as_deref().map_or(0, estimated_tokens);
    Embedded {
        held: row.held,
        chunks,
        tokens: i32::try_from(tokens).unwrap_or(i32::MAX),
    }
}
