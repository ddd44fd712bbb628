//! Connection strings as text: URI and keyword form into `(keyword, value)` pairs, and both without their passwords.
//!
//! The grammar is libpq's (PostgreSQL documentation, 34.1.1 "Connection Strings"): percent-encoding and comma-separated
//! hosts in the URI; quotes and backslash in the keyword form. What a keyword means is decided in `postgres::connect`.

use super::secret::REDACTED;

/// A connection string that does not follow the grammar. The text never repeats the string, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// Keyword form: a keyword without `=`.
    #[error(
        "expected `=` after {0:?} in the connection string; a value with a blank, such as a password, stands in single quotes"
    )]
    MissingEquals(String),
    /// Keyword form: a quoted value without its closing quote.
    #[error(
        "the quoted value of {0:?} in the connection string does not end; in a quoted value, ' is \\' and \\ is \\\\"
    )]
    Unterminated(String),
    /// A `%` that is not followed by two hexadecimal digits, or bytes that are not UTF-8.
    #[error("{0} in the connection string is not percent-encoded correctly; {SUSPECT}")]
    Encoding(&'static str),
    /// `[` of an IPv6 address without `]`.
    #[error("the IPv6 address in the connection string has no closing `]`")]
    Ipv6,
    /// A query parameter without `=`.
    #[error("a query parameter of the URI in the connection string has no `=`; {SUSPECT}")]
    MissingValue,
    /// An `@` behind the hosts, or a port that is no number: what stood before the `@` was cut at the wrong place.
    #[error("the URI in the connection string has {0}; {SUSPECT}")]
    CutPassword(&'static str),
}

/// What is mostly behind a URI that cannot be read: programs that paste a password into it.
const SUSPECT: &str = "perhaps the password holds one of / # ? % @ or a blank: write these as %2F %23 %3F %25 %40 %20, \
                       or leave the password out of the URI and set PGPASSWORD to it as it is";

/// Keywords whose values are secret.
pub const SECRET_KEYWORDS: [&str; 2] = ["password", "sslpassword"];

/// Splits a connection string into keywords and values, in the order in which they stand.
///
/// The URI's parts appear as `user`, `password`, `host`, `port` (lists joined by commas, as libpq does) and `dbname`.
///
/// # Errors
/// [`DsnError`] at the first thing that does not follow the grammar.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, DsnError> {
    match uri_body(text) {
        Some(body) => uri_pairs(body),
        None => keyword_pairs(text),
    }
}

/// The connection string with every secret value replaced; only a placeholder when it cannot be parsed.
pub fn redact(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    match uri_body(text) {
        Some(body) if pairs(text).is_ok() => redact_uri(text, body),
        None => match keyword_pairs(text) {
            Ok(pairs) => redact_keywords(&pairs),
            Err(_) => REDACTED.to_owned(),
        },
        Some(_) => REDACTED.to_owned(),
    }
}

fn uri_body(text: &str) -> Option<&str> {
    let text = text.trim_start();
    text.strip_prefix("postgresql://")
        .or_else(|| text.strip_prefix("postgres://"))
}

/// The parts of a URI's text after `//`, still percent-encoded.
struct UriParts<'a> {
    user_info: Option<&'a str>,
    hosts: &'a str,
    path: Option<&'a str>,
    query: Option<&'a str>,
}

fn uri_parts(body: &str) -> UriParts<'_> {
    let (before_query, query) = match body.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (body, None),
    };
    let (authority, path) = match before_query.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (before_query, None),
    };
    // A password may hold an unescaped `@`; hosts cannot.
    let (user_info, hosts) = match authority.rsplit_once('@') {
        Some((user_info, hosts)) => (Some(user_info), hosts),
        None => (None, authority),
    };
    UriParts {
        user_info,
        hosts,
        path,
        query,
    }
}

fn uri_pairs(body: &str) -> Result<Vec<(String, String)>, DsnError> {
    let parts = uri_parts(body);
    refuse_cut_password(&parts)?;
    let mut pairs = Vec::new();
    let mut push = |keyword: &str, value: String| {
        if !value.is_empty() {
            pairs.push((keyword.to_owned(), value));
        }
    };
    if let Some(user_info) = parts.user_info {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        push("user", decode(user, "the user name")?);
        push("password", decode(password, "the password")?);
    }
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for item in parts.hosts.split(',') {
        let (host, port) = split_host(item)?;
        hosts.push(decode(host, "a host")?);
        ports.push(port.to_owned());
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        push("host", hosts.join(","));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        push("port", ports.join(","));
    }
    push("dbname", decode(parts.path.unwrap_or(""), "the database name")?);
    for parameter in parts.query.unwrap_or("").split('&').filter(|text| !text.is_empty()) {
        let (keyword, value) = parameter.split_once('=').ok_or(DsnError::MissingValue)?;
        let keyword = decode(keyword, "a query parameter")?;
        let value = decode(value, "a query parameter")?;
        match (keyword.as_str(), value.as_str()) {
            // JDBC's spelling, which libpq accepts too.
            ("ssl", "true") => pairs.push(("sslmode".to_owned(), "require".to_owned())),
            _ => pairs.push((keyword, value)),
        }
    }
    Ok(pairs)
}

