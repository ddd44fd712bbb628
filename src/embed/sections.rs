//! Splitters `markdown` and `tokens`, over the crate text-splitter, and tokens as OpenAI's embedding models count them. Pure.
//!
//! Chunks are pieces of the text as it stands: as much of a level (heading, block, sentence, word) as fits, without white
//! space at their ends. Overlap is made of whole pieces of the level below, so it is often less than asked for.

use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter, TextSplitter};

use crate::model::embed::ChunkSize;

/// Sizes in tokens of cl100k, the vocabulary of the `text-embedding-3` models.
struct Tokens;

impl ChunkSizer for Tokens {
    fn size(&self, chunk: &str) -> usize {
        count(chunk)
    }
}

/// Tokens of a text. The vocabulary is part of the program; it is unpacked at the first call.
pub fn count(text: &str) -> usize {
    bpe_openai::cl100k_base().count(text)
}

/// Markdown in chunks of so many characters.
pub(super) fn markdown(text: &str, size: ChunkSize) -> Vec<String> {
    let splitter = MarkdownSplitter::new(config(size));
    owned(splitter.chunks(text))
}

/// Any text in chunks of so many tokens.
pub(super) fn tokens(text: &str, size: ChunkSize) -> Vec<String> {
    let splitter = TextSplitter::new(config(size).with_sizer(Tokens));
    owned(splitter.chunks(text))
}

/// Cuts a text into pieces of at most `limit` tokens and loses nothing of it.
pub(super) fn cut(text: &str, limit: usize) -> Vec<String> {
    let whole = ChunkConfig::new(limit).with_trim(false).with_sizer(Tokens);
    TextSplitter::new(whole).chunks(text).map(str::to_owned).collect()
}

fn config(size: ChunkSize) -> ChunkConfig<text_splitter::Characters> {
    let plain = || ChunkConfig::new(size.chunk_size as usize);
    // The configuration is refused where the overlap is not less than the size.
    plain()
        .with_overlap(size.chunk_overlap as usize)
        .unwrap_or_else(|_| plain())
}

fn owned<'a>(chunks: impl Iterator<Item = &'a str>) -> Vec<String> {
    chunks
        .filter(|chunk| !chunk.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(chunk_size: u32, chunk_overlap: u32) -> ChunkSize {
        ChunkSize {
            chunk_size,
            chunk_overlap,
        }
    }

    #[test]
    fn tokens_are_those_of_the_embedding_models() {
        // By tiktoken's cl100k_base: [15339, 1917], [83, 1609, 5963, 374, 2294, 0], three per crab.
        assert_eq!(count("hello world"), 2);
        assert_eq!(count("tiktoken is great!"), 6);
        assert_eq!(count("🦀🦀"), 6);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn markdown_is_split_at_headings_and_blocks_first() {
        let text = "# One\n\nFirst paragraph.\n\nSecond paragraph.\n\n# Two\n\n- a list\n- of things\n";
        assert_eq!(
            markdown(text, size(45, 0)),
            [
                "# One\n\nFirst paragraph.\n\nSecond paragraph.",
                "# Two\n\n- a list\n- of things"
            ]
        );
        assert_eq!(
            markdown(text, size(25, 0)),
            [
                "# One\n\nFirst paragraph.",
                "Second paragraph.",
                "# Two",
                "- a list\n- of things"
            ]
        );
        assert_eq!(markdown("  \n\n ", size(10, 0)), Vec::<String>::new());
    }

    #[test]
    fn tokens_are_counted_and_not_characters() {
        let text = "The quick brown fox jumps over the lazy dog. It does so every day. Nobody knows why.";
        let chunks = tokens(text, size(11, 0));
        assert_eq!(
            chunks,
            [
                "The quick brown fox jumps over the lazy dog.",
                "It does so every day. Nobody knows why."
            ]
        );
        assert!(chunks.iter().all(|chunk| chunk.len() > 11 && count(chunk) <= 11));
        let shared = tokens("one two three four five six", size(3, 1));
        assert_eq!(shared, ["one two three", "three four five", "five six"]);
    }

    #[test]
    fn long_runs_of_one_character_take_no_long_time() {
        for text in [" ".repeat(300_000) + "x", "a".repeat(300_000), "é".repeat(100_000)] {
            let chunks = tokens(&text, size(8000, 0));
            assert!(chunks.iter().all(|chunk| count(chunk) <= 8000));
            assert_eq!(chunks.concat().trim(), text.trim());
        }
    }

    proptest! {
        #[test]
        fn chunks_fit_and_are_in_the_text(text in "[a-c é☃🦀\n#*-]{0,80}", most in 4u32..20, overlap in 0u32..4) {
            for chunk in tokens(&text, size(most, overlap)) {
                prop_assert!(count(&chunk) <= most as usize, "{chunk:?}");
                prop_assert!(text.contains(&chunk) && !chunk.trim().is_empty());
            }
            for chunk in markdown(&text, size(most, overlap)) {
                prop_assert!(chunk.chars().count() <= most as usize, "{chunk:?}");
                prop_assert!(text.contains(&chunk) && !chunk.trim().is_empty());
            }
        }

        #[test]
        fn cut_pieces_fit_and_lose_nothing(text in "[a ☃🦀\n]{0,60}", limit in 4usize..12) {
            let pieces = cut(&text, limit);
            prop_assert!(pieces.iter().all(|piece| count(piece) <= limit));
            prop_assert_eq!(pieces.concat(), text);
        }
    }
}
