//! `${NAME}`, `${NAME:-default}` and `${file:path}` inside the texts of a parsed file.
//!
//! Expansion works on values after YAML has been parsed, so a variable's contents can add no keys. `$$` stands for one
//! `$`; a `$` before anything else stands for itself. Results are not expanded again.

use std::path::Path;

use super::source::Source;

/// The text with its references replaced, and whether there were any.
///
/// # Errors
/// One sentence (without the key) about the reference that cannot be replaced.
pub(super) fn expand(text: &str, source: &dyn Source) -> Result<(String, bool), String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut replaced = false;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (reference, after) = after
                .split_once('}')
                .ok_or_else(|| "has a `${` without its `}`; write `$$` for a plain `$`".to_owned())?;
            result.push_str(&resolve(reference, source)?);
            replaced = true;
            rest = after;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result.push_str(rest);
    Ok((result, replaced))
}

fn resolve(reference: &str, source: &dyn Source) -> Result<String, String> {
    if let Some(path) = reference.strip_prefix("file:") {
        let text = source
            .read(Path::new(path))
            .map_err(|error| format!("refers to the file {path:?}, which cannot be read: {error}"))?;
        return Ok(text
            .strip_suffix('\n')
            .map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text))
            .to_owned());
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !valid {
        return Err(format!(
            "has `${{{reference}}}`; allowed: ${{NAME}}, ${{NAME:-default}}, ${{file:path}}, and `$$` for a plain `$`"
        ));
    }
    // As in a shell, a default also stands in for an empty value.
    match (source.variable(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "refers to the environment variable {name}, which is not set; set it or write ${{{name}:-default}}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::FixedSource;
    use super::*;

    fn run(text: &str) -> Result<(String, bool), String> {
        let source = FixedSource::new()
            .with_variable("NAME", "bob")
            .with_variable("EMPTY", "")
            .with_variable("NESTED", "${NAME}")
            .with_file("/run/secret", "s3cret\n");
        expand(text, &source)
    }

    #[test]
    fn references_are_replaced_once() {
        for (text, wanted, replaced) in [
            ("plain", "plain", false),
            ("${NAME}", "bob", true),
            ("a${NAME}b${NAME}", "abobbbob", true),
            ("${EMPTY}", "", true),
            ("${EMPTY:-x}", "x", true),
            ("${MISSING:-a:-b}", "a:-b", true),
            ("${MISSING:-}", "", true),
            ("${file:/run/secret}", "s3cret", true),
            ("${NESTED}", "${NAME}", true),
            ("$${NAME} costs 5$ or $5", "${NAME} costs 5$ or $5", false),
        ] {
            assert_eq!(run(text).unwrap(), (wanted.to_owned(), replaced), "{text}");
        }
    }

    #[test]
    fn a_reference_that_cannot_be_replaced_says_which_and_what_to_do() {
        for (text, part) in [
            ("${MISSING}", "environment variable MISSING, which is not set"),
            ("${file:/nope}", r#"the file "/nope", which cannot be read"#),
            ("${NAME", "without its `}`"),
            ("${a b}", "allowed: ${NAME}, ${NAME:-default}"),
        ] {
            let error = run(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
