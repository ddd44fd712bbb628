//! docker-compose.yml and its override: what is used exists, what is given reaches the program, and what fails is told.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_norway::Value;

use super::{compose, dockerfile, exec_form, pgflight, printed, read, seconds, with_defaults, words, yaml};
use crate::support::cluster::{Cluster, Options};
use crate::support::flight::{Flight, batch, longs, path};
use crate::support::process::{Process, free_address};

/// Everything that a URI or a shell would read as something else.
const PASSWORD: &str = r#"p/a#s?s%w@o r:d'"\$&=[1],%41"#;

/// The environment of a service as compose makes it when `POSTGRES_PASSWORD` is that and nothing else is set.
fn environment(service: &Value, password: &str) -> BTreeMap<String, String> {
    let mapping = service["environment"].as_mapping().expect("environment is a mapping");
    let one = |(name, value): (&Value, &Value)| {
        let value = value.as_str().expect("values are texts");
        let value = match value {
            "${POSTGRES_PASSWORD:-pgflight}" => password.to_owned(),
            other => with_defaults(other),
        };
        (name.as_str().expect("names are texts").to_owned(), value)
    };
    mapping.iter().map(one).collect()
}

#[test]
fn compose_names_only_services_volumes_and_images_that_are_there() {
    let compose = compose();
    let services = compose["services"].as_mapping().expect("services is a mapping");
    let names: Vec<&str> = services.keys().filter_map(Value::as_str).collect();
    assert_eq!(names, ["postgres", "pgflight", "prometheus", "grafana"]);
    for (name, service) in services {
        assert!(service["image"].is_string(), "{name:?} has an image");
        assert!(
            !words(&service["healthcheck"]["test"]).is_empty(),
            "{name:?} has a health check"
        );
        for volume in words(&service["volumes"]) {
            let (volume, target) = volume.split_once(':').expect("a volume is name:target");
            match volume.strip_prefix("./") {
                Some(directory) => {
                    let there = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                        .join(directory)
                        .is_dir();
                    assert!(
                        there && target.ends_with(":ro"),
                        "{volume} is a directory of ours, for reading"
                    );
                }
                None => assert!(
                    compose["volumes"].get(volume).is_some(),
                    "{volume} is declared under volumes"
                ),
            }
            // Up to 17 the image kept its data one level deeper; such a volume would stay empty with 18.
            assert!(name != "postgres" || target == "/var/lib/postgresql");
        }
        for port in words(&service["ports"]) {
            let (published, inside) = port.rsplit_once(':').expect("outside and inside");
            assert!(
                published.starts_with("127.0.0.1:${") && published.ends_with(&format!(":-{inside}}}")),
                "{port}: nobody is asked for a token, so nothing else is open, and another port may be chosen"
            );
        }
        for (service, when) in service["depends_on"].as_mapping().into_iter().flatten() {
            assert!(services.contains_key(service), "{service:?} is a service");
            assert_eq!(when["condition"], "service_healthy");
        }
        let optional = words(&service["profiles"]);
        assert_eq!(
            optional.first().is_some_and(|profile| profile == "metrics"),
            name == "prometheus" || name == "grafana"
        );
        assert!(
            service["mem_limit"].is_string() && service["pids_limit"].is_number(),
            "{name:?} has limits"
        );
        assert!(
            service["logging"]["options"]["max-size"].is_string(),
            "the log of {name:?} is rotated"
        );
        if name != "postgres" {
            // Its image starts as root and gives that up by itself.
            assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name:?}");
        }
    }
    let postgres = services["postgres"]["image"].as_str();
    assert!(postgres.is_some_and(|image| image.starts_with("pgvector/pgvector:")));
}

