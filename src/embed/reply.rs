//! Reads what an embeddings service answers, and believes none of it: number, order, size and values are checked before
//! anything is stored. Pure.
//!
//! Shapes seen in the wild: a missing `object`, `model` or `usage`, `usage` of any form, entries out of order, `null` in a vector,
//! vectors of another width than asked for, vectors in base64 (little-endian f32; padded or not, in either alphabet), an error
//! with HTTP 200.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pgvector::Vector;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;
use serde_json::value::RawValue;

/// Vectors of one request, in the order of its texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// One per text.
    pub vectors: Vec<Vector>,
    /// Tokens that the service counted, where it says so.
    pub tokens: Option<u64>,
    /// How long the next request should wait, by the answer's headers.
    pub rest: Option<Duration>,
}

/// Why there are no vectors in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// It is an error; the text of the object.
    Error(String),
    /// It cannot be believed: what is wrong, without any of its values.
    Wrong(String),
    /// It cannot be believed, and its vectors were in base64.
    WrongBase64(String),
}

impl Unusable {
    fn wrong(what: impl Into<String>, base64: bool) -> Self {
        if base64 {
            Self::WrongBase64(what.into())
        } else {
            Self::Wrong(what.into())
        }
    }
}

/// A 2xx answer as far as it matters here.
#[derive(Debug, Deserialize)]
struct Reply<'a> {
    data: Option<Vec<Entry>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    index: Option<usize>,
    embedding: Embedding,
}

/// Reads a 2xx body for a request of `texts` texts.
///
/// # Errors
/// Why there are no vectors in it.
pub fn read(body: &str, texts: usize, dimensions: usize) -> Result<Vectors, Unusable> {
    let reply: Reply<'_> = serde_json::from_str(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Unusable::Wrong(format!("is no list of embeddings (line {line}, column {column})"))
    })?;
    let data = match (reply.data, reply.error) {
        (Some(data), None) => data,
        (Some(data), Some(_)) if !data.is_empty() => data,
        (_, Some(error)) => return Err(Unusable::Error(error.get().to_owned())),
        (None, None) => {
            return Err(Unusable::Wrong(
                "is no list of embeddings (it has no `data`)".to_owned(),
            ));
        }
    };
    if data.len() != texts {
        return Err(Unusable::Wrong(format!("has {} vectors for {texts} texts", data.len())));
    }
    let mut vectors: Vec<Option<Vector>> = vec![None; texts];
    for (at, entry) in data.into_iter().enumerate() {
        let index = entry.index.unwrap_or(at);
        let base64 = entry.embedding.base64;
        let vector = entry.embedding.numbers.map_err(|what| Unusable::wrong(what, base64))?;
        check(&vector, dimensions).map_err(|what| Unusable::wrong(what, base64))?;
        match vectors.get_mut(index) {
            Some(place @ None) => *place = Some(Vector::from(vector)),
            Some(Some(_)) => return Err(Unusable::Wrong(format!("has two vectors for text {index}"))),
            None => {
                let what = format!("has a vector for text {index}, and there are {texts}");
                return Err(Unusable::Wrong(what));
            }
        }
    }
    Ok(Vectors {
        vectors: vectors.into_iter().flatten().collect(),
        tokens: reply.usage.and_then(|usage| tokens(usage.get())),
        rest: None,
    })
}

/// Tokens in whatever stands under `usage`: it is for pacing only, so nothing in it is a reason to refuse vectors.
fn tokens(usage: &str) -> Option<u64> {
    let usage: Value = serde_json::from_str(usage).ok()?;
    ["total_tokens", "prompt_tokens"]
        .iter()
        .find_map(|key| usage.get(key)?.as_u64())
}

/// A vector as it came: what its numbers are, or why there are none.
#[derive(Debug)]
struct Embedding {
    numbers: Result<Vec<f32>, &'static str>,
    base64: bool,
}

impl<'de> Deserialize<'de> for Embedding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyForm)
    }
}

/// Takes numbers or base64 as they stand in the body, without a copy of the text in between.
struct AnyForm;

