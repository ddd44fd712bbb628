//! The commands that do one thing and end, `load` and `demo`: from their flags to the exit code.

use std::process::ExitCode;

use super::terminal::fail;
use super::{demo, load};
use crate::cli::{DemoCommand, EXIT_FAILURE, EXIT_USAGE, LoadCommand};
use crate::client::progress::Display;
use crate::config::Config;

/// Runs `pgflight load`.
pub(super) fn load(command: LoadCommand, config: &Config) -> ExitCode {
    let server = command.target.server();
    let args = match command.into_args() {
        Ok(args) => args,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    run(async {
        let outcome = load::run(args, server, config).await;
        outcome.map_or_else(|error| fail(error.exit_code(), &error), |_| ExitCode::SUCCESS)
    })
}

/// Runs `pgflight demo`.
pub(super) fn demo(command: &DemoCommand) -> ExitCode {
    let args = demo::DemoArgs {
        scale_factor: command.scale_factor,
        keep: command.keep,
        display: Display::for_stderr(),
    };
    run(async {
        demo::run(args)
            .await
            .map_or_else(|error| fail(error.exit_code(), &error), |()| ExitCode::SUCCESS)
    })
}

fn run(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}
