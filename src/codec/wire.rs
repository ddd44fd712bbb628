//! What both directions know of the binary COPY format.

/// What opens a binary COPY: signature, no flags, no header extension.
pub const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What ends a binary COPY: a field count of -1.
pub const TRAILER: [u8; 2] = (-1i16).to_be_bytes();
