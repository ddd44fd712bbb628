//! The program: hands its arguments to the composition root and ends with the exit code that it gives.

use std::process::ExitCode;

/// Large messages come and go: what they took goes back to the system within moments, and threads share what is free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pgflight::app::run(std::env::args_os())
}
