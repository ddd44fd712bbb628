//! Splits a text into chunks. `recursive_text` gives exactly the chunks that CloudQuery's plugin makes; the other splitters
//! are in `sections`. Pure.
//!
//! The algorithm is langchaingo's recursive character splitter (v0.1.14) as described in its tests and sources: lengths
//! are counted in Unicode scalar values; the first separator that occurs splits the text and is dropped; pieces shorter
//! than `chunk_size` are joined again up to that size; a longer piece is split by the separators after it. Overlap is made
//! of whole pieces, so it is often less than asked for.

use std::collections::VecDeque;

use super::sections;
use crate::model::embed::{ChunkSize, Splitter};

/// Tried in this order; the empty one splits between characters.
const SEPARATORS: [&str; 4] = ["\n\n", "\n", " ", ""];

/// The chunks of a text, in order; none of them is empty.
pub fn split(text: &str, splitter: Splitter) -> Vec<String> {
    match splitter {
        Splitter::Recursive(size) => {
            let mut chunks = Vec::new();
            recursive(text, &SEPARATORS, &Sizes::of(size), &mut chunks);
            chunks
        }
        Splitter::Markdown(size) => sections::markdown(text, size),
        Splitter::Tokens(size) => sections::tokens(text, size),
    }
}

struct Sizes {
    size: usize,
    overlap: usize,
}

impl Sizes {
    fn of(size: ChunkSize) -> Self {
        Self {
            size: size.chunk_size as usize,
            overlap: size.chunk_overlap as usize,
        }
    }
}

/// A piece of text with its length in characters.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    length: usize,
}

fn recursive(text: &str, separators: &[&str], sizes: &Sizes, chunks: &mut Vec<String>) {
    let found = separators.iter().position(|separator| text.contains(separator));
    let (separator, later) = match found {
        Some(at) => (separators[at], &separators[at + 1..]),
        None => ("", &[][..]),
    };
    let mut short: Vec<Piece<'_>> = Vec::new();
    for piece in pieces(text, separator) {
        let piece = Piece {
            text: piece,
            length: piece.chars().count(),
        };
        if piece.length < sizes.size {
            short.push(piece);
            continue;
        }
        merge(&std::mem::take(&mut short), separator, sizes, chunks);
        if later.is_empty() {
            chunks.push(piece.text.to_owned());
        } else {
            recursive(piece.text, later, sizes, chunks);
        }
    }
    merge(&short, separator, sizes, chunks);
}

/// The parts between separators; between all characters for the empty separator.
fn pieces<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    if separator.is_empty() {
        let ends = text.char_indices().map(|(at, c)| (at, at + c.len_utf8()));
        return ends.filter_map(|(from, to)| text.get(from..to)).collect();
    }
    text.split(separator).collect()
}

