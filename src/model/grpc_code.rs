//! Names of gRPC's status codes, as its documentation writes them: one list for what a door answers and for what the command line prints.
//!
//! Source: gRPC, "Status codes and their use in gRPC".

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a code's number; an unknown number is `UNKNOWN`, as gRPC asks.
pub(crate) fn code_name(code: i32) -> &'static str {
    let named = usize::try_from(code).ok().and_then(|at| NAMES.get(at));
    named.copied().unwrap_or("UNKNOWN")
}
