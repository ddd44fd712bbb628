//! As much of Rust's grammar as it takes to see which paths a file names.
//!
//! Comments and literals are blanked first, so that words in them are no paths. `super` is resolved against the file's module
//! and the inline modules around it.

/// One source file with its place in the module tree.
#[derive(Debug)]
pub(super) struct Source {
    module: String,
    code: String,
}

impl Source {
    /// `path` is relative to the root of the package.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let path = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        let module = if path == "lib" {
            String::new()
        } else {
            path.replace('/', "::")
        };
        Self {
            module,
            code: blank_comments_and_literals(text),
        }
    }

    /// Module path without `crate::`, empty for lib.rs.
    pub(super) fn module(&self) -> &str {
        &self.module
    }

    /// The text with comments and literals blanked.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Every path into this crate that the file names through `crate` or `super`, one per leaf of a `use` tree.
    pub(super) fn crate_paths(&self) -> Vec<String> {
        let tokens = tokens(&self.code);
        let mut found = Vec::new();
        // Inline modules that are open here, each with the depth of braces that it was opened at.
        let mut inline: Vec<(&str, usize)> = Vec::new();
        let mut depth = 0;
        for (at, token) in tokens.iter().enumerate() {
            match *token {
                "{" => {
                    depth += 1;
                    if at >= 2 && tokens[at - 2] == "mod" {
                        inline.push((tokens[at - 1], depth));
                    }
                }
                "}" => {
                    inline.retain(|(_, opened)| *opened < depth);
                    depth = depth.saturating_sub(1);
                }
                "crate" if at == 0 || tokens[at - 1] != "::" => {
                    expand(Vec::new(), &mut tokens[at + 1..].iter().copied(), &mut found);
                }
                "super" if at == 0 || tokens[at - 1] != "::" => {
                    let ups = tokens[at..]
                        .iter()
                        .step_by(2)
                        .take_while(|token| **token == "super")
                        .count();
                    let mut base: Vec<&str> = self.module.split("::").filter(|name| !name.is_empty()).collect();
                    base.extend(inline.iter().map(|(name, _)| *name));
                    base.truncate(base.len().saturating_sub(ups));
                    expand(base, &mut tokens[at + 2 * ups - 1..].iter().copied(), &mut found);
                }
                _ => {}
            }
        }
        found.retain(|path| !path.is_empty());
        found
    }

    /// Whether the file names an external crate, by `use` or in a path.
    pub(super) fn names_crate(&self, name: &str) -> bool {
        let tokens = tokens(&self.code);
        (0..tokens.len()).any(|at| {
            let before = if at == 0 { "" } else { tokens[at - 1] };
            let after = tokens.get(at + 1).copied().unwrap_or_default();
            let starts_a_path = tokens[at] == name && (before != "::" || at < 2 || !is_word(tokens[at - 2]));
            starts_a_path && before != "." && (after == "::" || before == "use")
        })
    }

    /// Names of the modules that the file declares.
    pub(super) fn declared_modules(&self) -> impl Iterator<Item = &str> {
        let tokens = tokens(&self.code);
        let names: Vec<&str> = tokens
            .windows(2)
            .filter(|pair| pair[0] == "mod")
            .map(|pair| pair[1])
            .collect();
        names.into_iter()
    }
}

/// The code without what `#[cfg(test)]` stands before: a module, a function, an import.
pub(super) fn outside_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((before, item)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        rest = behind_item(item);
    }
    kept.push_str(rest);
    kept
}

/// What stands behind the semicolon or the closing brace of the item at the front.
fn behind_item(code: &str) -> &str {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return code.split_at(at + 1).1,
            '}' => depth -= 1,
            ';' if depth == 0 => return code.split_at(at + 1).1,
            _ => {}
        }
    }
    ""
}

/// The part of a text before its tests, where they stand at its end.
pub(super) fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]").next().unwrap_or(code)
}

/// Reads the rest of a path, after `crate` or the last `super`, and appends one path per leaf.
fn expand<'a>(mut base: Vec<&'a str>, tokens: &mut impl Iterator<Item = &'a str>, found: &mut Vec<String>) {
    while tokens.next() == Some("::") {
        match tokens.next() {
            Some("{") => return expand_group(&base, tokens, found),
            Some(name) if is_word(name) => base.push(name),
            _ => break,
        }
    }
    found.push(base.join("::"));
}

/// Reads the inside of `{..}` of a `use` tree up to its closing brace.
fn expand_group<'a>(base: &[&'a str], tokens: &mut impl Iterator<Item = &'a str>, found: &mut Vec<String>) {
    let mut path = base.to_vec();
    let mut has_leaf = false;
    for_each_until_close(tokens, |token, rest| match token {
        "{" => {
            expand_group(&path, rest, found);
            has_leaf = false;
            path.truncate(base.len());
        }
        "," | "}" => {
            if has_leaf {
                found.push(path.join("::"));
            }
            has_leaf = false;
            path.truncate(base.len());
        }
        "self" => has_leaf = true,
        name if is_word(name) => {
            path.push(name);
            has_leaf = true;
        }
        _ => {}
    });
}

fn for_each_until_close<'a, I: Iterator<Item = &'a str>>(tokens: &mut I, mut visit: impl FnMut(&'a str, &mut I)) {
    while let Some(token) = tokens.next() {
        visit(token, tokens);
        if token == "}" {
            return;
        }
    }
}

pub(super) fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::` and single other characters.
pub(super) fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// The same text with blanks for comments and for the inside of strings and character literals.
fn blank_comments_and_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut last = ' ';
    while let Some(first) = rest.chars().next() {
        let in_word = last.is_alphanumeric() || last == '_';
        let skipped = match first {
            '/' if rest.starts_with("//") => Some(rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => Some(rest.find("*/").map_or(rest.len(), |end| end + 2)),
            '"' => Some(string_length(rest)),
            'r' if !in_word || last == 'b' => raw_string_length(rest),
            '\'' => char_length(rest),
            _ => None,
        };
        let length = skipped.unwrap_or(first.len_utf8());
        let (piece, after) = rest.split_at(length);
        if skipped.is_some() {
            out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(piece);
        }
        last = first;
        rest = after;
    }
    out
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    rest.len()
}

/// `r"..."` and `r#"..."#`; None for a word that begins with r.
fn raw_string_length(rest: &str) -> Option<usize> {
    let after_r = rest.strip_prefix('r')?;
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    let body = after_r.trim_start_matches('#').strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let opening = rest.len() - body.len();
    Some(body.find(&close).map_or(rest.len(), |end| opening + end + close.len()))
}

/// A character literal; None for a lifetime.
fn char_length(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        // The character after the backslash may itself be a quote.
        let escaped = chars.nth(1)?.0;
        return rest.get(escaped..)?.find('\'').map(|end| escaped + end + 1);
    }
    let (at, close) = chars.next()?;
    (close == '\'').then_some(at + 1)
}
