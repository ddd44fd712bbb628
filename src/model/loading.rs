//! What a load will do with its rows, as far as its table must allow that: the part of a load's options that planning looks at.

use super::options::{CommitMode, WriteMode};

/// What a load will do with its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loading {
    /// What happens to rows that are there already.
    pub write_mode: WriteMode,
    /// One transaction for all rows, or one per chunk.
    pub commit: CommitMode,
    /// Column by which the newer of two rows is kept.
    pub version_column: Option<String>,
    /// Whether bad rows are rejected instead of failing the load.
    pub rejects: bool,
    /// Whether rows that a trigger leaves out are counted instead of failing the load.
    pub accepts_suppressed: bool,
}

impl Loading {
    /// Whether rows are matched by a key.
    pub fn matches_by_key(&self) -> bool {
        matches!(self.write_mode, WriteMode::Overwrite | WriteMode::OverwriteDeleteStale)
    }
}
