//! `CommandStatementIngest`: a put under another descriptor. What it says about the table's existence and about options is read
//! here; the rows go the way of every put. Pure.

use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};

use crate::ingest::error::RequestError;
use crate::model::ident::{Ident, TableName};
use crate::model::options::{Acks, CommitMode, StreamOptions, WriteMode};
use crate::model::presence::{IfAbsent, IfPresent, Presence};
use crate::server::flight::descriptor::{Once, Target};

/// Options of the command may have the prefix that they have in schema metadata.
const PREFIX: &str = "pgflight.";

/// Where the rows of an ingest go.
///
/// # Errors
/// What is missing in the command, does not fit, or is not offered.
pub(in crate::server::flight) fn target(command: &CommandStatementIngest) -> Result<Target, RequestError> {
    if command.temporary {
        return Err(RequestError::Unsupported(
            "a temporary table would be gone when the ingest ends, because each call has a session of Postgres for itself; leave \
             `temporary` out, or name a schema for such tables"
                .to_owned(),
        ));
    }
    if command.transaction_id.is_some() {
        return Err(RequestError::NotFound(
            "there is no transaction of this transaction_id: this server opens none, and each ingest is one of its own; leave it out"
                .to_owned(),
        ));
    }
    let ident = |what, name: &str| Ident::new(name).map_err(|source| RequestError::Name { what, source });
    let table = TableName {
        schema: command
            .schema
            .as_deref()
            .map(|schema| ident("schema", schema))
            .transpose()?,
        name: ident("table", &command.table)?,
    };
    Ok(Target {
        table,
        options: options(command)?,
        ingest: Some(presence(command)?),
    })
}

fn options(command: &CommandStatementIngest) -> Result<StreamOptions, RequestError> {
    let mut options = Once::of("options of the command");
    // In an order of its own, so that of several mistakes always the same one is told.
    let mut given: Vec<_> = command.options.iter().collect();
    given.sort();
    for (key, value) in given {
        options.set(key.strip_prefix(PREFIX).unwrap_or(key), value)?;
    }
    Ok(options.into_options())
}

fn presence(command: &CommandStatementIngest) -> Result<Presence, RequestError> {
    let unset = |field: &str, words: &str| {
        RequestError::Malformed(format!(
            "the ingest does not say what is done {words} (table_definition_options.{field} is not set to a known value); send one of the modes create, append, replace, create_append"
        ))
    };
    let defined = command.table_definition_options.unwrap_or_default();
    let if_absent = match TableNotExistOption::try_from(defined.if_not_exist) {
        Ok(TableNotExistOption::Create) => IfAbsent::Create,
        Ok(TableNotExistOption::Fail) => IfAbsent::Fail,
        Ok(TableNotExistOption::Unspecified) | Err(_) => {
            return Err(unset("if_not_exist", "where the table does not exist"));
        }
    };
    let if_present = match TableExistsOption::try_from(defined.if_exists) {
        Ok(TableExistsOption::Fail) => IfPresent::Fail,
        Ok(TableExistsOption::Append) => IfPresent::Take,
        Ok(TableExistsOption::Replace) => IfPresent::Renew,
        Ok(TableExistsOption::Unspecified) | Err(_) => {
            return Err(unset("if_exists", "where the table exists"));
        }
    };
    match (if_absent, if_present) {
        (IfAbsent::Fail, IfPresent::Fail) => Err(RequestError::Conflict(
            "the ingest is to fail where the table exists and where it does not, so it can only fail".to_owned(),
        )),
        _ => Ok(Presence { if_absent, if_present }),
    }
}

