//! `pgflight check` against real servers: usable, and each thing that makes it unusable.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::cluster::{Cluster, versions};
use crate::support::database::Database;

fn check(uri: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pgflight"))
        .args(["check", "--connection-string", uri])
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the program starts")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_fresh_database_of_every_version_is_usable() {
    for version in versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        let output = check(database.uri(), &["--json"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let report = report(&output);
        assert_eq!(report["database"], database.name());
        assert_eq!(
            (&report["schema"], &report["may_create_table"]),
            (&"public".into(), &true.into())
        );
        assert_eq!(
            (&report["encrypted"], &report["pooler"]),
            (&false.into(), &"none".into())
        );
        assert!(
            report["server_version"]
                .as_str()
                .expect("a version")
                .starts_with(&version.to_string())
        );
        assert!(report["vector_available"].is_string() && report["vector_installed"].is_null());
        let people = String::from_utf8(check(database.uri(), &[]).stdout).expect("UTF-8");
        assert!(
            people.ends_with("usable\n") && people.contains("may create tables   yes"),
            "{people}"
        );
    }
}

#[tokio::test]
async fn what_makes_loads_impossible_is_said_with_its_remedy() {
    let database = Database::create().await;
    let role = format!("{}_weak", database.name());
    database
        .execute(&format!(
            "create role {role} login; revoke create on schema public from public, {role}; create schema closed"
        ))
        .await;
    let as_role = format!(
        "{}{}user={role}",
        database.uri(),
        if database.uri().contains('?') { "&" } else { "?" }
    );
    for (uri, arguments, part) in [
        (
            as_role.as_str(),
            vec![],
            "may not create tables in schema \"public\"; as its owner run: grant usage, create on schema \"public\"",
        ),
        (
            as_role.as_str(),
            vec!["--schema", "nowhere"],
            "schema \"nowhere\" does not exist and role",
        ),
        (
            as_role.as_str(),
            vec!["--schema", "closed"],
            "may not create tables in schema \"closed\"",
        ),
    ] {
        let output = check(uri, &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(part), "{said}");
    }
    let people = String::from_utf8(check(&as_role, &[]).stdout).expect("UTF-8");
    let lost =
        "resumable streams and rejects will fail, and a load whose COMMIT is not answered may end with COMMIT_UNKNOWN";
    assert!(people.contains(lost), "{people}");
    database.execute(&format!("drop role {role}")).await;
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_ends_with_one_sentence() {
    let database = Database::create().await;
    let missing = database.uri().replace(database.name(), "no_such_database");
    for (uri, code, part) in [
        (missing.as_str(), 1, "database \"no_such_database\" does not exist"),
        (
            "host=127.0.0.1 port=1 user=x",
            1,
            "cannot reach Postgres at 127.0.0.1:1",
        ),
        (
            "host=a user=x port=0",
            2,
            "port is \"0\"; allowed: a number from 1 to 65535",
        ),
    ] {
        let output = check(uri, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{said}");
        assert!(said.contains(part), "{said}");
    }
}
