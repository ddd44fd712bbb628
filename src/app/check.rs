//! `pgflight check`: runs the check and shows its report.

use std::process::ExitCode;

use super::terminal::{fail, print};
use crate::cli::{EXIT_FAILURE, EXIT_USAGE};
use crate::config::{Config, ProcessSource};
use crate::postgres::check::{CheckError, check};
use crate::postgres::connect::ConnectError;

/// Exit code 0 when usable, 1 when not, 2 when the connection string is wrong.
pub(super) fn run(config: &Config, json: bool) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(check(config, &ProcessSource)),
        Err(error) => return fail(EXIT_FAILURE, &error),
    };
    let report = match result {
        Ok(report) => report,
        Err(error @ CheckError::Connect(ConnectError::BadString(_))) => return fail(EXIT_USAGE, &error),
        Err(error) => return fail(EXIT_FAILURE, &error),
    };
    let text = match serde_json::to_string_pretty(&report) {
        Ok(text) if json => text + "\n",
        _ => report.to_string(),
    };
    let shown = print(&text);
    if report.is_usable() {
        return shown;
    }
    fail(
        EXIT_FAILURE,
        &format!(
            "{} cannot be loaded into: {}",
            report.address,
            report.problems.join("; ")
        ),
    )
}
