//! Makes plans of what a table is and what a stream wants: read shape, diff, plan, render. Pure; `postgres` reads and applies.
//!
//! ```text
//! TableShape (wanted) --+
//! Found (catalog) ------+-> diff -> plan -> Plan (data) -> ddl -> (postgres::migrate) -> VerifiedTable
//! Policy (options) -----+             \-> Refusal: every reason at once
//! ```
//!
//! Beside the table's own changes: the SQL of an upsert ([`merge`], its staging tables [`parts`]) and of deletions ([`delete`]).

pub mod ddl;
pub mod delete;
pub mod depth;
pub mod diff;
pub mod found;
pub mod loading;
pub mod merge;
pub mod names;
pub mod partition;
pub mod parts;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod rules;
pub mod step;
pub mod waits;

mod obstacles;
mod verified;

pub use self::obstacles::READ_WRITE;
pub use self::refusal::{Reason, Refusal};
pub use self::verified::VerifiedTable;
pub use self::waits::LockWaits;
