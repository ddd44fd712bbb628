//! What commands say to whoever started them: results on standard output, faults on standard error. Knows no command.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use crate::cli::EXIT_FAILURE;

/// Writes a result to standard output. A reader that goes away early (`| head`) is no failure.
pub(super) fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(EXIT_FAILURE, &error),
        _ => ExitCode::SUCCESS,
    }
}

/// Says on standard error what went wrong, and gives the exit code.
pub(super) fn fail(code: u8, error: &dyn Display) -> ExitCode {
    complain("error", error);
    ExitCode::from(code)
}

/// Says something on standard error.
pub(super) fn complain(kind: &str, what: impl Display) {
    // Nobody is left to tell when standard error is closed.
    drop(writeln!(std::io::stderr(), "pgflight: {kind}: {what}"));
}
