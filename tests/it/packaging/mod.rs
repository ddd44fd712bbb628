//! The files around the program agree with it: Dockerfile, docker-compose.yml, deploy/, Makefile, .ci/run.
//!
//! No Docker engine is needed: what is checked is that every variable, argument and file they name exists.

mod compose;
mod deploy;
mod image;
mod metrics;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_norway::Value;

use crate::load::Scratch;

#[test]
fn continuous_integration_runs_make_test_and_scripts_can_be_executed() {
    assert!(read(".ci/run").lines().any(|line| line == "make test"));
    for script in [".ci/run", "scripts/postgres"] {
        let mode = fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is executable");
    }
    let makefile = read("Makefile");
    for target in [
        "help", "build", "demo", "test", "test-pg", "lint", "fmt", "bench", "deny", "sbom",
    ] {
        let documented = makefile
            .lines()
            .any(|line| line.starts_with(&format!("{target}:")) && line.contains("## "));
        assert!(documented, "`make help` shows {target}");
    }
}

#[test]
fn every_command_that_compose_dockerfile_makefile_kubernetes_and_systemd_run_is_understood() {
    let compose = compose();
    let service = &compose["services"]["pgflight"];
    let mut commands = vec![words(&service["command"])];
    let health = words(&service["healthcheck"]["test"]);
    assert_eq!(
        health[..2],
        ["CMD", PROGRAM],
        "a distroless image has no shell to run CMD-SHELL with"
    );
    commands.push(health[2..].to_vec());
    let dockerfile = dockerfile();
    assert_eq!(exec_form(&dockerfile, "ENTRYPOINT "), [PROGRAM]);
    commands.push(exec_form(&dockerfile, "CMD "));
    let health = exec_form(&dockerfile, "HEALTHCHECK ");
    assert_eq!(health[0], PROGRAM);
    commands.push(health[1..].to_vec());
    let makefile = read("Makefile");
    for line in makefile
        .lines()
        .filter_map(|line| line.strip_prefix("\t./target/demo/pgflight "))
    {
        let line = line.replace("$(SF)", "0.1").replace("$(KEPT)", "--keep");
        commands.push(line.split(' ').map(str::to_owned).collect());
    }
    let unit = read("deploy/systemd/pgflight.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
    let start = start
        .and_then(|start| start.strip_prefix(PROGRAM))
        .expect("it starts the program");
    commands.push(start.split_whitespace().map(str::to_owned).collect());
    let container = &yaml("deploy/kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]["containers"][0];
    commands.push(words(&container["args"]));
    assert_eq!(commands.len(), 7);
    for command in commands {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let output = pgflight(&arguments, &BTreeMap::new());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "pgflight {}: {message}",
            command.join(" ")
        );
        assert!(!command[0].starts_with('-'), "{command:?} begins with a command");
    }
    let output = pgflight(&["serve", "--no-such-flag", "--help"], &BTreeMap::new());
    assert_eq!(output.status.code(), Some(2), "a wrong flag would be noticed");
}

/// The program as it was built for the tests.
const BINARY: &str = env!("CARGO_BIN_EXE_pgflight");
/// Where the image keeps the program.
const PROGRAM: &str = "/usr/local/bin/pgflight";

fn pgflight(arguments: &[&str], environment: &BTreeMap<String, String>) -> Output {
    // No environment, and a directory without a pgflight.yaml: a developer's own configuration decides nothing here.
    let directory = env!("CARGO_TARGET_TMPDIR");
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .envs(environment)
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the program starts")
}

/// What `config print` shows of a configuration file whose secrets are those in `secrets`, in that environment.
fn printed(config: &str, secrets: &[(&str, &str)], environment: &BTreeMap<String, String>) -> String {
    let scratch = Scratch::new();
    let mut text = read(config);
    for (path, secret) in secrets {
        let name = path.rsplit('/').next().expect("a name");
        assert!(text.contains(path), "{config} reads {path}");
        text = text.replace(path, &scratch.file(name, secret));
    }
    let mut environment = environment.clone();
    environment.insert("PGFLIGHT_CONFIG".to_owned(), scratch.file("pgflight.yaml", text));
    let output = pgflight(&["config", "print"], &environment);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && !said.contains("is not known"),
        "{config}: {said}"
    );
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    for (_, secret) in secrets {
        assert!(!printed.contains(secret), "secrets are redacted:\n{printed}");
    }
    printed
}

fn compose() -> Value {
    yaml("docker-compose.yml")
}

fn yaml(path: &str) -> Value {
    serde_norway::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A duration of whole seconds, as compose, Docker and the configuration write it.
fn seconds(text: &str) -> u64 {
    let number = text.strip_suffix('s').expect("seconds");
    number.parse().expect("a whole number")
}

/// The Dockerfile without comments and with continued lines joined.
fn dockerfile() -> String {
    let lines: Vec<String> = read("Dockerfile")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    lines.join("\n").replace("\\\n", " ")
}

/// The JSON array at the end of an instruction.
fn exec_form(dockerfile: &str, instruction: &str) -> Vec<String> {
    let line = dockerfile
        .lines()
        .find(|line| line.starts_with(instruction))
        .expect("the instruction is there");
    let array = line
        .find('[')
        .and_then(|at| line.get(at..))
        .expect("the instruction has the exec form");
    serde_json::from_str(array).expect("the exec form is JSON")
}

/// A sequence of texts; none when there is no sequence.
fn words(value: &Value) -> Vec<String> {
    let items = value.as_sequence().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `${NAME:-default}` as compose reads it when the variable is not set.
fn with_defaults(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let (reference, after) = after.split_once('}').expect("a reference is closed");
        let (_, default) = reference.split_once(":-").expect("a reference has a default");
        out.push_str(before);
        out.push_str(default);
        rest = after;
    }
    out + rest
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