#[test]
fn every_variable_that_compose_and_dockerfile_set_is_in_force() {
    let mut variables = dockerfile_variables();
    assert_eq!(
        variables.len(),
        3,
        "the Dockerfile sets the two addresses, and that nobody is asked: {variables:?}"
    );
    let of_compose = environment(&compose()["services"]["pgflight"], "pgflight");
    variables.extend(of_compose.into_iter().filter(|(name, _)| name.starts_with("PGFLIGHT_")));
    let output = pgflight(&["config", "print"], &variables);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, value) in &variables {
        assert!(
            printed.contains(name.as_str()) && printed.contains(value.as_str()),
            "{name} is not in force as {value}:\n{printed}"
        );
    }
    let misspelt = BTreeMap::from([("PGFLIGHT_LISTN".to_owned(), "127.0.0.1:1".to_owned())]);
    let output = pgflight(&["config", "print"], &misspelt);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("PGFLIGHT_LISTEN"),
        "a wrong name would be noticed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_any_characters_reaches_postgres_from_compose() {
    let cluster = Cluster::private(&Options {
        password: Some(PASSWORD),
        fast: true,
        ..Options::default()
    });
    let port = cluster.address().port;
    let connect = async |user: &str, database: &str| {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(port)
            .user(user)
            .password(PASSWORD)
            .dbname(database);
        let (client, connection) = config
            .connect(tokio_postgres::NoTls)
            .await
            .expect("the password is right");
        tokio::spawn(connection);
        client
    };
    let administrator = connect("postgres", "postgres").await;
    let quoted = PASSWORD.replace('\'', "''");
    for statement in [
        format!("create role pgflight login superuser password '{quoted}'"),
        "create database pgflight owner pgflight".to_owned(),
    ] {
        administrator.batch_execute(&statement).await.expect(&statement);
    }
    let mut variables = environment(&compose()["services"]["pgflight"], PASSWORD);
    assert_eq!(variables["PGHOST"], "postgres");
    variables.insert("PGHOST".to_owned(), "127.0.0.1".to_owned());
    variables.insert("PGPORT".to_owned(), port.to_string());
    let output = pgflight(&["check", "--json"], &variables);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(
        (&report["role"], &report["database"]),
        (&"pgflight".into(), &"pgflight".into())
    );

    let given: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let server = Process::start_in(&given).await;
    let mut flight = Flight::reach(&server.http()).await;
    let rows = batch(vec![("id", longs(0..3))]);
    assert_eq!(flight.put(path(&["t"]), &[rows]).await.expect("a load")["committed"], 3);
    let landed = connect("pgflight", "pgflight").await;
    let count: i64 = landed
        .query_one("select count(*) from t", &[])
        .await
        .expect("it is there")
        .get(0);
    assert_eq!(count, 3);
    assert!(!server.log().contains(PASSWORD), "{}", server.log());
}

#[test]
fn a_password_that_was_pasted_into_the_connection_string_is_suspected_and_not_shown() {
    for command in ["check", "serve"] {
        let variables = BTreeMap::from([(
            "PGFLIGHT_CONNECTION_STRING".to_owned(),
            "postgresql://pgflight:s3cr/et?zwei@postgres:5432/pgflight?sslmode=disable".to_owned(),
        )]);
        let output = pgflight(&[command], &variables);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.status.success(), "{said}");
        assert!(
            said.contains("perhaps the password holds") && said.contains("PGPASSWORD"),
            "{said}"
        );
        assert!(
            !["s3cr", "zwei", "et?"].iter().any(|piece| said.contains(piece)),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_finds_no_postgres_at_its_start_says_so_once() {
    let server = Process::start("host=127.0.0.1 port=1 user=x dbname=x", &[]).await;
    server.logs("Postgres cannot be used yet").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let log = server.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    let about = |line: &&&str| line.contains("Postgres cannot be used yet") && line.contains("127.0.0.1:1");
    assert_eq!(warnings.iter().filter(about).count(), 1, "{log}");
}

/// Docker kills a check that takes too long, and what it had to say with it.
#[tokio::test(flavor = "multi_thread")]
async fn health_checks_leave_time_for_the_reason() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let uri = format!("postgresql://postgres@{}/postgres", silent.local_addr().expect("bound"));
    let admin = free_address().to_string();
    let server = Process::start(&uri, &[("admin_listen", &admin)]).await;
    let check = &compose()["services"]["pgflight"]["healthcheck"];
    let test = words(&check["test"]);
    let instruction = dockerfile();
    let instruction = instruction
        .lines()
        .find(|line| line.starts_with("HEALTHCHECK "))
        .expect("a health check");
    assert_eq!(exec_form(&dockerfile(), "HEALTHCHECK "), test[1..]);
    let limit = check["timeout"].as_str().expect("a duration");
    assert!(instruction.contains(&format!("--timeout={limit}")), "{instruction}");
    let begun = Instant::now();
    let variables = BTreeMap::from([("PGFLIGHT_ADMIN_LISTEN".to_owned(), admin)]);
    let arguments: Vec<String> = test[2..].to_vec();
    let asked = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        pgflight(&arguments, &variables)
    });
    let output = asked.await.expect("no panic");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("503") && said.contains("Postgres did not answer within"),
        "{said}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(seconds(limit)),
        "{:?}",
        begun.elapsed()
    );
    drop(server);
}

