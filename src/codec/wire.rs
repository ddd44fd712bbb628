//! What both directions know of the binary COPY format and of the payloads in it. What only one of them knows stays with its type.

/// What opens a binary COPY: signature, no flags, no header extension.
pub const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The part of it that never changes.
pub(super) const SIGNATURE: &[u8] = HEADER.split_at(11).0;

/// What ends a binary COPY: a field count of -1.
pub const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// Length of a field that is NULL.
pub(super) const NULL_LENGTH: i32 = -1;

/// Days from 1970-01-01, where Arrow counts from, to 2000-01-01, where Postgres does.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The same in seconds.
pub(super) const EPOCH_SECONDS: i64 = 946_684_800;
/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;
/// Microseconds of a day, which are a time as well: 24:00:00.
pub(super) const DAY_MICROS: i64 = 86_400_000_000;

/// Dimensions that an array has at most (`MAXDIM`).
pub(super) const MAX_DIMENSIONS: usize = 6;

/// Address families of Postgres' own numbering, whatever the platform's.
pub(super) const FAMILY_V4: u8 = 2;
pub(super) const FAMILY_V6: u8 = 3;

/// The byte before the text of `jsonb`, `jsonpath`, `ltree` and `lquery`.
pub(super) const VERSION: u8 = 1;

/// Sign words of `numeric`.
pub(super) mod sign {
    pub(in crate::codec) const POSITIVE: u16 = 0x0000;
    pub(in crate::codec) const NEGATIVE: u16 = 0x4000;
    pub(in crate::codec) const NAN: u16 = 0xC000;
    pub(in crate::codec) const INFINITY: u16 = 0xD000;
    pub(in crate::codec) const MINUS_INFINITY: u16 = 0xF000;
}
