//! `hstore` in the form in which it is printed: `"key"=>"value", "key"=>NULL`. A bare key or value is taken where it has no
//! blanks and none of the characters that mean something.

/// A key and its value, where it has one.
pub(crate) type Pair = (String, Option<String>);

/// The pairs, as they come.
pub(crate) fn pairs(text: &str) -> Option<Vec<Pair>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let (key, _) = word(&mut rest)?;
        rest = rest.trim_ascii_start().strip_prefix("=>")?.trim_ascii_start();
        let (value, quoted) = word(&mut rest)?;
        let is_null = !quoted && value.eq_ignore_ascii_case("null");
        pairs.push((key, (!is_null).then_some(value)));
        rest = rest.trim_ascii_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_ascii_start();
            if rest.is_empty() {
                return None;
            }
        }
    }
    Some(pairs)
}

/// A word and whether it stood in quotes.
fn word(text: &mut &str) -> Option<(String, bool)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let special = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '=' | '>' | ',');
        let end = text.find(special).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        *text = rest;
        return (!word.is_empty()).then(|| (word.to_owned(), false));
    };
    let mut word = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => word.push(chars.next()?),
            other => word.push(other),
        }
    }
    *text = chars.as_str();
    Some((word, true))
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn pairs_come_apart_as_they_are_printed() {
        let some = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(
            pairs(r#""a b"=>"\"\\", "c"=>NULL, "d"=>"NULL", ""=>"", e => null"#).unwrap(),
            [
                some("a b", Some("\"\\")),
                some("c", None),
                some("d", Some("NULL")),
                some("", Some("")),
                some("e", None)
            ]
        );
        assert_eq!(pairs(" "), Some(Vec::new()));
        for wrong in ["a", "a=>", "a=1", "a=>b,", "a=>b c=>d", "\"a=>b", "=>b", "a=>b\\c"] {
            assert_eq!(pairs(wrong), None, "{wrong}");
        }
    }
}
