//! One file per Postgres type (or family that shares a payload). Each says which Arrow types it takes, how a cell is
//! checked and which bytes it becomes; nothing else in pgflight knows a payload.

pub(super) mod array;
pub(super) mod bits;
pub(super) mod bool;
pub(super) mod bytea;
pub(super) mod composite;
pub(super) mod date;
pub(super) mod float;
pub(super) mod fulltext;
pub(super) mod geometric;
pub(super) mod geometry;
pub(super) mod hstore;
pub(super) mod indexed;
pub(super) mod int;
pub(super) mod interval;
pub(super) mod json;
pub(super) mod literal;
pub(super) mod matrix;
pub(super) mod money;
pub(super) mod multirange;
pub(super) mod network;
pub(super) mod null;
pub(super) mod numeric;
mod numeric_fields;
pub(super) mod numeric_shape;
pub(super) mod numeric_text;
pub(super) mod opaque;
pub(super) mod range;
pub(super) mod system;
pub(super) mod text;
pub(super) mod time;
pub(super) mod timestamp;
pub(super) mod timetz;
pub(super) mod uuid;
pub(super) mod vector;
pub(super) mod xml;
