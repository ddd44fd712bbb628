//! Makes a table take a stream: read (`catalog`, effects), diff, plan, render (pure), apply (effects).
//!
//! ```text
//! TableShape (wanted) --+
//! Found (catalog) ------+-> diff -> plan -> Plan (data) -> ddl -> apply -> VerifiedTable
//! Policy (options) -----+             \-> Refusal: every reason at once
//! ```
//!
//! Three ways in, one engine: [`ensure`] as part of a stream or of an action, [`plan_only`] for a dry run, [`ensure_in`] inside a
//! load's transaction.
//!
//! # Whose transaction creates a table
//! DDL has a short transaction of its own ([`ensure`]), with one exception: an atomic load into a table that does not exist
//! creates it inside the load's transaction ([`prepare`], then [`ensure_in`]), because "all rows or none" includes the table:
//! an abort, a Ctrl-C and a crash leave nothing at all, without any cleaning up that could itself fail or drop a table that
//! somebody else had begun to use. The price: until that load ends, nobody else can create the same table (the catalog's
//! own unique index would make them wait in any case). Others wait for the migration lock, which blocks nobody but other
//! migrators of this one table, at most [`LockWaits::turn`], and then get [`MigrateError::Busy`], which says so and is
//! retryable. Tables that exist are altered by [`prepare`] before the load's transaction starts: an ACCESS EXCLUSIVE lock
//! must not last as long as a load. A column added for a load that then fails stays; it is empty and harmless. So is a schema.

pub mod ddl;
pub mod depth;
pub mod diff;
pub mod found;
pub mod loading;
pub mod names;
pub mod partition;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod rules;
pub mod step;
pub mod waits;

pub mod apply;
mod obstacles;
mod verified;

pub use self::apply::{Blocker, MigrateError, MigrateRequest, blockers, ensure, ensure_in, plan_only, prepare};
pub use self::obstacles::READ_WRITE;
pub use self::refusal::{Reason, Refusal};
pub use self::verified::VerifiedTable;
pub use self::waits::LockWaits;
