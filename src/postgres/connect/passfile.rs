//! The password file, `~/.pgpass`: `host:port:database:user:password` per line, `*` for any (PostgreSQL documentation,
//! 34.16). A file that others can read is not used, as in libpq.

use std::path::Path;

use crate::config::Source;

/// Whom the password is for.
pub(super) struct Login<'a> {
    /// Host name or address; `localhost` for the default unix socket.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The first matching line's password. `Err` is a warning: the file exists and is not used.
pub(super) fn password(path: &Path, login: &Login<'_>, source: &dyn Source) -> Result<Option<String>, String> {
    let Ok(permissions) = source.permissions(path) else {
        return Ok(None);
    };
    if permissions.is_some_and(|mode| mode & 0o077 != 0) {
        return Err(format!(
            "password file {} is ignored, because group or others have access; its permissions must be 0600 or less",
            path.display()
        ));
    }
    let text = source
        .read_small(path)
        .map_err(|error| format!("password file {} is ignored: {error}", path.display()))?;
    Ok(text.lines().find_map(|line| matching(line, login)))
}

fn matching(line: &str, login: &Login<'_>) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let port = login.port.to_string();
    let mut rest = line;
    for wanted in [login.host, &port, login.database, login.user] {
        let (field, after) = field(rest)?;
        if field != "*" && unescaped(field) != wanted {
            return None;
        }
        rest = after;
    }
    // Only the password may go on to the end of the line; a backslash still escapes in it.
    Some(unescaped(rest)).filter(|password| !password.is_empty())
}

/// The text up to the next `:` that is not escaped, and what follows it.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ':' => {
                let (field, rest) = text.split_at(at);
                return Some((field, rest.strip_prefix(':')?));
            }
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => result.extend(characters.next()),
            c => result.push(c),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FixedSource;

    const FILE: &str = "# c\ndb:5432:app:bob:one\ndb:*:*:bob:t\\:w\\\\o:x\n*:*:*:eve:three\n";

    fn find(host: &str, database: &str, user: &str, mode: u32) -> Result<Option<String>, String> {
        let source = FixedSource::new().with_file_mode("/p", FILE, mode);
        password(
            Path::new("/p"),
            &Login {
                host,
                port: 5432,
                database,
                user,
            },
            &source,
        )
    }

    #[test]
    fn the_first_matching_line_gives_the_password() {
        assert_eq!(find("db", "app", "bob", 0o600), Ok(Some("one".to_owned())));
        assert_eq!(find("db", "other", "bob", 0o400), Ok(Some(r"t:w\o:x".to_owned())));
        assert_eq!(find("x", "y", "eve", 0o600), Ok(Some("three".to_owned())));
        assert_eq!(find("x", "y", "bob", 0o600), Ok(None));
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let warning = find("db", "app", "bob", 0o640).unwrap_err();
        assert!(warning.contains("permissions must be 0600 or less"), "{warning}");
        let none = password(
            Path::new("/none"),
            &Login {
                host: "a",
                port: 1,
                database: "b",
                user: "c",
            },
            &FixedSource::new(),
        );
        assert_eq!(none, Ok(None));
    }
}