fn split_host(item: &str) -> Result<(&str, &str), DsnError> {
    if let Some(rest) = item.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or(DsnError::Ipv6)?;
        return Ok((address, after.strip_prefix(':').unwrap_or("")));
    }
    Ok(item.split_once(':').unwrap_or((item, "")))
}

fn decode(text: &str, what: &'static str) -> Result<String, DsnError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()];
        let value = digits.into_iter().try_fold(0_u8, |value, digit| {
            let digit = char::from(digit?).to_digit(16)?;
            u8::try_from(digit).ok().map(|digit| value << 4 | digit)
        });
        bytes.push(value.ok_or(DsnError::Encoding(what))?);
    }
    String::from_utf8(bytes).map_err(|_| DsnError::Encoding(what))
}

fn keyword_pairs(text: &str) -> Result<Vec<(String, String)>, DsnError> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace());
        let (keyword, after) = rest.split_at(end.unwrap_or(rest.len()));
        // The text before a missing `=` is named by its first word only, and never when it could be a stray value.
        let value = after.trim_start().strip_prefix('=').filter(|_| !keyword.is_empty());
        let Some(value) = value else {
            return Err(DsnError::MissingEquals(known_or_blank(keyword)));
        };
        let (value, after) = keyword_value(keyword, value.trim_start())?;
        pairs.push((keyword.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// A word that stands where a keyword should may be a piece of a password with a blank in it.
fn known_or_blank(word: &str) -> String {
    let looks_like_keyword = word.len() <= 24
        && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        && ["host", "port", "user", "dbname", "password", "sslmode"].contains(&word);
    if looks_like_keyword {
        word.to_owned()
    } else {
        "...".to_owned()
    }
}

fn keyword_value<'a>(keyword: &str, text: &'a str) -> Result<(String, &'a str), DsnError> {
    let quoted = text.starts_with('\'');
    let mut characters = text.char_indices();
    if quoted {
        characters.next();
    }
    let mut value = String::new();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, characters.as_str())),
            c if c.is_whitespace() && !quoted => {
                return Ok((value, text.get(at..).unwrap_or("")));
            }
            c => value.push(c),
        }
    }
    if quoted {
        return Err(DsnError::Unterminated(known_or_blank(keyword)));
    }
    Ok((value, ""))
}

/// A password with an unescaped `/` or `?` ends the user part early, and its rest would be taken for a port, a database or a
/// parameter: it would be shown as such, and a host named like the user be asked for.
fn refuse_cut_password(parts: &UriParts<'_>) -> Result<(), DsnError> {
    let odd_port = parts
        .hosts
        .split(',')
        .any(|item| split_host(item).is_ok_and(|(_, port)| port.bytes().any(|byte| !byte.is_ascii_digit())));
    if odd_port {
        return Err(DsnError::CutPassword("a port that is no number"));
    }
    if parts.path.is_some_and(|path| path.contains('@')) {
        return Err(DsnError::CutPassword("an @ in the name of the database"));
    }
    let mut parameters = parts.query.unwrap_or("").split('&');
    let odd_parameter = parameters.any(|parameter| {
        let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        keyword.contains('@') || value.contains('@') && !MAY_HOLD_AT.contains(&keyword)
    });
    match odd_parameter {
        true => Err(DsnError::CutPassword("an @ in a query parameter")),
        false => Ok(()),
    }
}

/// Parameters whose values have an `@` in good faith: users of hosted servers, abstract sockets, passwords.
const MAY_HOLD_AT: [&str; 7] = [
    "user",
    "password",
    "sslpassword",
    "host",
    "application_name",
    "options",
    "service",
];

fn redact_uri(text: &str, body: &str) -> String {
    let scheme = text.trim_start().strip_suffix(body).unwrap_or("");
    let parts = uri_parts(body);
    let mut shown = scheme.to_owned();
    if let Some(user_info) = parts.user_info {
        match user_info.split_once(':') {
            Some((user, _)) => shown.extend([user, ":", REDACTED, "@"]),
            None => shown.extend([user_info, "@"]),
        }
    }
    shown.push_str(parts.hosts);
    if let Some(path) = parts.path {
        shown.extend(["/", path]);
    }
    let Some(query) = parts.query else {
        return shown;
    };
    let parameters = query.split('&').map(|parameter| {
        let (keyword, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = decode(keyword, "a query parameter").unwrap_or_default();
        if SECRET_KEYWORDS.contains(&name.as_str()) {
            format!("{keyword}={REDACTED}")
        } else {
            parameter.to_owned()
        }
    });
    let parameters: Vec<String> = parameters.collect();
    format!("{shown}?{}", parameters.join("&"))
}

fn redact_keywords(pairs: &[(String, String)]) -> String {
    let shown = pairs.iter().map(|(keyword, value)| {
        if SECRET_KEYWORDS.contains(&keyword.as_str()) {
            return format!("{keyword}={REDACTED}");
        }
        let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '\'' || c == '\\');
        if plain {
            return format!("{keyword}={value}");
        }
        let escaped = value.replace('\\', "\\\\").replace('\'', "\\'");
        format!("{keyword}='{escaped}'")
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "dsn/tests.rs"]
mod tests;