/// What an ingest's mode means for the options; `asked` are those that came with the call.
///
/// # Errors
/// Options that say something else than the mode.
pub(in crate::server::flight) fn agree(
    presence: Presence,
    asked: &StreamOptions,
    mut merged: StreamOptions,
) -> Result<StreamOptions, RequestError> {
    let conflict = |text: &str| Err(RequestError::Conflict(text.to_owned()));
    if asked.acks == Some(Acks::Progress) {
        return conflict(
            "acks: progress is an answer of plain Flight; an ingest of Flight SQL has one answer, at its end",
        );
    }
    if presence.if_present == IfPresent::Renew {
        if asked.commit == Some(CommitMode::Batch) {
            return conflict("mode replace puts the new table in place at once, at the end; it needs commit: atomic");
        }
        if !matches!(asked.write_mode, None | Some(WriteMode::Append | WriteMode::Replace)) {
            return conflict(
                "mode replace makes a new table, in which there is nothing to overwrite; leave write_mode out, or use mode create_append",
            );
        }
        merged.commit = Some(CommitMode::Atomic);
        merged.write_mode = Some(WriteMode::Append);
    }
    merged.acks = None;
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_flight::sql::TableDefinitionOptions;

    fn command(if_not_exist: i32, if_exists: i32) -> CommandStatementIngest {
        CommandStatementIngest {
            table_definition_options: Some(TableDefinitionOptions {
                if_not_exist,
                if_exists,
            }),
            table: "t".to_owned(),
            ..CommandStatementIngest::default()
        }
    }

    fn refusal(command: &CommandStatementIngest) -> String {
        target(command).unwrap_err().to_string()
    }

    #[test]
    fn the_four_modes_say_what_becomes_of_the_table() {
        for (words, if_absent, if_present) in [
            ((1, 1), IfAbsent::Create, IfPresent::Fail),
            ((2, 2), IfAbsent::Fail, IfPresent::Take),
            ((1, 3), IfAbsent::Create, IfPresent::Renew),
            ((1, 2), IfAbsent::Create, IfPresent::Take),
            ((2, 3), IfAbsent::Fail, IfPresent::Renew),
        ] {
            let target = target(&command(words.0, words.1)).unwrap();
            assert_eq!(target.ingest, Some(Presence { if_absent, if_present }));
        }
    }

    #[test]
    fn a_command_without_a_mode_is_told_the_modes() {
        for (absent, exists, field) in [
            (0, 1, "if_not_exist"),
            (9, 1, "if_not_exist"),
            (1, 0, "if_exists"),
            (1, 4, "if_exists"),
        ] {
            let told = refusal(&command(absent, exists));
            assert!(told.contains(field) && told.contains("create_append"), "{told}");
        }
        let without = CommandStatementIngest {
            table: "t".to_owned(),
            ..CommandStatementIngest::default()
        };
        assert!(refusal(&without).contains("if_not_exist"));
        assert!(refusal(&command(2, 1)).contains("can only fail"));
    }

    #[test]
    fn what_is_not_offered_says_why() {
        let temporary = CommandStatementIngest {
            temporary: true,
            ..command(1, 1)
        };
        assert!(refusal(&temporary).contains("session of Postgres for itself"));
        let within = CommandStatementIngest {
            transaction_id: Some("x".into()),
            ..command(1, 1)
        };
        assert!(refusal(&within).contains("no transaction"));
    }

    #[test]
    fn options_of_the_command_are_those_of_a_put() {
        let mut given = command(1, 2);
        given
            .options
            .insert("pgflight.write_mode".to_owned(), "overwrite".to_owned());
        given.options.insert("primary_key".to_owned(), "id".to_owned());
        let options = target(&given).unwrap().options;
        assert_eq!(options.write_mode, Some(WriteMode::Overwrite));
        assert_eq!(options.primary_key, Some(vec!["id".to_owned()]));
        given.options.insert("write-mode".to_owned(), "append".to_owned());
        assert!(refusal(&given).contains("stands twice"));
        given.options.insert("pgflight.nope".to_owned(), "1".to_owned());
        assert!(refusal(&given).contains("nope"));
    }

    #[test]
    fn a_replace_is_one_transaction_and_overwrites_nothing() {
        let presence = Presence {
            if_absent: IfAbsent::Create,
            if_present: IfPresent::Renew,
        };
        let configured = StreamOptions {
            write_mode: Some(WriteMode::Overwrite),
            commit: Some(CommitMode::Batch),
            ..StreamOptions::default()
        };
        let agreed = agree(presence, &StreamOptions::default(), configured.clone()).unwrap();
        assert_eq!(
            (agreed.write_mode, agreed.commit),
            (Some(WriteMode::Append), Some(CommitMode::Atomic))
        );
        let told = agree(presence, &configured, configured.clone())
            .unwrap_err()
            .to_string();
        assert!(told.contains("commit: atomic"), "{told}");
        let overwrite = StreamOptions {
            commit: None,
            ..configured
        };
        let told = agree(presence, &overwrite, overwrite.clone()).unwrap_err().to_string();
        assert!(told.contains("write_mode"), "{told}");
    }
}
