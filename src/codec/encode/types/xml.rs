//! What Postgres keeps of XML as it came: binary COPY believes the declaration of a document and converts the bytes from the
//! encoding that it names, although Arrow's texts are UTF-8 whatever they say of themselves.

use crate::codec::encode::error::CellReason;

/// What XML takes for a blank.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];
/// Names under which Postgres takes bytes as they are, without punctuation and in small letters.
const AS_IT_IS: [&str; 3] = ["utf8", "unicode", "sqlascii"];
/// How names begin of encodings that Postgres knows and that hold ASCII as it is.
const LIKE_ASCII: [&str; 9] = [
    "iso8859", "latin", "win", "koi8", "euc", "gbk", "gb18030", "big5", "sjis",
];

/// Refuses a declared encoding that would make other characters of the text, or that Postgres has no name for.
pub(super) fn is_kept(text: &[u8]) -> Result<(), CellReason> {
    let Some(declared) = declared_encoding(text) else {
        return Ok(());
    };
    let name: String = declared.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    let kept = AS_IT_IS.contains(&name.as_str())
        || text.is_ascii() && LIKE_ASCII.iter().any(|beginning| name.starts_with(beginning));
    kept.then_some(()).ok_or(CellReason::XmlEncoding)
}

/// The encoding that a declaration names. One that is not well formed names none; Postgres refuses it.
fn declared_encoding(text: &[u8]) -> Option<&str> {
    let text = text.strip_prefix(b"<?xml")?;
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = attribute(text, "version")?;
    Some(attribute(rest, "encoding")?.0)
}

/// The value of `name` where it comes first, and what follows.
fn attribute<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let text = text.strip_prefix(BLANKS)?.trim_start_matches(BLANKS);
    let text = text.strip_prefix(name)?.trim_start_matches(BLANKS);
    let text = text.strip_prefix('=')?.trim_start_matches(BLANKS);
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    text.strip_prefix(quote)?.split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 15 with libxml does: what it stores as it came, or refuses itself.
    const KEPT: &[&str] = &[
        "<a>é</a>",
        "é",
        "<?xml version=\"1.0\" standalone=\"yes\"?><a>é</a>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><a>é</a>",
        "<?xml version='1.0' encoding='utf8'?><a>é</a>",
        "<?xml version=\"1.0\" encoding=\"SQL_ASCII\"?><a>é</a>",
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>&#233;</a>",
        "<?xml version=\"1.0\" encoding=\"windows-1252\"?><a/>",
        "<?xmlish version=\"1.0\" encoding=\"ISO-8859-1\"?><a>é</a>",
        "<?xml encoding=\"ISO-8859-1\"?><a>é</a>",
        "<?xml version=\"1.0\"encoding=\"ISO-8859-1\"?><a>é</a>",
        "<?xml version=\"1.0\"?><a encoding=\"ISO-8859-1\">é</a>",
    ];
    /// What it stores with other characters, or does not know the name of.
    const CHANGED: &[&str] = &[
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>é</a>",
        "<?xml version=\"2.0\" encoding=\"ISO-8859-1\"?>é",
        "<?xml version='1.0'\n\t encoding = 'latin1' ?><a>é</a>",
        "<?xml version=\"encoding='utf-8'\" encoding='latin1' ?><a>é</a>",
        "<?xml version=\"1.0\" encoding=\"windows-1252\"?><a>é</a>",
        "<?xml version=\"1.0\" encoding=\"US-ASCII\"?><a/>",
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>",
        "<?xml version=\"1.0\" encoding=\"\"?><a/>",
    ];

    #[test]
    fn a_declared_encoding_that_changes_the_text_is_refused() {
        for text in KEPT {
            assert_eq!(is_kept(text.as_bytes()), Ok(()), "{text}");
        }
        for text in CHANGED {
            assert_eq!(is_kept(text.as_bytes()), Err(CellReason::XmlEncoding), "{text}");
        }
    }
}
