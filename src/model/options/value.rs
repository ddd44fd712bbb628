//! How each kind of option value is read from text and from JSON.
//!
//! An `Err` holds what is allowed; the caller knows the option's name and what was found.

use std::num::NonZeroU16;

use serde_json::Value;

use super::choice::{
    Acks, BadRowPolicy, CommitMode, ForcedStrategy, MigrateMode, MigrateRewrite, NulBytes, Nullability,
    SuppressedRowPolicy, TypeProfile, WriteMode,
};
use crate::model::duration::{DURATION_FORM, GoDuration};

/// A value that an option can take.
pub(super) trait OptionValue: Sized {
    /// Reads the text form used in headers and metadata.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads the JSON form; by default a string holding the text form.
    fn from_json(value: &Value) -> Result<Self, String>;
}

/// Enumerations and durations are JSON strings that hold the text form.
macro_rules! text_values {
    ($($kind:ty => $allowed:expr;)+) => {
        $(impl OptionValue for $kind {
            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $allowed)
            }

            fn from_json(value: &Value) -> Result<Self, String> {
                value.as_str().ok_or_else(|| $allowed).and_then(Self::from_text)
            }
        })+
    };
}

text_values! {
    WriteMode => WriteMode::WORDS.join(", ");
    MigrateMode => MigrateMode::WORDS.join(", ");
    MigrateRewrite => MigrateRewrite::WORDS.join(", ");
    ForcedStrategy => ForcedStrategy::WORDS.join(", ");
    Nullability => Nullability::WORDS.join(", ");
    CommitMode => CommitMode::WORDS.join(", ");
    TypeProfile => TypeProfile::WORDS.join(", ");
    NulBytes => NulBytes::WORDS.join(", ");
    BadRowPolicy => BadRowPolicy::WORDS.join(", ");
    SuppressedRowPolicy => SuppressedRowPolicy::WORDS.join(", ");
    Acks => Acks::WORDS.join(", ");
    GoDuration => DURATION_FORM.to_owned();
}

const WHOLE: &str = "a whole number from 0";
const LANES: &str = "a whole number from 1 to 65535";
const FLAG: &str = "true, false";
const TEXT: &str = "a string that is not empty";
const COLUMNS: &str = "column names: a JSON array of strings, or names separated by commas";

impl OptionValue for u64 {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| WHOLE.to_owned())
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        value.as_u64().ok_or_else(|| WHOLE.to_owned())
    }
}

impl OptionValue for NonZeroU16 {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| LANES.to_owned())
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.and_then(Self::new).ok_or_else(|| LANES.to_owned())
    }
}

impl OptionValue for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| FLAG.to_owned())
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| FLAG.to_owned())
    }
}

impl OptionValue for String {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(TEXT.to_owned());
        }
        Ok(text.to_owned())
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        let text = value.as_str().ok_or_else(|| TEXT.to_owned())?;
        Self::from_text(text)
    }
}

impl OptionValue for Vec<String> {
    /// A text that starts with `[` is a JSON array, for names that hold a comma; blanks around other names are dropped.
    fn from_text(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('[') {
            let value = serde_json::from_str::<Value>(text).map_err(|_| COLUMNS.to_owned())?;
            return Self::from_json(&value);
        }
        let names: Self = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err(COLUMNS.to_owned());
        }
        Ok(names)
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        let items = value.as_array().ok_or_else(|| COLUMNS.to_owned())?;
        let names = items.iter().map(|item| match item.as_str() {
            Some(name) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(COLUMNS.to_owned()),
        });
        names.collect()
    }
}
