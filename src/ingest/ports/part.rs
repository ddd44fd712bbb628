//! A part of a table that is read in several. Decides nothing.

use serde::{Deserialize, Serialize};

use super::ReadRequest;

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

/// How a table is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// A read for each part; one alone where the table is read as a whole.
    pub reads: Vec<ReadRequest>,
    /// Why it is read as a whole although several parts were asked for.
    pub whole: Option<&'static str>,
}

impl Parts {
    /// The table as a whole.
    pub fn whole(request: ReadRequest, why: &'static str) -> Self {
        Self {
            reads: vec![request],
            whole: Some(why),
        }
    }
}
