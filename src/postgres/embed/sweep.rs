//! Sweeps: journal entries that stand for all rows of a table.

/// Kinds of journal entries that are sweeps.
pub(super) const BACKFILL: i16 = 1;
pub(super) const RECONCILE: i16 = 2;
/// Sweeps come after live rows.
pub(super) const SWEEP_PRIO: i16 = 5;
