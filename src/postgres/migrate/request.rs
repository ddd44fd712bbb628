//! What a stream asks of its table.

use crate::model::ident::{Ident, TableName};
use crate::model::table::TableShape;
use crate::planner::LockWaits;
use crate::planner::diff::Accepts;
use crate::planner::policy::Policy;

/// What a stream asks of its table.
#[derive(Clone, Copy)]
pub struct MigrateRequest<'a> {
    /// The table as the client names it.
    pub name: &'a TableName,
    /// Schema for names without one; without it the first schema of `search_path`.
    pub default_schema: Option<&'a Ident>,
    /// The shape that the stream wants.
    pub wanted: &'a TableShape,
    /// What may be done about it.
    pub policy: &'a Policy,
    /// Whether the encoder can write stream column `n` into a column of some type. Without it, only types that hold every
    /// value of the wanted type fit.
    pub accepts: Option<&'a Accepts<'a>>,
    /// Bounds of all waiting.
    pub waits: LockWaits,
    /// Settings that each transaction begins with; not empty where a pooler gives the session to others in between.
    pub session: &'a str,
}

impl std::fmt::Debug for MigrateRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MigrateRequest")
            .field("name", self.name)
            .field("policy", self.policy)
            .finish_non_exhaustive()
    }
}
