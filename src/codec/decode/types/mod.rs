//! One file per Postgres type, or per family of types with the same payload. Payloads are those of the types' `send`
//! functions; each file states its own.

pub(super) mod address;
pub(super) mod array;
pub(super) mod bits;
pub(super) mod bool;
pub(super) mod bytea;
pub(super) mod composite;
pub(super) mod date;
pub(super) mod float;
pub(super) mod hstore;
pub(super) mod int;
pub(super) mod interval;
pub(super) mod numeric;
pub(super) mod numeric_text;
pub(super) mod text;
pub(super) mod time;
pub(super) mod timestamp;
pub(super) mod timetz;
pub(super) mod uuid;
pub(super) mod vector;
