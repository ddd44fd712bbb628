//! Arrow batches as Postgres' binary COPY format: sans-IO, planned once per stream, column at a time.
//!
//! ```text
//! (Schema, target columns) --CopyPlan::new--> CopyPlan --bind(batch)--> BoundBatch --encode(rows)--> bytes
//! ```
//! A plan picks one rule per column from the Arrow type *and the type of the column it goes to* ([`registry`]). Binding
//! checks a batch's arrays once. Encoding measures and checks a range of rows, column by column, makes room once, and
//! then writes each column at the rows' cursors; everything that can be wrong with a value is found in the first of the
//! two passes. Nothing here does I/O, knows a clock, or rounds a value.
//!
//! The registry knows the types; types know the vocabulary ([`column`], [`cells`], [`lists`], [`unfolded`], [`source`]) and not the
//! registry, which is handed to those that have parts ([`rules`]). How a type is added is in ARCHITECTURE.md.

mod batch;
mod cells;
mod column;
mod error;
mod lists;
mod plan;
mod registry;
mod render;
mod rendered;
mod rules;
mod source;
mod types;
mod unfolded;
mod weight;

#[cfg(test)]
mod tests;

pub use batch::BoundBatch;
pub use error::{CellError, CellReason, PlanError, RefusedPair};
pub use plan::CopyPlan;

use crate::model::options::{NulBytes, TypeProfile};

/// Choices about values that Postgres cannot take as they are. The default refuses them all.
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    /// What happens to the byte 0 in text.
    pub nul_bytes: NulBytes,
    /// Which text forms values get that have no type of their own in the target.
    pub type_profile: TypeProfile,
}

impl EncodeOptions {
    /// Whether nanoseconds below a microsecond are dropped, as the Go plugin does.
    pub(crate) fn floors_nanoseconds(&self) -> bool {
        self.type_profile == TypeProfile::Cloudquery
    }
}
