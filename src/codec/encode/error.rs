//! What can be wrong with a pair of types (before any row) and with one cell. Texts never hold a row's value.

use arrow::datatypes::DataType;

use crate::literal::Unreadable;
use crate::model::class::Class;
use crate::model::ident::Ident;

/// A cell that cannot be stored as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column:?}, row {row}: {arrow} cannot be stored in {pg}: {reason}")]
pub struct CellError {
    /// The column's name.
    pub column: Ident,
    /// Row within the batch, from 0.
    pub row: usize,
    /// The Arrow type of the column.
    pub arrow: String,
    /// The Postgres type of the column.
    pub pg: String,
    /// Why.
    pub reason: CellReason,
}

impl CellError {
    /// The data's fault, but for memory that is not there.
    pub fn class(&self) -> Class {
        match self.reason {
            CellReason::NotNow | CellReason::NoMemory(_) => Class::Exhausted,
            _ => Class::BadData,
        }
    }
}

/// Why a cell cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellReason {
    /// NULL in a column that refuses it.
    #[error("the value is NULL and the column is NOT NULL")]
    Null,
    /// NULL in a column that rows are matched by.
    #[error(
        "the value is NULL, and rows are matched by this column, which for NULL nothing equals; leave such rows out, or make the \
         unique index NULLS NOT DISTINCT"
    )]
    NullInKey,
    /// The value is outside what the type can hold.
    #[error("the value is outside the range of the type")]
    OutOfRange,
    /// The value has more fraction digits (or finer units) than the type keeps.
    #[error("{0}")]
    Inexact(&'static str),
    /// The byte 0 in text.
    #[error(
        "the text contains a NUL byte, which Postgres cannot store (option nul_bytes: strip or replace changes it)"
    )]
    NulByte,
    /// More than the declared length.
    #[error("the value has {found} {unit}, {limit} are allowed")]
    TooLong {
        /// Length found.
        found: usize,
        /// Length allowed.
        limit: usize,
        /// `characters`, `bytes`, `bits`, `elements`.
        unit: &'static str,
    },
    /// A length that must be met exactly.
    #[error("the value has {found} {unit}, {expected} are needed")]
    WrongLength {
        /// Length found.
        found: usize,
        /// Length needed.
        expected: usize,
        /// `characters`, `bytes`, `bits`, `elements`, `fields`.
        unit: &'static str,
    },
    /// A single field over Postgres' limit.
    #[error("the value needs {0} bytes, Postgres takes less than 1 GiB in one field")]
    FieldTooLarge(usize),
    /// All strings of a document over Postgres' limit.
    #[error(
        "the strings of the document take more than 255 MiB together, which is what jsonb takes; use a column of the type json"
    )]
    JsonbTooLarge,
    /// A row over Postgres' limit.
    #[error("the row takes {0} bytes up to this column, Postgres takes less than 1 GiB in one row")]
    RowTooLarge(usize),
    /// There is no room for it in this turn; it is made in one of its own.
    #[error("the value is too large to be made beside others")]
    NotNow,
    /// The system gives no memory.
    #[error("the value takes {0} bytes, for which there is no memory; give the server more, or send smaller values")]
    NoMemory(usize),
    /// Text that is not a value of the type.
    #[error("the text is not {0}")]
    NotA(&'static str),
    /// Bytes that are no geometry.
    #[error("the bytes are not well-known binary: {0}")]
    NotWkb(&'static str),
    /// A geometry that the column, or PostGIS, does not keep as it is.
    #[error("{0}")]
    Geometry(&'static str),
    /// XML that Postgres would convert from another encoding.
    #[error(
        "the XML declares an encoding other than UTF-8, in which Postgres would read its bytes; declare UTF-8 or no encoding"
    )]
    XmlEncoding,
    /// Text that is none of an enum's labels.
    #[error("the text is not a label of the enum")]
    UnknownLabel,
    /// Bytes that are no Parquet variant.
    #[error("the value is no Parquet variant: {0}")]
    BadVariant(&'static str),
    /// NaN or infinity where only finite numbers are stored.
    #[error("NaN and infinities cannot be stored")]
    NotFinite,
    /// NULL inside a value that has no NULL.
    #[error("{0}")]
    NullInside(&'static str),
    /// Inner lists of different lengths.
    #[error("the inner lists differ in length, a Postgres array is rectangular")]
    Ragged,
    /// List views that use the same elements so often that memory may not hold what they stand for.
    #[error(
        "the lists use the same elements so often that they stand for more than memory is given to; send fewer rows per batch, or \
         shorter lists"
    )]
    SharedElements,
    /// The batch has another type than the stream's schema.
    #[error("the batch has the type {0} where the schema said otherwise")]
    WrongArray(String),
    /// The batch has another number of columns than the stream's schema.
    #[error("the batch has {found} columns, the schema has {expected}")]
    WrongColumnCount {
        /// Columns in the batch.
        found: usize,
        /// Columns in the schema.
        expected: usize,
    },
}