#[test]
fn the_service_stops_in_time_and_is_made_from_this_source() {
    let service = &compose()["services"]["pgflight"];
    assert_eq!(
        (&service["pull_policy"], &service["build"]),
        (&"build".into(), &".".into())
    );
    assert_eq!(service["read_only"], true);
    let output = pgflight(&["config", "print"], &BTreeMap::new());
    let printed: Value = serde_norway::from_slice(&output.stdout).expect("YAML");
    let drain = seconds(printed["shutdown"]["drain_timeout"].as_str().expect("a duration"));
    assert!(seconds(service["stop_grace_period"].as_str().expect("a duration")) > drain + 8);
    assert!(words(&service["tmpfs"]).iter().any(|mount| mount.starts_with("/tmp:")));
}

/// The container is read-only but for /tmp: without it the message says what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_kept_for_reading_names_the_temporary_directory() {
    let (_database, server, _) = crate::support::server::start().await;
    let mut child = Command::new(super::BINARY)
        .args(["load", "-", "--table", "t", "--to", &server.uri()])
        .env_clear()
        .env("TMPDIR", "/nonexistent/pgflight")
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let asked = tokio::task::spawn_blocking(move || {
        // It may have ended by then.
        drop(std::io::Write::write_all(&mut stdin, b"PAR1 and what a file holds"));
        drop(stdin);
        child.wait_with_output().expect("it ends")
    });
    let output = asked.await.expect("no panic");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("/nonexistent/pgflight") && said.contains("TMPDIR"),
        "{said}"
    );
}

#[test]
fn the_example_with_embeddings_hands_a_configuration_and_a_key_over() {
    let example = yaml("deploy/compose/embeddings.yaml");
    let service = &example["services"]["pgflight"];
    let config = service["environment"]["PGFLIGHT_CONFIG"].as_str().expect("a path");
    let mount = words(&service["volumes"]).remove(0);
    let (source, target) = mount.split_once(':').expect("source and target");
    assert_eq!(target, format!("{config}:ro"));
    let source = source
        .strip_prefix("./")
        .expect("from the directory of docker-compose.yml");
    let secret = words(&service["secrets"]).remove(0);
    let file = example["secrets"][secret.as_str()]["file"].as_str().expect("a file");
    assert_eq!(with_defaults(file), "./embedding.key");
    let variables = environment(&compose()["services"]["pgflight"], "pgflight");
    let printed = printed(source, &[(&format!("/run/secrets/{secret}"), "sk-hunter2")], &variables);
    for part in ["target_table_name: docs_vectors", "[redacted]", "0.0.0.0:8815"] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    assert!(read("docs/embeddings.md").contains("deploy/compose/embeddings.yaml"));
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
