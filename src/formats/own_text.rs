//! What a JSON value says as a text, for a column that has its type already. Pure.

use serde_json::value::RawValue;

/// The text of a JSON string.
pub(super) fn unescaped(token: &str) -> Option<String> {
    serde_json::from_str(token).ok()
}

/// Of a string what it says, of all else the value as it is written.
pub(super) fn own_text(token: &str) -> Option<String> {
    match token.starts_with('"') {
        true => unescaped(token),
        false => Some(token.to_owned()),
    }
}

/// Of an array the text that Postgres reads as one ("Array Input and Output Syntax"), of all else as [`own_text`].
pub(super) fn array_text(token: &str) -> Option<String> {
    match token.starts_with('[') {
        false => own_text(token),
        true => {
            let mut text = String::with_capacity(token.len());
            write_array(token, &mut text)?;
            Some(text)
        }
    }
}

fn write_array(token: &str, text: &mut String) -> Option<()> {
    let elements: Vec<&RawValue> = serde_json::from_str(token).ok()?;
    text.push('{');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match element.get() {
            "null" => text.push_str("NULL"),
            nested if nested.starts_with('[') => write_array(nested, text)?,
            other => {
                text.push('"');
                for c in own_text(other)?.chars() {
                    if matches!(c, '"' | '\\') {
                        text.push('\\');
                    }
                    text.push(c);
                }
                text.push('"');
            }
        }
    }
    text.push('}');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_what_it_is_without_what_json_puts_around_it() {
        for (token, text) in [
            (r#""a\"b""#, "a\"b"),
            ("1.10", "1.10"),
            ("true", "true"),
            ("{\"a\":1}", "{\"a\":1}"),
        ] {
            assert_eq!(own_text(token).unwrap(), text);
        }
    }

    #[test]
    fn an_array_is_written_as_postgres_reads_one() {
        for (token, text) in [
            ("[]", "{}"),
            ("[1, -2.50, null]", r#"{"1","-2.50",NULL}"#),
            (r#"["a,b", "null", "q\"\\", ""]"#, r#"{"a,b","null","q\"\\",""}"#),
            ("[[1],[2]]", r#"{{"1"},{"2"}}"#),
            (r#"[{"a":"b"}]"#, r#"{"{\"a\":\"b\"}"}"#),
            ("\"{1,2}\"", "{1,2}"),
        ] {
            assert_eq!(array_text(token).unwrap(), text, "{token}");
        }
    }
}
