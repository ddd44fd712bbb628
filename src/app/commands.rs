//! One command line, from arguments to exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use super::terminal::{complain, fail, print};
use crate::cli::{self, Command, ConfigCommand, EXIT_USAGE};
use crate::config::{Loaded, ProcessSource, json_schema};
use crate::postgres::load::Login;

/// Runs the program with these arguments, program name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let invocation = match cli::parse(arguments) {
        Ok(invocation) => invocation,
        Err(code) => return code,
    };
    for warning in &invocation.warnings {
        complain("warning", warning);
    }
    let flags = invocation.command.config_flags();
    let loaded = || match Loaded::read(&ProcessSource, &flags) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain("warning", warning);
            }
            Ok(loaded)
        }
        Err(error) => Err(fail(EXIT_USAGE, &error)),
    };
    match invocation.command {
        Command::Config(ConfigCommand::Schema) => print(&format!("{:#}\n", json_schema())),
        Command::Config(ConfigCommand::Print(_)) => {
            loaded().map_or_else(|code| code, |loaded| print(&loaded.to_yaml()))
        }
        Command::Check(check) => {
            loaded().map_or_else(|code| code, |loaded| super::check::run(&loaded.config, check.json))
        }
        Command::Serve(serve) => {
            let login = if serve.is_plugin() {
                Login::Clients
            } else {
                Login::Servers
            };
            let again = flags.clone();
            let reread = move || Loaded::read(&ProcessSource, &again).map_err(|error| error.to_string());
            let reread = Box::new(move || reread().map(|loaded| loaded.config));
            loaded().map_or_else(|code| code, |loaded| super::serve::run(loaded.config, login, reread))
        }
        Command::Health(health) => {
            loaded().map_or_else(|code| code, |loaded| super::health::run(&health, &loaded.config))
        }
        Command::Load(load) => {
            loaded().map_or_else(|code| code, |loaded| super::foreground::load(*load, &loaded.config))
        }
        Command::Embeddings(command) => {
            loaded().map_or_else(|code| code, |loaded| super::embeddings::run(&command, &loaded.config))
        }
        Command::Demo(demo) => super::foreground::demo(&demo),
        Command::Plan(plan) => loaded().map_or_else(|code| code, |loaded| super::plan::run(*plan, &loaded.config)),
    }
}
