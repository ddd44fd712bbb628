//! The vocabulary that every part of pgflight shares: names, types, table shapes, options, failure classes.
//!
//! Pure data: no I/O, no async, no clock. This module imports nothing else of ours.

pub mod by_name;
pub mod caller;
pub mod class;
pub mod command;
pub mod duration;
pub mod embed;
pub mod extension;
pub mod geoarrow;
pub mod geometry;
pub mod grpc_code;
pub mod ident;
pub mod installed;
pub mod interval_limit;
pub mod json;
pub mod loading;
pub mod migration;
pub mod money;
pub mod options;
pub mod pg_name;
pub mod pg_type;
pub mod presence;
pub mod rights;
pub mod suggest;
pub mod table;
pub mod type_map;
pub mod wanted;
