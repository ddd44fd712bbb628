//! The files around the program agree with it: Dockerfile, docker-compose.yml, Makefile, .ci/run.
//!
//! No Docker engine is needed: what is checked is that every variable, argument and file they name exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

use serde_norway::Value;

#[test]
fn compose_names_only_services_volumes_and_images_that_are_there() {
    let compose = compose();
    let services = compose["services"].as_mapping().expect("services is a mapping");
    assert_eq!(
        services.keys().filter_map(Value::as_str).collect::<Vec<_>>(),
        ["postgres", "pgflight"]
    );
    for (name, service) in services {
        assert!(service["image"].is_string(), "{name:?} has an image");
        assert!(
            !words(&service["healthcheck"]["test"]).is_empty(),
            "{name:?} has a health check"
        );
        for volume in words(&service["volumes"]) {
            let (volume, target) = volume.split_once(':').expect("a volume is name:target");
            assert!(
                compose["volumes"].get(volume).is_some(),
                "{volume} is declared under volumes"
            );
            // Up to 17 the image kept its data one level deeper; such a volume would stay empty with 18.
            assert_eq!(target, "/var/lib/postgresql");
        }
        for port in words(&service["ports"]) {
            assert!(
                port.starts_with("127.0.0.1:"),
                "{port}: nobody is asked for a token, so nothing else is open"
            );
        }
    }
    let dependencies = services["pgflight"]["depends_on"]
        .as_mapping()
        .expect("depends_on is a mapping");
    for (service, when) in dependencies {
        assert!(services.contains_key(service), "{service:?} is a service");
        assert_eq!(when["condition"], "service_healthy");
    }
    assert!(
        services["postgres"]["image"]
            .as_str()
            .is_some_and(|image| image.starts_with("pgvector/pgvector:"))
    );
}

#[test]
fn every_variable_that_compose_and_dockerfile_set_is_in_force() {
    let compose = compose();
    let mut environment = dockerfile_variables();
    let of_the_allocator = environment.remove("MALLOC_ARENA_MAX");
    assert_eq!(of_the_allocator.as_deref(), Some("2"));
    assert_eq!(
        environment.len(),
        3,
        "beside it the Dockerfile sets the two addresses, and that it knows what that means: {environment:?}"
    );
    for (name, value) in compose["services"]["pgflight"]["environment"]
        .as_mapping()
        .expect("environment is a mapping")
    {
        let value = with_defaults(value.as_str().expect("values are texts"));
        environment.insert(name.as_str().expect("names are texts").to_owned(), value);
    }
    let output = pgflight(&["config", "print"], &environment);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, value) in &environment {
        assert!(
            printed.contains(name.as_str()),
            "no value of the configuration comes from {name}:\n{printed}"
        );
        let is_secret = name == "PGFLIGHT_CONNECTION_STRING";
        assert!(
            is_secret || printed.contains(value.as_str()),
            "{name} is not in force as {value}:\n{printed}"
        );
    }
    assert!(!printed.contains(":pgflight@"), "the password is redacted:\n{printed}");
    let misspelt = BTreeMap::from([("PGFLIGHT_LISTN".to_owned(), "127.0.0.1:1".to_owned())]);
    let output = pgflight(&["config", "print"], &misspelt);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("PGFLIGHT_LISTEN"),
        "a wrong name would be noticed"
    );
}

#[test]
fn every_command_that_compose_dockerfile_and_makefile_run_is_understood() {
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
    assert_eq!(commands.len(), 5);
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

#[test]
fn the_image_is_built_with_a_fitting_toolchain_and_runs_unprivileged() {
    let dockerfile = dockerfile();
    let stages: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
        .collect();
    let wanted = read("Cargo.toml")
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = ").map(str::to_owned));
    let wanted = wanted.expect("Cargo.toml has a rust-version");
    assert!(
        stages[0].starts_with(&format!("rust:{}-", wanted.trim_matches('"'))),
        "{} is not {wanted}",
        stages[0]
    );
    let last = stages.last().expect("the Dockerfile has stages");
    assert!(last.ends_with(":nonroot"), "{last} does not run as root");
}

#[test]
fn the_image_is_built_from_every_file_that_the_program_is_built_from() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignore = read(".dockerignore");
    let sent: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignore.lines().any(|line| line == "*"), "all else stays out");
    let mut needed: BTreeSet<PathBuf> = ["Cargo.toml", "Cargo.lock"].map(PathBuf::from).into();
    // Cargo refuses a manifest whose targets are not there, also when it builds another one.
    let manifest = read("Cargo.toml");
    needed.extend(
        manifest
            .lines()
            .filter_map(|line| line.strip_prefix("path = "))
            .map(|path| path.trim_matches('"').into()),
    );
    if root.join("build.rs").exists() {
        needed.insert("build.rs".into());
    }
    let mut pending = vec![root.join("src")];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let directory = path
                .parent()
                .expect("a file is in a directory")
                .strip_prefix(root)
                .unwrap();
            needed.extend(included(code).map(|file| normal(&directory.join(file))));
        }
    }
    assert!(
        needed.len() > 3,
        "the manifest's targets and included files were found: {needed:?}"
    );
    for file in needed {
        assert!(root.join(&file).exists(), "{} exists", file.display());
        assert!(
            sent.iter().any(|pattern| file.starts_with(pattern)),
            ".dockerignore leaves out {}",
            file.display()
        );
    }
}

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
        "help", "build", "demo", "test", "test-pg", "lint", "fmt", "bench", "deny",
    ] {
        let documented = makefile
            .lines()
            .any(|line| line.starts_with(&format!("{target}:")) && line.contains("## "));
        assert!(documented, "`make help` shows {target}");
    }
}

/// Where the image keeps the program.
const PROGRAM: &str = "/usr/local/bin/pgflight";

fn pgflight(arguments: &[&str], environment: &BTreeMap<String, String>) -> Output {
    // No environment, and a directory without a pgflight.yaml: a developer's own configuration decides nothing here.
    let directory = env!("CARGO_TARGET_TMPDIR");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgflight"));
    command
        .env_clear()
        .envs(environment)
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the program starts")
}

fn compose() -> Value {
    serde_norway::from_str(&read("docker-compose.yml")).expect("docker-compose.yml is YAML")
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

fn dockerfile_variables() -> BTreeMap<String, String> {
    let dockerfile = dockerfile();
    let pairs = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("ENV "))
        .flat_map(str::split_whitespace);
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
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

/// Arguments of the `include_..!` macros.
fn included(code: &str) -> impl Iterator<Item = &str> {
    let macros = ["include_str!(\"", "include_bytes!(\"", "include!(\""];
    macros
        .into_iter()
        .flat_map(|name| code.split(name).skip(1).filter_map(|rest| rest.split('"').next()))
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::ParentDir => drop(normal.pop()),
            other => normal.push(other),
        }
        normal
    })
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
