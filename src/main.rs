//! The program: hands its arguments to the composition root and ends with the exit code that it gives.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgflight::app::run(std::env::args_os())
}