impl<'de> Visitor<'de> for AnyForm {
    type Value = Embedding;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers or base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Embedding, E> {
        Ok(Embedding {
            numbers: decoded(text),
            base64: true,
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Embedding, E> {
        Ok(Embedding {
            numbers: Err("has null for a vector"),
            base64: false,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Embedding, A::Error> {
        let mut vector = Vec::with_capacity(numbers.size_hint().unwrap_or(0));
        let mut complete = true;
        while let Some(number) = numbers.next_element::<Option<f32>>()? {
            complete &= number.is_some();
            vector.push(number.unwrap_or(0.0));
        }
        Ok(Embedding {
            numbers: if complete {
                Ok(vector)
            } else {
                Err("has null in a vector")
            },
            base64: false,
        })
    }
}

fn decoded(text: &str) -> Result<Vec<f32>, &'static str> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let bytes = GeneralPurpose::new(alphabet, config).decode(text);
    let bytes = bytes.map_err(|_| "has a vector in broken base64")?;
    let words = bytes.chunks_exact(4);
    if !words.remainder().is_empty() {
        return Err("has a vector in base64 that ends within a number");
    }
    let words = words.filter_map(|word| word.try_into().ok().map(f32::from_le_bytes));
    Ok(words.collect())
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
        let body = r#"{"data":[{"index":1,"embedding":[0.0,1.0]},{"index":0,"embedding":[1.0,0.0]}],"usage":{"total_tokens":9}}"#;
        let read = read(body, 2, 2).unwrap();
        assert_eq!(read.vectors, [vec![1.0, 0.0], vec![0.0, 1.0]].map(Vector::from));
        assert_eq!(read.tokens, Some(9));
    }

    #[test]
    fn a_missing_index_and_missing_usage_are_no_fault() {
        let read = read(r#"{"data":[{"embedding":[3.0]}]}"#, 1, 1).unwrap();
        assert_eq!((read.vectors, read.tokens), (vec![Vector::from(vec![3.0])], None));
    }

    #[test]
    fn usage_of_any_form_is_no_reason_to_refuse_vectors() {
        for (usage, tokens) in [
            ("7", None),
            ("null", None),
            (r#""much""#, None),
            ("[1]", None),
            (r#"{"total_tokens":"12"}"#, None),
            (r#"{"total_tokens":-1,"prompt_tokens":3}"#, Some(3)),
            (r#"{"total_tokens":1e999}"#, None),
            (r#"{"total_tokens":4.0}"#, None),
            (r#"{"total_tokens":null}"#, None),
        ] {
            let body = format!(r#"{{"data":[{{"embedding":[3.0]}}],"usage":{usage}}}"#);
            assert_eq!(read(&body, 1, 1).unwrap().tokens, tokens, "{usage}");
        }
    }

    #[test]
    fn an_error_in_a_good_answer_is_an_error() {
        let error = read(r#"{"error":{"message":"no","code":429}}"#, 1, 1).unwrap_err();
        assert_eq!(error, Unusable::Error(r#"{"message":"no","code":429}"#.to_owned()));
        assert!(read(r#"{"error":null,"data":[{"embedding":[3.0]}]}"#, 1, 1).is_ok());
        assert!(matches!(
            read(r#"{"error":"no","data":[]}"#, 1, 1),
            Err(Unusable::Error(_))
        ));
    }

    #[test]
    fn base64_is_little_endian_padded_or_not_in_either_alphabet() {
        for text in ["AACAPwAAAMA=", "AACAPwAAAMA"] {
            let body = format!(r#"{{"data":[{{"index":0,"embedding":"{text}"}}]}}"#);
            let read = read(&body, 1, 2).unwrap();
            assert_eq!(read.vectors, [Vector::from(vec![1.0, -2.0])], "{text}");
        }
        // 0x3ffffefb is the number whose bytes are the letters that differ.
        for text in ["+/7/Pw==", "-_7_Pw"] {
            assert_eq!(decoded(text), Ok(vec![f32::from_bits(0x3fff_fefb)]), "{text}");
        }
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
            (
                r#"{"data":[{"index":0,"embedding":"?!"},{"index":1,"embedding":[1,1]}]}"#,
                "broken base64",
            ),
            (
                r#"{"data":[{"index":0,"embedding":null},{"index":1,"embedding":[1,1]}]}"#,
                "null for a vector",
            ),
            (r#"{"object":"list"}"#, "no `data`"),
            ("[[1,1],[1,1]]", "no list of embeddings"),
            ("<html>", "no list of embeddings"),
        ] {
            let error = match read(body, 2, 2).unwrap_err() {
                Unusable::Wrong(what) | Unusable::WrongBase64(what) => what,
                Unusable::Error(error) => panic!("{error}"),
            };
            assert!(error.contains(why), "{body}: {error}");
        }
    }
}
