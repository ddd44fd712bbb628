//! Reads what an embeddings service answers, and believes none of it: number, order, size and values are checked before
//! anything is stored. Pure.
//!
//! Shapes seen in the wild: a missing `object` or `usage`, entries out of order, `null` in a vector, vectors of another
//! width than asked for, vectors in base64 (little-endian f32).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Vectors of one request, in the order of its texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// One per text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that the service counted, where it says so.
    pub tokens: Option<u64>,
    /// How long the next request should wait, by the answer's headers.
    pub rest: Option<Duration>,
}

/// A 2xx answer as far as it matters here.
#[derive(Debug, Deserialize)]
struct Reply {
    data: Vec<Entry>,
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    index: Option<usize>,
    embedding: Embedding,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Embedding {
    Numbers(Vec<Option<f32>>),
    Base64(String),
}

#[derive(Debug, Deserialize)]
struct Usage {
    total_tokens: Option<u64>,
}

/// Reads a 2xx body for a request of `texts` texts.
///
/// # Errors
/// What is wrong with the answer, without any of its values.
pub fn read(body: &[u8], texts: usize, dimensions: usize) -> Result<Vectors, String> {
    let reply: Reply = serde_json::from_slice(body).map_err(|error| {
        format!(
            "is no list of embeddings (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    if reply.data.len() != texts {
        return Err(format!("has {} vectors for {texts} texts", reply.data.len()));
    }
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (at, entry) in reply.data.into_iter().enumerate() {
        let index = entry.index.unwrap_or(at);
        let vector = entry.embedding.numbers()?;
        check(&vector, dimensions)?;
        match vectors.get_mut(index) {
            Some(place @ None) => *place = Some(vector),
            Some(Some(_)) => return Err(format!("has two vectors for text {index}")),
            None => return Err(format!("has a vector for text {index}, and there are {texts}")),
        }
    }
    Ok(Vectors {
        vectors: vectors.into_iter().flatten().collect(),
        tokens: reply.usage.and_then(|usage| usage.total_tokens),
        rest: None,
    })
}

impl Embedding {
    fn numbers(self) -> Result<Vec<f32>, String> {
        match self {
            Self::Numbers(numbers) => {
                let numbers: Option<Vec<f32>> = numbers.into_iter().collect();
                numbers.ok_or_else(|| "has null in a vector".to_owned())
            }
            Self::Base64(text) => {
                let bytes = STANDARD
                    .decode(text)
                    .map_err(|_| "has a vector in broken base64".to_owned())?;
                let words = bytes.chunks_exact(4);
                if !words.remainder().is_empty() {
                    return Err("has a vector in base64 that ends within a number".to_owned());
                }
                Ok(words
                    .filter_map(|word| word.try_into().ok().map(f32::from_le_bytes))
                    .collect())
            }
        }
    }
}

/// Whether a vector can be stored and found again.
///
/// # Errors
/// What is wrong with it.
pub fn check(vector: &[f32], dimensions: usize) -> Result<(), String> {
    if vector.len() != dimensions {
        return Err(format!(
            "has a vector of {} dimensions, and {dimensions} are configured",
            vector.len()
        ));
    }
    if vector.iter().any(|x| !x.is_finite()) {
        return Err("has a vector with a number that is not finite".to_owned());
    }
    if vector.iter().all(|x| *x == 0.0) {
        return Err("has a vector of length 0".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_put_in_the_order_of_the_texts() {
        let body = br#"{"data":[{"index":1,"embedding":[0.0,1.0]},{"index":0,"embedding":[1.0,0.0]}],"usage":{"total_tokens":9}}"#;
        let read = read(body, 2, 2).unwrap();
        assert_eq!(read.vectors, [[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(read.tokens, Some(9));
    }

    #[test]
    fn a_missing_index_and_missing_usage_are_no_fault() {
        let read = read(br#"{"data":[{"embedding":[3.0]}]}"#, 1, 1).unwrap();
        assert_eq!((read.vectors, read.tokens), (vec![vec![3.0]], None));
    }

    #[test]
    fn base64_is_little_endian() {
        let read = read(br#"{"data":[{"index":0,"embedding":"AACAPwAAAMA="}]}"#, 1, 2).unwrap();
        assert_eq!(read.vectors, [[1.0, -2.0]]);
    }

    #[test]
    fn whatever_cannot_be_believed_is_refused_with_its_reason() {
        for (body, why) in [
            (r#"{"data":[]}"#, "has 0 vectors for 2 texts"),
            (
                r#"{"data":[{"index":0,"embedding":[1,1]},{"index":0,"embedding":[1,1]}]}"#,
                "two vectors for text 0",
            ),
            (
                r#"{"data":[{"index":0,"embedding":[1,1]},{"index":7,"embedding":[1,1]}]}"#,
                "a vector for text 7",
            ),
            (
                r#"{"data":[{"index":0,"embedding":[1,1]},{"index":1,"embedding":[1]}]}"#,
                "1 dimensions, and 2",
            ),
            (
                r#"{"data":[{"index":0,"embedding":[1,null]},{"index":1,"embedding":[1,1]}]}"#,
                "null",
            ),
            (
                r#"{"data":[{"index":0,"embedding":[1,1e39]},{"index":1,"embedding":[1,1]}]}"#,
                "not finite",
            ),
            (
                r#"{"data":[{"index":0,"embedding":[0,0]},{"index":1,"embedding":[1,1]}]}"#,
                "length 0",
            ),
            (
                r#"{"data":[{"index":0,"embedding":"AAA="},{"index":1,"embedding":[1,1]}]}"#,
                "ends within a number",
            ),
            ("[[1,1],[1,1]]", "no list of embeddings"),
            ("<html>", "no list of embeddings"),
        ] {
            let error = read(body.as_bytes(), 2, 2).unwrap_err();
            assert!(error.contains(why), "{body}: {error}");
        }
    }
}
