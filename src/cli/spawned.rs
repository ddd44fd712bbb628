//! Tolerance towards callers that are newer than we are: when the CloudQuery CLI starts us as a plugin, flags that we do not
//! know are left out with a warning. A person's typing error is still an error.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Invocation, from_matches};

/// Parses; while an argument is unknown and the line looks like the CloudQuery CLI's, drops it and tries again.
pub(super) fn parse(command: Command, mut arguments: Vec<OsString>) -> Result<Invocation, clap::Error> {
    let mut warnings = Vec::new();
    loop {
        let result = command.clone().try_get_matches_from(&arguments);
        let error = match result.and_then(|matches| from_matches(&matches, warnings.clone())) {
            Ok(invocation) => return Ok(invocation),
            Err(error) => error,
        };
        let unknown = match (error.kind(), error.get(ContextKind::InvalidArg)) {
            (ErrorKind::UnknownArgument, Some(ContextValue::String(unknown))) if is_spawned(&arguments) => {
                unknown.clone()
            }
            _ => return Err(error),
        };
        let Some(at) = position(&arguments, &unknown) else {
            return Err(error);
        };
        arguments.remove(at);
        // What follows an unknown flag is its value, and unknown in the next round; one warning is enough.
        if unknown.starts_with('-') {
            warnings.push(format!("{unknown} is not known and ignored"));
        }
    }
}

/// The CloudQuery CLI always gives `--network` and `--address` (`cloudquery.md` 1.8).
fn is_spawned(arguments: &[OsString]) -> bool {
    let given = |flag: &str| {
        arguments
            .iter()
            .any(|argument| argument.to_str().is_some_and(|text| text == flag))
    };
    arguments.get(1).is_some_and(|command| command == "serve") && given("--network") && given("--address")
}

/// Where the unknown argument stands; `--flag=value` is named without its value.
fn position(arguments: &[OsString], unknown: &str) -> Option<usize> {
    arguments
        .iter()
        .skip(2)
        .position(|argument| {
            let text = argument.to_string_lossy();
            text == unknown || (unknown.starts_with("--") && text.split('=').next() == Some(unknown))
        })
        .map(|at| at + 2)
}
