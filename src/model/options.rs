//! Options of one stream: what a client, a table's configuration or the server's default may choose about a load.
//!
//! The same names and the same text forms serve every place an option can come from: a descriptor's JSON, a gRPC header
//! `pgflight-<option>`, Arrow schema metadata `pgflight.<option>`, `tables.<name>` in the configuration, and the server's
//! defaults, in this order of precedence ([`StreamOptions::merge_over`]). An option that is not known is refused, never
//! ignored. Where the rows go (table and schema) is not an option. Pure: no I/O, no defaults of its own.

mod choice;
mod column_types;
mod migrate;
mod value;

#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use choice::{
    Acks, BadRowPolicy, ChoiceError, CommitMode, ForcedStrategy, MigrateMode, MigrateRewrite, NulBytes, Nullability,
    PartitionWidth, SuppressedRowPolicy, TypeProfile, WriteMode,
};
pub use column_types::ColumnTypes;
pub use migrate::{CreateOptions, MigrateRules, PartitionBy, Storage};
use value::OptionValue;

use crate::model::duration::GoDuration;
use crate::model::suggest;

/// An option that was refused. The text is one sentence for the person who set it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No option has this name.
    #[error("unknown option {name:?}{hint}")]
    Unknown {
        /// The name as it came.
        name: String,
        /// `; did you mean "x"?`, or the list of all options when nothing is close.
        hint: String,
    },
    /// The option exists, its value does not fit.
    #[error("option {name:?} is {found}; allowed: {allowed}")]
    Invalid {
        /// The option's name.
        name: &'static str,
        /// The value as it came, quoted or as JSON.
        found: String,
        /// What the option takes.
        allowed: String,
    },
}

impl OptionError {
    fn unknown(name: &str) -> Self {
        let mut hint = suggest::hint(name, StreamOptions::NAMES.iter().copied());
        if hint.is_empty() {
            hint = format!("; options are {}", StreamOptions::NAMES.join(", "));
        }
        Self::Unknown {
            name: name.to_owned(),
            hint,
        }
    }
}

/// Declares [`StreamOptions`] and everything that must know each option: one line per option, nothing to forget.
macro_rules! stream_options {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)+) => {
        /// Options that one source of options has set; `None` means "not set here", never a default.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct StreamOptions {
            $(
                $(#[$doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$kind>,
            )+
        }

        impl StreamOptions {
            /// Every option's name, in the order of the documentation.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// These options where they are set, `lower`'s where they are not.
            #[must_use]
            pub fn merge_over(self, lower: Self) -> Self {
                Self { $($name: self.$name.or(lower.$name),)+ }
            }

            /// The names of the options that are set.
            pub fn names_set(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$name.is_some() { names.push(stringify!($name)); })+
                names
            }

            /// Sets one option from its text form, as headers and schema metadata carry it.
            ///
            /// `-` and `_` are the same in `name`, because header names are usually written with `-`.
            ///
            /// # Errors
            /// [`OptionError::Unknown`] or [`OptionError::Invalid`]; `self` is then unchanged.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
                match name.replace('-', "_").as_str() {
                    $(stringify!($name) => {
                        let parsed = <$kind as OptionValue>::from_text(value);
                        self.$name = Some(parsed.map_err(|allowed| OptionError::Invalid {
                            name: stringify!($name),
                            found: format!("{value:?}"),
                            allowed,
                        })?);
                    })+
                    _ => return Err(OptionError::unknown(name)),
                }
                Ok(())
            }

            /// Sets one option from a JSON value. `null` leaves it unset.
            ///
            /// # Errors
            /// As [`StreamOptions::set`].
            pub fn set_json(&mut self, name: &str, value: &Value) -> Result<(), OptionError> {
                match name {
                    $(stringify!($name) => {
                        self.$name = if value.is_null() { None } else {
                            let parsed = <$kind as OptionValue>::from_json(value);
                            Some(parsed.map_err(|allowed| OptionError::Invalid {
                                name: stringify!($name),
                                found: value.to_string(),
                                allowed,
                            })?)
                        };
                    })+
                    _ => return Err(OptionError::unknown(name)),
                }
                Ok(())
            }
        }
    };
}

