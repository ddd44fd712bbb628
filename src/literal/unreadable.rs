//! Why bytes or a text are not the value that they should be.

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Text that is not a value of the type.
    NotA(&'static str),
    /// Bytes that are no geometry.
    NotWkb(&'static str),
    /// A geometry that the column, or PostGIS, does not keep as it is.
    NotKept(&'static str),
    /// A number outside what its type can hold.
    OutOfRange,
}
