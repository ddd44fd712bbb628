//! The enumerated options: each a closed set of words, with one spelling everywhere.
//!
//! A word that is not in the set is refused with the list of those that are.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::suggest;

/// A word that is not one of an option's choices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {}{hint}", allowed.join(", "))]
pub struct ChoiceError {
    /// The word as it came.
    pub found: String,
    /// The words that are allowed.
    pub allowed: &'static [&'static str],
    hint: String,
}

/// Declares an enum whose variants are words of the public contract.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, JsonSchema)]
        #[schemars(inline)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every choice, default first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Every choice's word, in the order of [`Self::ALL`].
            pub const WORDS: &'static [&'static str] = &[$($text),+];

            /// The word that stands for this choice.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ChoiceError;

            fn from_str(text: &str) -> Result<Self, ChoiceError> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(ChoiceError {
                        found: text.to_owned(),
                        allowed: Self::WORDS,
                        hint: suggest::hint(text, Self::WORDS.iter().copied()),
                    }),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

choice! {
    /// What happens to the rows that the table already holds.
    WriteMode {
        /// Rows are added.
        #[default]
        Append = "append",
        /// Upsert on the primary key; the last row of a key wins and every column is overwritten, also with NULL.
        Overwrite = "overwrite",
        /// As `overwrite`; at a complete end, rows of the same source with an older sync time are deleted.
        OverwriteDeleteStale = "overwrite-delete-stale",
        /// The new contents replace the old in one instant; a failed load leaves the old.
        Replace = "replace",
    }
}

choice! {
    /// How far the table's shape may be changed to take the rows.
    MigrateMode {
        /// Adds, relaxes and widens without losing anything; refuses the rest.
        #[default]
        Safe = "safe",
        /// May also convert or recreate, keeping what can be kept.
        Forced = "forced",
        /// The table must fit as it is.
        Off = "off",
    }
}

choice! {
    /// How much of a stream one transaction holds.
    CommitMode {
        /// All rows of the stream, or none. The default of a stream without a `stream_id`.
        #[default]
        Atomic = "atomic",
        /// Each chunk is its own transaction. The default of a stream with a `stream_id`.
        Batch = "batch",
    }
}

choice! {
    /// Which Postgres type a new column gets for an Arrow type, and in which text form values without one are stored.
    TypeProfile {
        /// The closest Postgres type, exactly.
        #[default]
        Native = "native",
        /// The types and texts of CloudQuery's Go `postgresql` plugin, so that its databases can be taken over.
        Cloudquery = "cloudquery",
    }
}

choice! {
    /// What happens to the byte 0 in text, which Postgres cannot store.
    NulBytes {
        /// The row is bad.
        #[default]
        Error = "error",
        /// The byte is left out.
        Strip = "strip",
        /// The byte becomes U+FFFD.
        Replace = "replace",
    }
}

impl NulBytes {
    /// What stands for the byte 0, where text with it is taken at all.
    pub fn substitute(self) -> Option<&'static str> {
        match self {
            Self::Error => None,
            Self::Strip => Some(""),
            Self::Replace => Some("\u{fffd}"),
        }
    }
}

choice! {
    /// What a row does that Postgres cannot take.
    BadRowPolicy {
        /// The stream fails and names the row.
        #[default]
        Fail = "fail",
        /// The row goes to the reject table with its reason, up to `max_rejects` rows.
        Reject = "reject",
    }
}

choice! {
    /// What becomes of a row that a trigger of the table leaves out.
    SuppressedRowPolicy {
        /// The stream fails and names the trigger.
        #[default]
        Fail = "fail",
        /// The row is counted as suppressed, apart from those that are stored.
        Accept = "accept",
    }
}

choice! {
    /// How often the server answers while it loads.
    Acks {
        /// Once, at the end.
        #[default]
        Final = "final",
        /// Once per commit; a client that does not read them does not slow the load.
        Progress = "progress",
    }
}

choice! {
    /// Whether a change of a column's type may rewrite the table under an exclusive lock.
    MigrateRewrite {
        /// While the table with its indexes has at most 64 MiB, and always in mode `forced`.
        #[default]
        Small = "small",
        /// Always.
        Allow = "allow",
        /// Never, also not in mode `forced`.
        Never = "never",
    }
}

choice! {
    /// What mode `forced` does where no lossless change in place exists.
    ForcedStrategy {
        /// `convert` in the `native` profile, `keep-old` in the `cloudquery` profile.
        #[default]
        ByProfile = "by-profile",
        /// Convert in place where every value survives the way there and back; else as `keep-old`.
        Convert = "convert",
        /// Rename the old table to `<name>_<UTC time>` and create a new one.
        KeepOld = "keep-old",
        /// Drop the old table with its rows and create a new one, as the Go plugin does.
        Drop = "drop",
    }
}

choice! {
    /// What the stream's nullable flags mean for columns that the table has already.
    Nullability {
        /// `declared` in the `cloudquery` profile and in mode `forced`, else `advisory`.
        #[default]
        ByProfile = "by-profile",
        /// "Nullable" means that NULLs will come: NOT NULL is dropped.
        Declared = "declared",
        /// "Nullable" is what every field is by default (pyarrow, ADBC): NOT NULL stays, and a NULL fails its row.
        Advisory = "advisory",
    }
}

choice! {
    /// Width of a partition.
    PartitionWidth {
        /// From midnight to midnight, UTC.
        #[default]
        Day = "day",
        /// A calendar month.
        Month = "month",
        /// A calendar year.
        Year = "year",
    }
}
