//! `options` of the startup message: runtime parameters as a command line, written and read as Postgres does. Pure text.

/// A value as it stands in `options`: the server splits them at blanks, and a backslash keeps one.
pub(super) fn escape_option(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if c == '\\' || c.is_ascii_whitespace() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The runtime parameters that `options` set, in order: `-c name=value` and `--name=value`.
pub(crate) fn runtime_parameters(options: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = match (word.strip_prefix("-c"), word.strip_prefix("--")) {
            (Some(""), _) => words.next(),
            (Some(rest), _) | (None, Some(rest)) => Some(rest.to_owned()),
            (None, None) => None,
        };
        let assignment = assignment.unwrap_or_default();
        if let Some((name, value)) = assignment.split_once('=') {
            found.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    found
}

fn words(options: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut characters = options.chars();
    while let Some(c) = characters.next() {
        match c {
            c if c.is_ascii_whitespace() => {
                if std::mem::take(&mut inside) {
                    words.push(std::mem::take(&mut word));
                }
            }
            '\\' => {
                word.extend(characters.next());
                inside = true;
            }
            c => {
                word.push(c);
                inside = true;
            }
        }
    }
    if inside {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let odd = r#"a b\c "d", e"#;
        let options = format!("-c x={} --y-z=1 -cq=2 -B 5 -c", escape_option(odd));
        let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            runtime_parameters(&options),
            [parameter("x", odd), parameter("y_z", "1"), parameter("q", "2")]
        );
        assert!(runtime_parameters("").is_empty());
    }
}
