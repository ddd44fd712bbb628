//! Arrays, ranges, multiranges and rows in the form in which Postgres prints them (its manual: 8.15.6, 8.16.6, 8.17.5). Only
//! taken apart here: what the parts mean is their types' business.

/// Most dimensions that Postgres allows.
const MAX_DIMENSIONS: usize = 6;

/// A part: text, or NULL (an infinite bound, for a range).
pub(crate) type Part = Option<String>;

/// A range in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RangeText {
    Empty,
    /// `[)` and the like, lower and upper bound.
    Bounds(String, Part, Part),
}

struct Reader<'a> {
    rest: &'a str,
}

/// Lengths of the dimensions and the elements, row-major. Lower bounds (`[2:3]={..}`) are not taken.
pub(crate) fn array(text: &str) -> Option<(Vec<usize>, Vec<Part>)> {
    let mut reader = Reader { rest: text };
    let mut found = Elements::default();
    reader.spaces();
    reader.level(0, &mut found)?;
    reader.end()?;
    if found.parts.is_empty() {
        return (found.lengths == [0]).then(|| (Vec::new(), Vec::new()));
    }
    Some((found.lengths, found.parts))
}

/// One range.
pub(crate) fn range(text: &str) -> Option<RangeText> {
    let mut reader = Reader { rest: text };
    let range = reader.range()?;
    reader.end()?;
    Some(range)
}

/// The ranges of a multirange.
pub(crate) fn multirange(text: &str) -> Option<Vec<RangeText>> {
    let mut reader = Reader { rest: text };
    let mut ranges = Vec::new();
    reader.spaces();
    reader.take('{')?;
    reader.spaces();
    if reader.take('}').is_none() {
        loop {
            ranges.push(reader.range()?);
            if reader.take(',').is_none() {
                break;
            }
        }
        reader.take('}')?;
    }
    reader.end()?;
    Some(ranges)
}

/// The fields of a row.
pub(crate) fn row(text: &str) -> Option<Vec<Part>> {
    let mut reader = Reader { rest: text };
    let mut fields = Vec::new();
    reader.spaces();
    reader.take('(')?;
    loop {
        fields.push(reader.until(&[',', ')'])?);
        if reader.take(',').is_none() {
            break;
        }
    }
    reader.take(')')?;
    reader.end()?;
    Some(fields)
}

#[derive(Default)]
struct Elements {
    lengths: Vec<usize>,
    parts: Vec<Part>,
    /// How deep elements lie; the same for all.
    depth: Option<usize>,
}

