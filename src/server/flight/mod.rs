//! The Flight door: plain DoPut with PATH and JSON CMD descriptors, in front of everything else that Flight offers.

pub mod decode;
pub mod descriptor;
pub mod front;
pub mod put;
pub mod result;
