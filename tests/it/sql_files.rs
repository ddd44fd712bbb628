//! `sql/`: every file is used exactly once and understood by every supported server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;

fn sql_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("sql/ is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sql_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    sql_files(&root.join("sql"), &mut paths);
    paths.sort();
    assert!(!paths.is_empty());
    let file = |path: PathBuf| {
        let name = path.strip_prefix(root).expect("a file of ours").display().to_string();
        (name, fs::read_to_string(path).expect("text"))
    };
    paths.into_iter().map(file).collect()
}

#[test]
fn every_sql_file_is_referenced_once_and_says_what_it_is_for() {
    let queries = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/postgres/queries.rs")).unwrap();
    for (name, text) in all() {
        let uses = queries.matches(&format!("include_str!(\"../../{name}\")")).count();
        assert_eq!(uses, 1, "{name} is referenced {uses} times in src/postgres/queries.rs");
        assert!(
            text.starts_with("-- "),
            "{name} opens with a comment that says what it is for"
        );
    }
}

#[tokio::test]
async fn every_sql_file_is_prepared_by_every_server() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        // Tables of ours are made by the numbered files, which only one run after another can prepare.
        let makes_tables = |name: &str| name.starts_with("sql/state/0");
        database.execute("create schema pgflight").await;
        for (_, text) in all().into_iter().filter(|(name, _)| makes_tables(name)) {
            database.execute(&text).await;
        }
        for (name, text) in all() {
            if makes_tables(&name) {
                continue;
            }
            if let Err(error) = database.client().prepare(&text).await {
                panic!("{name} on PostgreSQL {version}: {error:?}");
            }
        }
    }
}

/// The decided table of SQLSTATEs has every code that a server under test can raise, as the server's own list says.
#[test]
fn every_sqlstate_of_every_server_is_decided() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql/state/codes.txt");
    let table = fs::read_to_string(table).expect("the table");
    let decided: BTreeSet<&str> = table.lines().filter_map(code_of).collect();
    for &version in cluster::versions() {
        let config = Command::new(Cluster::shared(version).address().bin_dir.join("pg_config"))
            .arg("--sharedir")
            .output();
        let share = String::from_utf8(config.expect("pg_config is with the server").stdout).expect("a path");
        let list = Path::new(share.trim()).join("errcodes.txt");
        let list = fs::read_to_string(&list).unwrap_or_else(|error| panic!("{}: {error}", list.display()));
        let known: BTreeSet<&str> = list.lines().filter_map(code_of).collect();
        assert!(known.len() > 250, "{version} knows {} codes", known.len());
        let missing: Vec<_> = known.difference(&decided).collect();
        assert!(
            missing.is_empty(),
            "PostgreSQL {version} has codes that are not decided: {missing:?}"
        );
    }
}

/// The code at the start of a line, in our table as in the server's list.
fn code_of(line: &str) -> Option<&str> {
    let code = line.split_whitespace().next()?;
    let is_code = code.len() == 5
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_code.then_some(code)
}
