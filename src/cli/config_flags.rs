//! One flag for every single-valued key of the configuration, made from the schema, so that no key is without one.
//!
//! Values stay text here: `config` reads flag, variable and file by the same rules and with the same messages. The
//! environment is read there too, which is why these flags only name their variables in the help.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{self, FILE_VARIABLE, Flags, Key, Kind};

const HEADING: &str = "Configuration";
/// Flags that `-h` shows; `--help` shows all.
const COMMON: [&str; 9] = [
    "connection_string",
    "listen",
    "admin_listen",
    "http_listen",
    "schema",
    "write_mode",
    "migrate_mode",
    "log.level",
    "log.format",
];

/// `--config`, `--set`, and a flag for each key.
#[derive(Debug, Clone, Default)]
pub struct ConfigFlags {
    flags: Flags,
}

impl ConfigFlags {
    /// What was given.
    pub fn flags(&self) -> Flags {
        self.flags.clone()
    }
}

/// `--config` and `--set` alone, for commands whose own flags would collide with keys.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigFile {
    /// Configuration file [env: PGFLIGHT_CONFIG] [default: pgflight.yaml if it exists]
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    config: Option<PathBuf>,
    /// Set any key of the configuration, as in `--set limits.max_streams=8`; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = HEADING, value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Postgres to load into from this process [env: PGFLIGHT_CONNECTION_STRING]
    #[arg(long, value_name = "URI", help_heading = HEADING)]
    connection_string: Option<String>,
}

impl ConfigFile {
    /// What was given.
    pub fn flags(&self) -> Flags {
        let mut values = self.set.clone();
        values.extend(
            self.connection_string
                .clone()
                .map(|text| ("connection_string".to_owned(), text)),
        );
        Flags {
            file: self.config.clone(),
            values,
        }
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

fn flag(key: &'static Key) -> Arg {
    let mut help = key.description.clone();
    if !key.words.is_empty() {
        help.push_str(&format!(" [allowed: {}]", key.words.join(", ")));
    }
    if let Some(default) = &key.default {
        let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        help.push_str(&format!(" [default: {text}]"));
    }
    help.push_str(&format!(" [env: {}]", key.variable));
    let arg = Arg::new(key.path.as_str())
        .long(key.flag.as_str())
        .help(help)
        .help_heading(HEADING)
        .action(ArgAction::Set)
        .hide_short_help(!COMMON.contains(&key.path.as_str()));
    match key.kind {
        Kind::Boolean => arg.value_name("BOOL").num_args(0..=1).default_missing_value("true"),
        Kind::Integer => arg.value_name("NUMBER"),
        Kind::Text => arg.value_name("TEXT").allow_hyphen_values(true),
    }
}

impl Args for ConfigFlags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help(format!(
                "Configuration file [env: {FILE_VARIABLE}] [default: pgflight.yaml if it exists]"
            ))
            .help_heading(HEADING)
            .value_parser(clap::value_parser!(PathBuf));
        let set = Arg::new("set")
            .long("set")
            .value_name("KEY=VALUE")
            .help("Set any key of the configuration, as in `--set limits.max_streams=8`; may be repeated")
            .help_heading(HEADING)
            .action(ArgAction::Append)
            .value_parser(assignment);
        command.arg(file).arg(set).args(config::keys().iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut values: Vec<(String, String)> = matches
            .get_many::<(String, String)>("set")
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for key in config::keys() {
            if matches.value_source(&key.path) == Some(ValueSource::CommandLine) {
                let text = matches
                    .get_one::<String>(&key.path)
                    .ok_or_else(|| clap::Error::new(ErrorKind::NoEquals))?;
                values.push((key.path.clone(), text.clone()));
            }
        }
        Ok(Self {
            flags: Flags {
                file: matches.get_one::<PathBuf>("config").cloned(),
                values,
            },
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
