//! What is wrong with a JSON document, in JSON's words: the library speaks of sequences, maps and the names of our types. Pure.

/// The library's sentence about a document that is not what was expected.
pub(super) fn words(error: &serde_json::Error) -> String {
    let told = error.to_string();
    // A list in the place of an object is read as its fields in order.
    if told.starts_with("invalid length") && told.contains("expected struct") {
        return "a list stands where an object is expected".to_owned();
    }
    let Some((found, rest)) = told
        .strip_prefix("invalid type: ")
        .and_then(|told| told.rsplit_once(", expected "))
    else {
        return told;
    };
    let (expected, place) = rest.split_once(" at line").unwrap_or((rest, ""));
    let expected = match expected {
        "a sequence" => "a list",
        "a map" => "an object",
        ours if ours.starts_with("struct ") => "an object",
        ours if ours.starts_with("enum ") => "an object with one key",
        other => other,
    };
    let found = match found {
        "sequence" => "a list",
        "map" => "an object",
        other => other,
    };
    let place = match place {
        "" => String::new(),
        place => format!(" at line{place}"),
    };
    format!("{found} stands where {expected} is expected{place}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Body {
        list: Vec<String>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Inner {
        number: u8,
    }

    fn told(text: &str) -> String {
        words(&serde_json::from_str::<Body>(text).unwrap_err())
    }

    #[test]
    fn lists_are_lists_and_objects_are_objects() {
        for (text, expected) in [
            (r#"{"list": {"a": 1}}"#, "an object stands where a list is expected"),
            (r#"{"list": 7}"#, "integer `7` stands where a list is expected"),
            (r#"{"list": ["a", []]}"#, "a list stands where a string is expected"),
            (
                r#"{"list": [], "inner": "a map, expected a sequence"}"#,
                "stands where an object is expected",
            ),
            (r#"[]"#, "a list stands where an object is expected"),
            ("{", "EOF while parsing"),
            (r#"{"inner": null}"#, "missing field `list`"),
        ] {
            assert!(told(text).contains(expected), "{text}: {}", told(text));
            let ours = ["sequence", "struct", "Body", "Inner"];
            assert!(
                text.contains("sequence") || !ours.iter().any(|word| told(text).contains(word)),
                "{}",
                told(text)
            );
        }
    }
}