impl Reader<'_> {
    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        self.spaces();
        self.rest.is_empty().then_some(())
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        Some(next)
    }

    /// One pair of braces and what is in it.
    fn level(&mut self, depth: usize, found: &mut Elements) -> Option<()> {
        if depth >= MAX_DIMENSIONS {
            return None;
        }
        self.take('{')?;
        self.spaces();
        let mut length = 0;
        if !self.rest.starts_with('}') {
            loop {
                self.spaces();
                if self.rest.starts_with('{') {
                    if found.lengths.len() <= depth {
                        found.lengths.push(usize::MAX);
                    }
                    self.level(depth + 1, found)?;
                } else {
                    if *found.depth.get_or_insert(depth) != depth {
                        return None;
                    }
                    found.parts.push(self.element()?);
                }
                length += 1;
                self.spaces();
                if self.take(',').is_none() {
                    break;
                }
            }
        }
        self.take('}')?;
        match found.lengths.get_mut(depth) {
            None => found.lengths.push(length),
            Some(known) if *known == usize::MAX => *known = length,
            Some(known) if *known == length => {}
            Some(_) => return None,
        }
        Some(())
    }

    fn element(&mut self) -> Option<Part> {
        let mut text = String::new();
        if self.take('"').is_some() {
            loop {
                match self.next()? {
                    '"' => return Some(Some(text)),
                    '\\' => text.push(self.next()?),
                    other => text.push(other),
                }
            }
        }
        // Spaces at the end do not count, unless they are escaped.
        let (mut kept, mut escaped) = (0, false);
        while !self.rest.starts_with([',', '}']) {
            match self.next()? {
                '{' | '"' => return None,
                '\\' => {
                    text.push(self.next()?);
                    (kept, escaped) = (text.len(), true);
                }
                other => {
                    text.push(other);
                    if !other.is_ascii_whitespace() {
                        kept = text.len();
                    }
                }
            }
        }
        text.truncate(kept);
        match text.is_empty() {
            true => None,
            false if !escaped && text.eq_ignore_ascii_case("null") => Some(None),
            false => Some(Some(text)),
        }
    }

    fn range(&mut self) -> Option<RangeText> {
        self.spaces();
        let word = self.rest.split_at_checked("empty".len());
        if let Some((_, rest)) = word.filter(|(word, _)| word.eq_ignore_ascii_case("empty")) {
            self.rest = rest;
            self.spaces();
            return Some(RangeText::Empty);
        }
        let opening = self.next().filter(|opening| matches!(opening, '[' | '('))?;
        let lower = self.until(&[','])?;
        self.take(',')?;
        let upper = self.until(&[')', ']'])?;
        let closing = self.next()?;
        self.spaces();
        Some(RangeText::Bounds(format!("{opening}{closing}"), lower, upper))
    }

    /// Text up to one of `ends`, which is left; quotes and backslashes are resolved. Nothing at all is NULL.
    fn until(&mut self, ends: &[char]) -> Option<Part> {
        let (mut text, mut quoted, mut inside) = (String::new(), false, false);
        loop {
            if !inside && self.rest.starts_with(ends) {
                return Some((quoted || !text.is_empty()).then_some(text));
            }
            match self.next()? {
                '\\' => text.push(self.next()?),
                '"' if inside && self.rest.starts_with('"') => {
                    self.next();
                    text.push('"');
                }
                '"' => {
                    inside = !inside;
                    quoted = true;
                }
                other => text.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[Option<&str>]) -> Vec<Part> {
        parts.iter().map(|part| part.map(str::to_owned)).collect()
    }

    #[test]
    fn arrays_come_apart_as_postgres_takes_them() {
        let one = |text: &str| array(text).unwrap();
        assert_eq!(one("{}"), (vec![], vec![]));
        assert_eq!(
            one(" { 1 , NULL,-3 } "),
            (vec![3], parts(&[Some("1"), None, Some("-3")]))
        );
        let odd = one(r#"{"a b","",nUlL,"NULL","\"\\",a\ ,\null}"#);
        let expected = [
            Some("a b"),
            Some(""),
            None,
            Some("NULL"),
            Some("\"\\"),
            Some("a "),
            Some("null"),
        ];
        assert_eq!(odd, (vec![7], parts(&expected)));
        assert_eq!(one("{{1,2},{3,4},{5,6}}").0, [3, 2]);
        assert_eq!(one("{{{1}},{{2}}}").0, [2, 1, 1]);
        for wrong in [
            "",
            "{",
            "{1",
            "1}",
            "{1,}",
            "{,}",
            "{1}{2}",
            "{{1},2}",
            "{1,{2}}",
            "{{1,2},{3}}",
            "{{}}",
            "[2:2]={1}",
            "{\"a}",
            "{a\"b}",
            "{{{{{{{1}}}}}}}",
        ] {
            assert_eq!(array(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges_and_rows_come_apart_as_postgres_takes_them() {
        let bounds = |bounds: &str, lower: Option<&str>, upper: Option<&str>| {
            RangeText::Bounds(bounds.to_owned(), lower.map(str::to_owned), upper.map(str::to_owned))
        };
        assert_eq!(range("[1,5)"), Some(bounds("[)", Some("1"), Some("5"))));
        assert_eq!(range(" (,] "), Some(bounds("(]", None, None)));
        assert_eq!(range("(\"a \"\"b\",\"\")"), Some(bounds("()", Some("a \"b"), Some(""))));
        assert_eq!(range(" EMPTY "), Some(RangeText::Empty));
        assert_eq!(multirange("{}"), Some(vec![]));
        assert_eq!(
            multirange("{ [1,3) , (5,7] }"),
            Some(vec![
                bounds("[)", Some("1"), Some("3")),
                bounds("(]", Some("5"), Some("7"))
            ])
        );
        assert_eq!(
            row("(1,\"x, \"\"y\"\"\",)"),
            Some(parts(&[Some("1"), Some("x, \"y\""), None]))
        );
        assert_eq!(row("(\"\")"), Some(parts(&[Some("")])));
        for wrong in ["", "[1]", "[1,2", "1,2)", "[1,2)x", "empt", "{[1,2)"] {
            assert_eq!((range(wrong), multirange(wrong)), (None, None), "{wrong}");
        }
        assert_eq!((row("(1"), row("1)"), row("(1)x")), (None, None, None));
    }
}
