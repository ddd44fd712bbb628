//! What can be wrong with one field, with the stream of rows, and with a wish for a type. Texts never hold a value.

use crate::model::class::Class;

/// Why a field cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes end before the value does.
    #[error("the field ends in the middle of the value")]
    Short,
    /// There are bytes after the value.
    #[error("the field has {0} bytes after the end of the value")]
    Trailing(usize),
    /// The bytes are not what Postgres sends for the type.
    #[error("{0}")]
    Malformed(&'static str),
    /// Text that is not UTF-8, as a database with encoding SQL_ASCII can hold it.
    #[error("the text is not UTF-8; ask for Binary by casting the column to bytea in a view")]
    NotUtf8,
    /// NULL where the schema asked for says that there is none.
    #[error("the value is NULL and the field asked for is not nullable")]
    Null,
    /// An infinite date, time stamp, interval or number.
    #[error("the value is infinite, which the type cannot hold; ask for Utf8 to get it as text")]
    Infinite,
    /// NaN in a decimal.
    #[error("the value is NaN, which the type cannot hold; ask for Utf8 to get it as text")]
    NotANumber,
    /// Outside what the Arrow type holds.
    #[error("the value is outside the range of the type; ask for a wider type, or for Utf8 to get it as text")]
    OutOfRange,
    /// The Arrow type would drop a part of the value.
    #[error("{0}")]
    Inexact(&'static str),
    /// An array of another number of dimensions than the list type has levels.
    #[error("the array has {found} dimensions and the list type {expected}; ask for Utf8 to get it as text")]
    Dimensions {
        /// Dimensions of the array.
        found: usize,
        /// Levels of the list type.
        expected: usize,
    },
    /// An array whose first element has not the number 1.
    #[error("a dimension of the array starts at {0} and not at 1; ask for Utf8 to get it as text")]
    LowerBound(i32),
    /// A length that must be met exactly.
    #[error("the value has {found} {unit}, {expected} are needed")]
    WrongLength {
        /// Length found.
        found: usize,
        /// Length needed.
        expected: usize,
        /// `bytes` or `elements`.
        unit: &'static str,
    },
    /// Text that is not a value of the type asked for.
    #[error("the text is not {0}")]
    NotA(&'static str),
    /// More than one Arrow array can hold.
    #[error("the values of one batch exceed 2 GiB; ask for LargeUtf8 or LargeBinary, or for smaller batches")]
    TooLarge,
}

impl Fault {
    /// Whether the data are at fault or the exchange with Postgres.
    pub fn class(&self) -> Class {
        match self {
            Fault::Short | Fault::Trailing(_) | Fault::Malformed(_) => Class::Internal,
            _ => Class::BadData,
        }
    }
}

/// Why rows cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field cannot be read.
    #[error("column {column:?}, row {row} of the answer (counted from 0): {pg} cannot be read as {arrow}: {fault}")]
    Field {
        /// The column's name.
        column: String,
        /// Row of this read, from 0.
        row: u64,
        /// The Postgres type.
        pg: String,
        /// The Arrow type.
        arrow: String,
        /// Why.
        fault: Fault,
    },
    /// The stream of rows is not COPY BINARY.
    #[error("what Postgres sent after row {row} is not COPY BINARY: {reason}")]
    Frame {
        /// Rows read before.
        row: u64,
        /// What was wrong.
        reason: String,
    },
    /// Rows do not make a batch.
    #[error("rows up to {row} do not make a record batch: {reason}")]
    Batch {
        /// Rows read before.
        row: u64,
        /// The Arrow library's words.
        reason: String,
    },
}

impl DecodeError {
    /// The kind of failure.
    pub fn class(&self) -> Class {
        match self {
            DecodeError::Field { fault, .. } => fault.class(),
            DecodeError::Frame { .. } | DecodeError::Batch { .. } => Class::Internal,
        }
    }
}

/// Why no rule reads a Postgres type as an Arrow type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no rule for the pair.
    NoRule,
    /// There is a rule and it says no.
    Because(String),
}
