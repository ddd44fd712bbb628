//! What is wrong with a configuration, said so that the person who wrote it can mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// One key that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Full path of the key, as in `limits.max_streams`.
    pub key: String,
    /// What was found and what is allowed, as the rest of a sentence that begins with the key.
    pub message: String,
    /// Where the value was set, when it was set at all.
    pub origin: Option<String>,
}

impl Problem {
    /// A problem whose origin is added later from the key.
    pub(super) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            origin: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.message)?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was asked for cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not YAML, or not a mapping with text keys.
    #[error("{} is not a YAML mapping: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser found, with line and column.
        reason: String,
    },
    /// Keys that do not exist or values that do not fit; all that were found.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    match problems {
        [one] => format!("configuration: {one}"),
        many => {
            let lines: Vec<String> = many.iter().map(|one| format!("\n  - {one}")).collect();
            format!("configuration has {} errors:{}", many.len(), lines.concat())
        }
    }
}
