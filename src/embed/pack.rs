//! Packs texts into requests within a service's limits. Pure.
//!
//! OpenAI counts about a quarter of a token per byte before it looks at the text, and refuses a request by that number; a
//! byte-level tokenizer never makes more tokens than bytes.

use std::ops::Range;

use super::sections;

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Texts.
    pub inputs: usize,
    /// Estimated tokens of all texts.
    pub tokens: usize,
    /// Tokens of one text; a longer one is cut in pieces before it is sent.
    pub input_tokens: usize,
}

/// Tokens of a text, estimated as the service does.
pub fn estimated_tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

impl RequestLimits {
    /// Ranges of texts that go into one request each, in order.
    pub fn pack<T: AsRef<str>>(&self, texts: &[T]) -> Vec<Range<usize>> {
        let mut requests = Vec::new();
        let (mut start, mut tokens) = (0, 0);
        for (at, text) in texts.iter().enumerate() {
            let more = estimated_tokens(text.as_ref());
            if at > start && (at - start >= self.inputs || tokens + more > self.tokens) {
                requests.push(start..at);
                (start, tokens) = (at, 0);
            }
            tokens += more;
        }
        if start < texts.len() {
            requests.push(start..texts.len());
        }
        requests
    }

    /// Half of it, after the service found a request too large; at least one text.
    #[must_use]
    pub fn halved(self) -> Self {
        Self {
            inputs: (self.inputs / 2).max(1),
            tokens: (self.tokens / 2).max(1),
            ..self
        }
    }
}

/// Cuts chunks that no request could hold into pieces. A text has no more tokens than bytes, so most are not even counted.
pub fn cut_long(chunks: Vec<String>, limit: usize) -> Vec<String> {
    let is_long = |chunk: &String| chunk.len() > limit && sections::count(chunk) > limit;
    if !chunks.iter().any(is_long) {
        return chunks;
    }
    let pieces = chunks.into_iter().flat_map(|chunk| match is_long(&chunk) {
        true => sections::cut(&chunk, limit),
        false => vec![chunk],
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        inputs: 3,
        tokens: 10,
        input_tokens: 8,
    };

    #[test]
    fn requests_end_at_the_number_of_texts_and_at_the_tokens() {
        assert_eq!(LIMITS.pack(&["a", "b", "c", "d"]), [0..3, 3..4]);
        let long = "x".repeat(24);
        assert_eq!(LIMITS.pack(&[long.as_str(), long.as_str()]), [0..1, 1..2]);
        assert_eq!(
            LIMITS.pack(&["x".repeat(1000)]),
            std::iter::once(0..1).collect::<Vec<_>>()
        );
        assert_eq!(LIMITS.pack::<&str>(&[]), Vec::<Range<usize>>::new());
    }

    proptest! {
        #[test]
        fn every_text_is_sent_once_and_in_order(texts in prop::collection::vec("[a-z]{0,30}", 0..20)) {
            let requests = LIMITS.pack(&texts);
            let sent: Vec<usize> = requests.iter().cloned().flatten().collect();
            prop_assert_eq!(sent, (0..texts.len()).collect::<Vec<_>>());
            for request in requests {
                let tokens: usize = texts[request.clone()].iter().map(|text| estimated_tokens(text)).sum();
                prop_assert!(request.len() <= LIMITS.inputs);
                prop_assert!(request.len() == 1 || tokens <= LIMITS.tokens);
            }
        }
    }

    #[test]
    fn a_chunk_that_no_request_can_hold_is_cut_and_the_others_stay() {
        let long = "one two three four five six seven eight nine ten";
        let cut = cut_long(vec!["short".to_owned(), long.to_owned()], 4);
        assert_eq!(cut[0], "short");
        assert_eq!(cut[1..].concat(), long);
        assert!(
            cut.len() == 4 && cut.iter().all(|piece| sections::count(piece) <= 4),
            "{cut:?}"
        );
    }
}
