//! What a migration did or would do, as data that any door can show: no SQL is run here and no client type appears.

use serde::{Deserialize, Serialize};

/// The steps of a migration, done or planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationReport {
    /// Table, schema-qualified, unquoted.
    pub table: String,
    /// Whether the steps were carried out (`false`: a dry run).
    pub applied: bool,
    /// Whether the table did not exist before.
    pub created: bool,
    /// The steps in order; empty when the table fits as it is.
    pub steps: Vec<StepReport>,
    /// What was noticed and left as it is, one sentence each.
    pub notes: Vec<String>,
    /// Size of the table with its indexes before the migration, in bytes; `None` where it was not needed.
    pub table_bytes: Option<u64>,
    /// Rows of the table before the migration, as Postgres last estimated them; `None` where it never did.
    #[serde(default)]
    pub estimated_rows: Option<u64>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// The statement.
    pub sql: String,
    /// Why it is needed, one sentence.
    pub reason: String,
    /// The strongest lock it takes, in the words of the Postgres manual; `none` where the relation is new.
    pub lock: String,
    /// Whether Postgres writes the whole table anew.
    pub rewrites: bool,
    /// Whether it reads the whole table (to check a constraint or to build an index).
    pub scans: bool,
    /// Whether it runs outside the migration's transaction, because Postgres demands so.
    pub own_transaction: bool,
}

impl MigrationReport {
    /// Whether there was nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The whole migration as one SQL script.
    pub fn script(&self) -> String {
        self.steps.iter().map(|step| format!("{};\n", step.sql)).collect()
    }
}
