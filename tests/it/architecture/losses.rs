//! No failure of Postgres becomes a text on its way: a text has no class, so a lost connection would pass for a refusal.
//!
//! Errors of the driver and of the modules around it are kept as `source` and handed on by `?`. What may make a text of an error is
//! listed here with what kind of error it is; nothing that comes over the wire is among them.

use super::source::{Source, without_tests};
use super::{is_test_module, is_within, rust_files};

/// Files of the effect half that make texts of errors, how often, and of which.
const TEXTS: &[(&str, usize, &str)] = &[
    ("src/postgres/catalog/depth.rs", 1, "JSON that is none"),
    ("src/postgres/catalog/types.rs", 1, "a name that is none"),
    (
        "src/postgres/catalog/mod.rs",
        2,
        "JSON that is none, a name that is none",
    ),
    ("src/postgres/read/describe.rs", 1, "a name that is none"),
    ("src/postgres/read/objects.rs", 1, "a name that is none"),
    ("src/postgres/query/parameters.rs", 1, "the encoder's"),
    (
        "src/postgres/error/driver.rs",
        4,
        "the words of the driver's errors, beside their class",
    ),
    (
        "src/postgres/error/from.rs",
        1,
        "the text of an error that is handed on with its class",
    ),
    (
        "src/postgres/load/transaction.rs",
        2,
        "for the log, before COMMIT_UNKNOWN",
    ),
    ("src/postgres/load/reject.rs", 1, "a name that is none"),
    ("src/postgres/load/wish.rs", 1, "a name that is none"),
    (
        "src/postgres/load/probe.rs",
        1,
        "the text of an error that is handed on with its fault",
    ),
    ("src/postgres/pool.rs", 2, "the pool's own faults"),
    (
        "src/postgres/embed/mod.rs",
        1,
        "the text of an error that is handed on with its class",
    ),
    ("src/postgres/check/ours.rs", 1, "a refusal of ours, for the report"),
    ("src/postgres/embed/prepare.rs", 1, "a name that is none"),
    ("src/postgres/embed/overview.rs", 1, "for the status page"),
    ("src/postgres/embed/note.rs", 5, "the encoder's and Arrow's"),
];

/// What makes a text of an error.
const MAKES_TEXT: [&str; 4] = ["error.to_string()", "err.to_string()", "{error}", "{error:"];

fn is_judged(module: &str) -> bool {
    // How connections are made has failures of its own, told apart by what a person does about them.
    is_within(module, "postgres") && !is_within(module, "postgres::connect") && !is_test_module(module)
}

/// How often a file makes a text of an error, in code and not in comments or in the texts of error enums.
fn texts(text: &str) -> usize {
    let code = without_tests(text).lines().map(str::trim_start);
    let code = code.filter(|line| !line.starts_with("//") && !line.starts_with("#[error("));
    code.map(|line| MAKES_TEXT.iter().map(|word| line.matches(word).count()).sum::<usize>())
        .sum()
}

#[test]
fn no_failure_of_postgres_becomes_a_text_and_loses_its_class() {
    let mut wrong = Vec::new();
    for file in rust_files("src/postgres") {
        if !is_judged(Source::new(&file.path, &file.text).module()) {
            continue;
        }
        let allowed = TEXTS.iter().find(|(path, ..)| *path == file.path);
        let (allowed, found) = (allowed.map_or(0, |(_, count, _)| *count), texts(&file.text));
        if found > allowed {
            wrong.push(format!("{}: {found} texts of errors, {allowed} are known", file.path));
        }
    }
    assert!(
        wrong.is_empty(),
        "keep the error as `source`, or use `?`; where it is none of Postgres', list it in tests/it/architecture/losses.rs:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_planted_text_of_an_error_is_found() {
    for (text, count) in [
        ("let a = Error::Embed(format!(\"reading failed: {error}\"));", 1),
        (".map_err(|error| Error::Internal(error.to_string()))", 1),
        ("// error.to_string()", 0),
        ("#[error(\"{error}\")]", 0),
        ("tracing::warn!(error = %error, \"again\");", 0),
        ("fn f() {}\n#[cfg(test)]\nmod tests { error.to_string() }", 0),
    ] {
        assert_eq!(texts(text), count, "{text}");
    }
}
