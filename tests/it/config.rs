//! The configuration as a user meets it: the real program, its flags, its environment, its file and its messages.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A directory of its own per call, so that no `pgflight.yaml` of anybody is read.
fn directory(file: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static SEQUENCE: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "config-{}-{}",
        std::process::id(),
        SEQUENCE.fetch_add(1, Ordering::Relaxed)
    );
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).expect("the build's temporary directory takes a directory");
    std::fs::write(path.join("pgflight.yaml"), file).expect("the directory takes a file");
    path
}

fn run(file: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pgflight"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(directory(file))
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn refusal(file: &str) -> String {
    let output = run(file, &[], &["config", "print"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
    text(&output.stderr)
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    assert_eq!(
        refusal("wirte_mode: append\n"),
        "pgflight: error: configuration: `wirte_mode` is not a known key; did you mean \"write_mode\"? (from pgflight.yaml)\n"
    );
}

#[test]
fn a_wrong_type_and_a_wrong_word_are_refused_together() {
    assert_eq!(
        refusal("batch_size: many\nnul_bytes: ignore\n"),
        "pgflight: error: configuration has 2 errors:\
         \n  - `batch_size` is \"many\"; allowed: a whole number from 1 (from pgflight.yaml)\
         \n  - `nul_bytes` is \"ignore\"; allowed: error, strip, replace (from pgflight.yaml)\n"
    );
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "lanes: 2\nbatch_size: 20\nmax_rejects: 30\n";
    let variables = [("PGFLIGHT_LANES", "3"), ("PGFLIGHT_BATCH_SIZE", "21")];
    let output = run(file, &variables, &["config", "print", "--lanes", "4"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for line in [
        "lanes: 4  # from --lanes",
        "batch_size: 21  # from PGFLIGHT_BATCH_SIZE",
        "max_rejects: 30  # from pgflight.yaml",
        "state_schema: pgflight",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} is not in\n{printed}"
        );
    }
}

#[test]
fn secrets_are_not_printed_and_the_rest_of_the_connection_string_is() {
    let file =
        "connection_string: postgres://bob:${PASSWORD}@db/app\nauth: {tokens: [{principal: ci, token: hunter2}]}\n";
    let output = run(file, &[("PASSWORD", "hunter2")], &["config", "print"]);
    let printed = text(&output.stdout);
    assert!(printed.contains("postgres://bob:[redacted]@db/app"), "{printed}");
    assert!(
        !printed.contains("hunter2") && !text(&output.stderr).contains("hunter2"),
        "{printed}"
    );
}

#[test]
fn what_is_printed_is_a_configuration_again() {
    let first = text(
        &run(
            "tables: {t: {lanes: 2, write_mode: replace}}\n",
            &[],
            &["config", "print"],
        )
        .stdout,
    );
    let second = run(&first, &[], &["config", "print"]);
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    let without_origins = |text: &str| {
        text.lines()
            .map(|line| line.split("  #").next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(without_origins(&text(&second.stdout)), without_origins(&first));
}

#[test]
fn the_schema_describes_every_key_of_the_printed_configuration() {
    let schema: Value =
        serde_json::from_slice(&run("", &[], &["config", "schema"]).stdout).expect("the schema is JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let printed = text(&run("", &[], &["config", "print"]).stdout);
    for line in printed.lines().filter(|line| !line.starts_with([' ', '-'])) {
        let (key, _) = line.split_once(':').expect("a top-level line is a key");
        assert!(
            schema["properties"][key]["description"].is_string() || schema["properties"][key]["$ref"].is_string(),
            "{key}"
        );
    }
}

#[test]
fn usage_errors_end_with_two_and_help_with_zero() {
    assert_eq!(run("", &[], &["serve", "--lisen", "x"]).status.code(), Some(2));
    assert_eq!(run("", &[], &["nonsense"]).status.code(), Some(2));
    let help = run("", &[], &["serve", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("PGFLIGHT_LIMITS_MAX_STREAMS"));
    assert_eq!(run("", &[], &["--version"]).status.code(), Some(0));
}
