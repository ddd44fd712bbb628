//! A part of a table that is read in several. Decides nothing.

use serde::{Deserialize, Serialize};

/// One part of a table, as of a snapshot that all its parts share. Every row is in exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The snapshot, as the database calls it.
    pub snapshot: String,
    /// Which part, from 0.
    pub number: u32,
    /// The first page; `None` for the part that begins with the table.
    pub from: Option<u32>,
    /// The first page behind it; `None` for the part that ends with the table.
    pub to: Option<u32>,
    /// The tables that have the rows, by their numbers in the database: the table itself, or its partitions.
    pub tables: Vec<u32>,
}
