//! What a migration may do: the planner's settings, as data. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ident::Ident;
use crate::model::options::{MigrateMode, TypeProfile};

/// What a migration may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How far the table's shape may be changed.
    pub mode: MigrateMode,
    /// Whose rules about keys, unique constraints and nullability apply.
    pub profile: TypeProfile,
    /// Whether rows will be matched by the wanted primary key, so that a unique index over it must exist.
    pub needs_key: bool,
    /// Whether a nullable column of the stream drops the NOT NULL of a column that the table has.
    pub nullability: Nullability,
    /// Whether a widening may rewrite the table.
    pub rewrite: RewritePolicy,
    /// What `forced` does with a change that `safe` refuses.
    pub forced: ForcedStrategy,
    /// How a table is created.
    pub create: CreateOptions,
    /// Whether CloudQuery's index over `_cq_source_name, _cq_sync_time` is wanted.
    pub performance_indexes: bool,
}

/// What the stream's nullable flags mean for columns that the table has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nullability {
    /// `Declared` in the `cloudquery` profile and in mode `forced`, else `Advisory`.
    #[default]
    ByProfile,
    /// "Nullable" means that NULLs will come: NOT NULL is dropped.
    Declared,
    /// "Nullable" is what every field is by default (pyarrow, ADBC): NOT NULL stays, and a NULL fails its row.
    Advisory,
}

/// Whether a widening may rewrite the table under an ACCESS EXCLUSIVE lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RewritePolicy {
    /// Always.
    Allow,
    /// Only while the table with its indexes has at most this many bytes.
    UpToBytes(u64),
}

impl Default for RewritePolicy {
    /// 64 MiB: rewritten in well under a second on any disk, so that no reader notices.
    fn default() -> Self {
        Self::UpToBytes(64 << 20)
    }
}

/// What `forced` does where no lossless change in place exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForcedStrategy {
    /// `Convert` in the native profile, `KeepOld` in the `cloudquery` profile (whose test suite expects a new table).
    #[default]
    ByProfile,
    /// Convert in place where every value survives the way there and back; else as `KeepOld`.
    Convert,
    /// Rename the old table to `<name>_<suffix>` and create a new one.
    KeepOld,
    /// Drop the old table with its rows and create a new one, as the Go plugin does.
    Drop,
}

/// How a table is created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateOptions {
    /// No write-ahead log: faster, and emptied by a crash.
    pub unlogged: bool,
    /// Percentage of a page that inserts fill, 10 to 100.
    pub fillfactor: Option<u8>,
    /// Tablespace.
    pub tablespace: Option<String>,
    /// `lz4` compression of long values.
    pub toast_lz4: bool,
    /// Fixed-width columns first, widest first, so that no byte is lost to alignment.
    pub align_columns: bool,
    /// Range partitions over a time column.
    pub partition_by: Option<PartitionBy>,
}

/// Range partitions over a time column, some made ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionBy {
    /// A date or timestamp column of the stream.
    pub column: String,
    /// Width of a partition.
    pub every: PartitionWidth,
}

/// Width of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionWidth {
    /// From midnight to midnight, UTC.
    Day,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Policy {
    /// Whether nullable stream columns drop NOT NULL.
    pub fn relaxes_not_null(&self) -> bool {
        match self.nullability {
            Nullability::Declared => true,
            Nullability::Advisory => false,
            Nullability::ByProfile => self.profile == TypeProfile::Cloudquery || self.mode == MigrateMode::Forced,
        }
    }

    /// The strategy of `forced`, with the profile's default filled in.
    pub fn forced_strategy(&self) -> ForcedStrategy {
        match (self.forced, self.profile) {
            (ForcedStrategy::ByProfile, TypeProfile::Native) => ForcedStrategy::Convert,
            (ForcedStrategy::ByProfile, TypeProfile::Cloudquery) => ForcedStrategy::KeepOld,
            (chosen, _) => chosen,
        }
    }

    /// Whether a rewrite of a table of that many bytes is allowed.
    pub fn allows_rewrite(&self, bytes: u64) -> bool {
        match self.rewrite {
            RewritePolicy::Allow => true,
            RewritePolicy::UpToBytes(most) => bytes <= most || self.mode == MigrateMode::Forced,
        }
    }

    /// Whether the wanted key is CloudQuery's `_cq_id` alone.
    pub fn is_cq_id_key(&self, key: &[Ident]) -> bool {
        self.profile == TypeProfile::Cloudquery && matches!(key, [only] if only.as_str() == "_cq_id")
    }
}