/// Joins neighbouring pieces up to the size; each chunk starts with as many whole pieces of the one before as fit the overlap.
fn merge(pieces: &[Piece<'_>], separator: &str, sizes: &Sizes, chunks: &mut Vec<String>) {
    let gap = separator.chars().count();
    let mut window: VecDeque<Piece<'_>> = VecDeque::new();
    let mut total = 0;
    for piece in pieces {
        let before = if window.is_empty() { 0 } else { gap };
        if total + before + piece.length > sizes.size && !window.is_empty() {
            emit(&window, separator, chunks);
            while let Some(first) = window.front() {
                let gap_after = if window.len() < 2 { 0 } else { gap };
                let too_long = total > 0 && total + piece.length + gap_after > sizes.size;
                if total <= sizes.overlap && !too_long {
                    break;
                }
                total -= first.length + gap_after;
                window.pop_front();
            }
        }
        total += piece.length + if window.is_empty() { 0 } else { gap };
        window.push_back(*piece);
    }
    emit(&window, separator, chunks);
}

fn emit(window: &VecDeque<Piece<'_>>, separator: &str, chunks: &mut Vec<String>) {
    let parts: Vec<&str> = window.iter().map(|piece| piece.text).collect();
    let joined = parts.join(separator);
    let chunk = joined.trim();
    if !chunk.is_empty() {
        chunks.push(chunk.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recursive_chunks(text: &str, chunk_size: u32, chunk_overlap: u32) -> Vec<String> {
        split(
            text,
            Splitter::Recursive(ChunkSize {
                chunk_size,
                chunk_overlap,
            }),
        )
    }

    #[test]
    fn a_text_that_fits_stays_whole_and_is_trimmed() {
        assert_eq!(recursive_chunks("  one two ", 100, 10), ["one two"]);
        assert_eq!(recursive_chunks("", 100, 10), Vec::<String>::new());
        assert_eq!(
            recursive_chunks(" \n\n \n ", 100, 10),
            Vec::<String>::new(),
            "only separators"
        );
    }

    #[test]
    fn paragraphs_come_first_then_lines_then_words_then_characters() {
        assert_eq!(
            recursive_chunks("aaaa bbbb\n\ncccc dddd", 12, 0),
            ["aaaa bbbb", "cccc dddd"]
        );
        assert_eq!(
            recursive_chunks("one\ntwo\n\nthree four five", 10, 0),
            ["one\ntwo", "three four", "five"],
            "the long paragraph is split at words, the short one stays as it is"
        );
        assert_eq!(recursive_chunks("abcdefghij", 4, 0), ["abcd", "efgh", "ij"]);
    }

    #[test]
    fn a_piece_of_exactly_the_size_is_split_further() {
        // Shorter than the size is the rule, so 10 characters do not fit 10 as one piece.
        assert_eq!(recursive_chunks("aaaaaaaaaa b", 10, 0), ["aaaaaaaaaa", "b"]);
        assert_eq!(recursive_chunks("abcde\nfg", 5, 0), ["abcde", "fg"]);
    }

    #[test]
    fn overlap_is_made_of_whole_pieces() {
        assert_eq!(
            recursive_chunks("a b c d e f", 5, 3),
            ["a b c", "b c d", "c d e", "d e f"]
        );
        assert_eq!(
            recursive_chunks("aaa bbb ccc", 8, 4),
            ["aaa bbb", "bbb ccc"],
            "three characters of overlap, because four would cut a word"
        );
        assert_eq!(
            recursive_chunks("aaaa bbbb", 5, 2),
            ["aaaa", "bbbb"],
            "no piece fits the overlap"
        );
    }

    #[test]
    fn lengths_are_characters_and_no_character_is_cut() {
        assert_eq!(recursive_chunks("ééé ☃☃☃ 🦀🦀🦀", 4, 0), ["ééé", "☃☃☃", "🦀🦀🦀"]);
        assert_eq!(recursive_chunks("🦀🦀🦀🦀🦀", 2, 1), ["🦀🦀", "🦀🦀", "🦀🦀", "🦀🦀"]);
    }

    #[test]
    fn chunks_are_those_of_the_splitter_that_the_go_plugin_uses() {
        // Printed by langchaingo v0.1.14 itself: tests/golden/recursive_text/main.go.
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/recursive_text/chunks.jsonl");
        let lines = std::fs::read_to_string(path).unwrap();
        for line in lines.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = |key: &str| u32::try_from(case[key].as_u64().unwrap()).unwrap();
            let chunks = recursive_chunks(case["text"].as_str().unwrap(), number("size"), number("overlap"));
            assert_eq!(serde_json::json!(chunks), case["chunks"], "{line}");
        }
        assert_eq!(lines.lines().count(), 240);
    }

    #[test]
    fn a_size_of_one_gives_single_characters() {
        assert_eq!(recursive_chunks("ab", 1, 0), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn chunks_fit_are_not_empty_and_hold_the_text_in_order(
            text in "[ab é\n🦀]{0,60}", size in 2u32..12, overlap in 0u32..8
        ) {
            let overlap = overlap.min(size - 1);
            let chunks = recursive_chunks(&text, size, overlap);
            // A single overlapping piece is kept without counting the separator after it: the original does so, too.
            let longest = size as usize + if overlap > 0 { 2 } else { 0 };
            for chunk in &chunks {
                prop_assert!(!chunk.is_empty() && chunk.chars().count() <= longest, "{chunk:?}");
                prop_assert!(text.contains(chunk.as_str()), "{chunk:?} is not in {text:?}");
            }
            // Without overlap nothing but white space is lost, and nothing is doubled.
            let plain: String = recursive_chunks(&text, size, 0).concat().split_whitespace().collect();
            let all: String = text.split_whitespace().collect();
            prop_assert_eq!(plain, all);
        }
    }
}