stream_options! {
    /// What happens to the rows that the table already holds.
    write_mode: WriteMode,
    /// How far the table's shape may be changed to take the rows.
    migrate_mode: MigrateMode,
    /// Whether a change of a column's type may rewrite the table under an exclusive lock.
    migrate_rewrite: MigrateRewrite,
    /// What `migrate_mode: forced` does where no lossless change in place exists.
    forced_strategy: ForcedStrategy,
    /// What the stream's nullable flags mean for columns that the table has already.
    nullability: Nullability,
    /// How a table is created that does not exist yet.
    create_table: CreateOptions,
    /// Types of columns that are created, by their names, where another one is wanted than the type map's.
    column_types: ColumnTypes,
    /// Key columns, in order: the key of a table that is created, and what `overwrite` matches rows by.
    primary_key: Vec<String>,
    /// All rows of the stream in one transaction, or each chunk in its own.
    commit: CommitMode,
    /// A name that makes the stream resumable: rows and progress then commit together.
    stream_id: String,
    /// The epoch that opening the stream gave; a load with another one is refused. Without it, the load opens the stream itself.
    stream_epoch: u64,
    /// The highest sequence number that the client saw acknowledged; a stream that is behind it has lost data.
    acked_seq: u64,
    /// The source whose stale rows `overwrite-delete-stale` deletes; without it the column `_cq_source_name` tells.
    source_name: String,
    /// Time of the sync whose rows stay, as RFC 3339; without it the column `_cq_sync_time` tells.
    sync_time: String,
    /// A column by which `overwrite` keeps the newer of two rows with one key, whatever order they come in.
    version_column: String,
    /// What a row does that Postgres cannot take: fail the stream, or go to the reject table.
    on_bad_row: BadRowPolicy,
    /// How many rows may go to the reject table before the stream fails.
    max_rejects: u64,
    /// Whether the reject table also gets the values of the rows.
    reject_values: bool,
    /// What becomes of a row that a trigger of the table leaves out: the stream fails, or the row is counted apart.
    on_suppressed_row: SuppressedRowPolicy,
    /// What happens to the byte 0 in text, which Postgres cannot store.
    nul_bytes: NulBytes,
    /// Which Postgres type a new column gets for an Arrow type.
    type_profile: TypeProfile,
    /// One answer at the end, or one per commit.
    acks: Acks,
    /// The number of rows the stream must have; anything else rolls it back.
    expected_rows: u64,
    /// Commit only when the client said how many rows it sent, by a commit message or by `expected_rows`.
    strict: bool,
    /// How many connections may load this stream at once.
    lanes: NonZeroU16,
    /// Leave rows untouched that an `overwrite` would not change.
    skip_unchanged: bool,
    /// Rows after which a chunk is written.
    batch_size: u64,
    /// Bytes of Arrow data after which a chunk is written.
    batch_size_bytes: u64,
    /// How long a statement may wait for a lock; `0` waits without limit.
    lock_timeout: GoDuration,
    /// How long a statement may run; `0` lets it run without limit.
    statement_timeout: GoDuration,
}

impl StreamOptions {
    /// Options that belong to a single stream and mean nothing as a default of a table.
    pub const OF_ONE_STREAM: &'static [&'static str] =
        &["stream_id", "stream_epoch", "acked_seq", "sync_time", "expected_rows"];

    /// Reads options from a JSON object that holds nothing else.
    ///
    /// # Errors
    /// The first option that is unknown or does not fit.
    pub fn from_json(object: &serde_json::Map<String, Value>) -> Result<Self, OptionError> {
        let mut options = Self::default();
        for (name, value) in object {
            options.set_json(name, value)?;
        }
        Ok(options)
    }
}

impl<'de> Deserialize<'de> for StreamOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = serde_json::Map::deserialize(deserializer)?;
        Self::from_json(&object).map_err(serde::de::Error::custom)
    }
}
