//! How a table is created and what a migration may do besides its mode: options with more than a word.
//!
//! Data and its text forms only; what follows from it is decided in `planner`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StreamOptions;
use super::choice::{ForcedStrategy, MigrateRewrite, Nullability, PartitionWidth};
use super::column_types::ColumnTypes;
use super::value::OptionValue;
use crate::model::json;
use crate::model::rights::Barred;

/// What a migration may do, besides its mode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigrateRules {
    /// Whether a change may rewrite the table.
    pub rewrite: MigrateRewrite,
    /// What `forced` does with a change that `safe` refuses.
    pub forced_strategy: ForcedStrategy,
    /// What the stream's nullable flags mean for columns that the table has.
    pub nullability: Nullability,
    /// How a table is created.
    pub create_table: CreateOptions,
    /// Types that are asked for columns.
    pub column_types: ColumnTypes,
    /// Why the table may not be changed, where its caller lacks the right to.
    pub barred: Option<Barred>,
}

impl StreamOptions {
    /// The rules of migrations, defaults filled in.
    pub fn migrate_rules(&self) -> MigrateRules {
        MigrateRules {
            rewrite: self.migrate_rewrite.unwrap_or_default(),
            forced_strategy: self.forced_strategy.unwrap_or_default(),
            nullability: self.nullability.unwrap_or_default(),
            create_table: self.create_table.clone().unwrap_or_default(),
            column_types: self.column_types.clone().unwrap_or_default(),
            barred: None,
        }
    }
}

/// How a table is created.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateOptions {
    /// No write-ahead log: faster, and emptied by a crash of Postgres.
    pub unlogged: bool,
    /// Percentage of a page that inserts fill; the rest is room for updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 100))]
    pub fillfactor: Option<u8>,
    /// Bytes that a wide row (over 2 kB) may keep in its page before values of it are compressed and moved out of line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 128, max = 8160))]
    pub toast_tuple_target: Option<u16>,
    /// Tablespace of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub tablespace: Option<String>,
    /// Compress long values by lz4.
    pub toast_lz4: bool,
    /// Put fixed-width columns first, widest first, so that no byte is lost to alignment.
    pub align_columns: bool,
    /// Range partitions over a time column, some made ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<PartitionBy>,
}

impl CreateOptions {
    /// Storage parameters of the table, or of each of its partitions.
    pub fn storage(&self) -> Storage {
        Storage {
            fillfactor: self.fillfactor,
            toast_tuple_target: self.toast_tuple_target,
        }
    }
}

/// Storage parameters; `None` is the server's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Storage {
    /// Percentage of a page that inserts fill.
    pub fillfactor: Option<u8>,
    /// Bytes of a wide row that stay in its page.
    pub toast_tuple_target: Option<u16>,
}

/// Range partitions over a time column, some made ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionBy {
    /// A date or timestamp column of the stream.
    #[schemars(length(min = 1))]
    pub column: String,
    /// Width of a partition.
    pub every: PartitionWidth,
}

const CREATE: &str = "a JSON object with unlogged, fillfactor, toast_tuple_target, tablespace, toast_lz4, align_columns \
                      and partition_by {\"column\": .., \"every\": day, month or year}";

impl OptionValue for CreateOptions {
    /// In headers and metadata: the JSON object as text.
    fn from_text(text: &str) -> Result<Self, String> {
        let value = json::parse(text.as_bytes()).map_err(|error| format!("{CREATE} ({error})"))?;
        Self::from_json(&value)
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        serde_json::from_value(value.clone()).map_err(|error| format!("{CREATE} ({error})"))
    }
}