impl CellReason {
    /// A key can be NULL behind a dictionary or in runs, where Arrow does not look for what the type of maps forbids.
    pub(crate) const NULL_KEY: Self = Self::NullInside("a key of the map is NULL");

    /// What Postgres would call it (Appendix A of its manual).
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Null | Self::NullInKey => "23502",
            Self::OutOfRange | Self::NotFinite => "22003",
            Self::NulByte => "22021",
            Self::TooLong { .. } => "22001",
            Self::NotA(_) | Self::UnknownLabel => "22P02",
            Self::XmlEncoding => "2200N",
            Self::NotWkb(_) => "22P03",
            Self::Geometry(_) => "22023",
            Self::NullInside(_) => "22004",
            Self::Ragged => "2202E",
            Self::FieldTooLarge(_) | Self::SharedElements | Self::JsonbTooLarge | Self::RowTooLarge(_) => "54000",
            Self::NotNow | Self::NoMemory(_) => "53200",
            Self::BadVariant(_) => "22P03",
            Self::Inexact(_) | Self::WrongLength { .. } => "22000",
            Self::WrongArray(_) | Self::WrongColumnCount { .. } => "42804",
        }
    }
}

impl From<Unreadable> for CellReason {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::NotA(form) => Self::NotA(form),
            Unreadable::NotWkb(why) => Self::NotWkb(why),
            Unreadable::NotKept(why) => Self::Geometry(why),
            Unreadable::OutOfRange => Self::OutOfRange,
        }
    }
}

/// A column whose Arrow type cannot go into its Postgres type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column:?}: {arrow} cannot be stored exactly in {pg}{why}")]
pub struct RefusedPair {
    /// The column's name.
    pub column: Ident,
    /// The Arrow type.
    pub arrow: String,
    /// The Postgres type.
    pub pg: String,
    /// Empty, or `: ` and the reason.
    pub why: String,
}

/// Why a stream cannot be encoded into its target; found before any row is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Pairs without an exact encoding, all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Pairs(Vec<RefusedPair>),
    /// The caller named another number of targets than the schema has fields.
    #[error("the schema has {fields} fields and {columns} target columns were given")]
    ColumnCount {
        /// Fields of the schema.
        fields: usize,
        /// Target columns.
        columns: usize,
    },
}

impl PlanError {
    /// The request's fault, as far as a caller can see.
    pub fn class(&self) -> Class {
        match self {
            PlanError::Pairs(_) => Class::BadRequest,
            PlanError::ColumnCount { .. } => Class::Internal,
        }
    }
}

/// Why a rule does not apply to a pair of types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no rule for the pair.
    NoRule,
    /// There is a rule and it says no.
    Because(String),
}

/// An array for which the plan makes no encoder.
#[derive(Clone, Debug)]
pub(crate) enum WrongArray {
    /// It is not of the planned type.
    Type(DataType),
    /// Its lists share elements and stand for too much.
    Shared,
}

impl From<WrongArray> for CellReason {
    fn from(wrong: WrongArray) -> Self {
        match wrong {
            WrongArray::Type(found) => Self::WrongArray(found.to_string()),
            WrongArray::Shared => Self::SharedElements,
        }
    }
}
