//! The shape of the code, kept by a test: who may import whom, how long a file may be, what must not be written; below this, how
//! much a room and a function may hold (`rooms`) and which files may lead to each other (`circles`).
//! The rules are the two tables below; ARCHITECTURE.md gives their reasons. This reads the text of the files and knows only
//! as much Rust as that takes, so it must stay simple: a path is an edge, whatever it is used for.

mod circles;
mod graph;
mod losses;
mod rooms;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::{Source, outside_tests};

/// Modules (longest match counts) and what they may name of this crate besides themselves.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("telemetry", &["config", "model"]),
    ("ingest", &["model", "telemetry::names"]),
    ("literal", &["model"]),
    // The two directions share `wire`, and neither knows the other; what was decoded is encoded again in tests only.
    ("codec", &["model", "literal"]),
    ("codec::encode", &["model", "literal", "codec::wire"]),
    ("codec::decode", &["model", "literal", "codec::wire"]),
    (
        "codec::decode::tests",
        &["model", "codec::wire", "codec::decode", "codec::encode"],
    ),
    ("sql", &["model"]),
    ("planner", &["model", "sql"]),
    (
        "postgres",
        &[
            "model",
            "config",
            "ingest::aside",
            "ingest::ports",
            "ingest::error",
            "ingest::request",
            "telemetry::names",
            "codec",
            "planner",
            "sql",
        ],
    ),
    ("embed", &["model", "config", "ingest::ports", "telemetry::names"]),
    ("formats", &["model"]),
    ("server", &["model", "config", "ingest", "telemetry", "formats"]),
    ("client", &["model", "formats"]),
    ("cli", &["model", "config", "client", "formats"]),
    (
        "app",
        &[
            "model",
            "config",
            "ingest",
            "postgres",
            "server",
            "embed",
            "client",
            "cli",
            "telemetry",
        ],
    ),
];

/// Crates that do I/O or speak a protocol, and the only modules that may name them.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("tokio_postgres", &["postgres", "app::demo"]),
    ("deadpool_postgres", &["postgres"]),
    ("tokio_postgres_rustls", &["postgres"]),
    ("postgres_types", &["postgres", "codec::encode::tests"]),
    (
        "pgvector",
        &[
            "ingest::ports",
            "embed",
            "postgres",
            "app::demo",
            "codec::encode::tests",
        ],
    ),
    ("async_openai", &["embed"]),
    ("reqwest", &["embed"]),
    ("secrecy", &["embed"]),
    ("tonic", &["server", "client"]),
    ("tonic_health", &["server", "client"]),
    ("prost", &["server", "client"]),
    ("arrow_flight", &["server", "client"]),
    ("axum", &["server"]),
    ("rustls", &["server", "client", "postgres", "embed"]),
    ("hyper_util", &["embed", "server"]),
    ("ring", &["server::auth"]),
    ("tokio_rustls", &["embed", "server"]),
    ("x509_cert", &["server"]),
    ("clap", &["cli", "main"]),
    ("tracing_subscriber", &["telemetry"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("indicatif", &["cli", "client", "app"]),
    ("tpchgen", &["client", "app"]),
    ("tpchgen_arrow", &["client", "app"]),
    ("parquet", &["formats"]),
    (
        "tokio",
        &[
            "ingest",
            "postgres",
            "embed",
            "server",
            "client",
            "cli",
            "app",
            "telemetry",
            "main",
        ],
    ),
];

/// Modules without I/O, without `async` and without a clock: same input, same answer.
const PURE: &[&str] = &["model", "literal", "codec", "sql", "planner"];
const NOT_IN_PURE: &[&str] = &[
    "async fn",
    "async move",
    ".await",
    "tokio::",
    "tokio_postgres::",
    "deadpool_postgres::",
    "futures::",
    "tracing::",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
];

const LONGEST_FILE: usize = 400;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

#[test]
fn modules_import_only_what_the_map_allows() {
    let mut found = Vec::new();
    for file in rust_files("src") {
        found.extend(forbidden_edges(&Source::new(&file.path, &file.text)));
    }
    assert!(
        found.is_empty(),
        "forbidden by the tables in tests/it/architecture.rs:\n{}",
        found.join("\n")
    );
}

#[test]
fn every_file_is_short_says_what_it_is_for_and_has_a_name_that_tells() {
    let mut found = Vec::new();
    for file in rust_files("src")
        .into_iter()
        .chain(rust_files("tests"))
        .chain(rust_files("benches"))
    {
        found.extend(form_faults(&file.path, &file.text));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// File, text, what has to be found in it.
#[rustfmt::skip]
const PLANTED: &[(&str, &str, &str)] = &[
    ("src/server/flight/plain.rs", "use crate::postgres::pool::Pool;", "server::flight::plain names crate::postgres::pool::Pool"),
    ("src/server/mod.rs", "use crate::{model::ident::Ident, embed};", "server names crate::embed"),
    ("src/ingest/session.rs", "use crate::{\n model,\n config::{Config, dsn},\n};", "ingest::session names crate::config::Config"),
    ("src/postgres/pool.rs", "use crate::ingest::session::Session;", "postgres::pool names crate::ingest::session::Session"),
    ("src/codec/encode/frame.rs", "use crate::postgres::pool::Pool;", "codec::encode::frame names crate::postgres::pool::Pool"),
    ("src/codec/encode/frame.rs", "use super::super::decode::TableDecoder;", "codec::encode::frame names crate::codec::decode::TableDecoder"),
    ("src/codec/decode/frame.rs", "use crate::codec::encode::CopyPlan;", "codec::decode::frame names crate::codec::encode::CopyPlan"),
    ("src/literal/wkb.rs", "use crate::codec::encode::CellReason;", "literal::wkb names crate::codec::encode::CellReason"),
    ("src/planner/plan.rs", "use crate::postgres::migrate::ensure;", "planner::plan names crate::postgres::migrate::ensure"),
    ("src/planner/plan.rs", "use crate::codec::HEADER;", "planner::plan names crate::codec::HEADER"),
    ("src/planner/merge.rs", "use tokio_postgres::Client;", "planner::merge names the crate tokio_postgres"),
    ("src/client/files.rs", "fn f(_: &crate::server::Status) {}", "client::files names crate::server::Status"),
    ("src/model/mod.rs", "mod tests { use super::super::config; }", "model names crate::config"),
    ("src/app/mod.rs", "fn f() { tokio_postgres::connect(); }", "app names the crate tokio_postgres"),
    ("src/ingest/ports.rs", "use tonic::Status;", "ingest::ports names the crate tonic"),
    ("src/config/mod.rs", "use {clap::Parser};", "config names the crate clap"),
    ("src/model/table.rs", "pub async fn f() {}", "model::table is pure, but has `async fn`"),
    ("src/codec/encode/mod.rs", "let now = std::time::Instant::now();", "codec::encode is pure, but has `Instant::now`"),
    ("src/sql/state.rs", "fn f() { std::thread::yield_now() }", "sql::state is pure, but has `std::thread`"),
    ("src/planner/ddl.rs", "async fn f() {}", "planner::ddl is pure, but has `async fn`"),
    ("src/novelty/mod.rs", "", "novelty is in no row of MAY_USE"),
];

/// File and text without any fault.
#[rustfmt::skip]
const FITTING: &[(&str, &str)] = &[
    ("src/server/mod.rs", "// use crate::postgres::Pool;\nlet text = \"crate::postgres::pool and tokio_postgres::x\";"),
    ("src/config/mod.rs", "mod tests { use super::source::Source; } use crate::model::{self, ident::Ident};"),
    ("src/codec/encode/types/text.rs", "use super::super::frame::Frame; use crate::{codec::wire::HEADER, literal};"),
    ("src/postgres/mod.rs", "use crate::ingest::{error::Error, ports::{Destination, Load}}; use crate::codec::encode;"),
    ("src/postgres/migrate/run.rs", "pub async fn apply() { crate::postgres::pool::get().await }"),
    ("src/app/mod.rs", "use crate::{postgres::Postgres, server::{Server, flight}, embed};"),
    ("src/model/ident.rs", "let c = '\\''; fn f<'a>(x: &'a str) {} let s = r#\"crate::server::x \" \"#;"),
];

#[test]
fn a_planted_fault_is_found() {
    for (path, text, expected) in PLANTED {
        let found = forbidden_edges(&Source::new(path, text));
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "{path} {text:?}: {expected:?} is not in {found:?}"
        );
    }
    for (path, text) in FITTING {
        assert_eq!(
            forbidden_edges(&Source::new(path, text)),
            Vec::<String>::new(),
            "{path} {text:?}"
        );
    }
}

#[test]
fn a_planted_fault_of_form_is_found() {
    let long = format!("//! Purpose.\n{}", "let a = 1;\n".repeat(LONGEST_FILE));
    for (path, text, expected) in [
        ("src/model/a.rs", long.as_str(), "401 lines"),
        ("src/model/a.rs", "use std::fmt;\n", "`//!`"),
        ("src/model/utils.rs", "//! Purpose.\n", "`utils`"),
        ("src/helpers/a.rs", "//! Purpose.\n", "`helpers`"),
        ("src/model/mod.rs", "//! Purpose.\nmod common;\n", "`common`"),
        (
            "src/model/a.rs",
            "//! Purpose.\nfn f() { x.unwrap(); }\n",
            "`.unwrap()`",
        ),
        (
            "src/model/a.rs",
            "//! Purpose.\n#[allow(dead_code)]\nfn f() {}\n",
            "`allow(`",
        ),
    ] {
        let found = form_faults(path, text);
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "{path}: {expected} is not in {found:?}"
        );
    }
    let tested = "//! Purpose.\nfn f() {}\n#[cfg(test)]\nmod tests {\n    fn t() { x.unwrap(); }\n}\n";
    assert_eq!(form_faults("src/model/a.rs", tested), Vec::<String>::new());
    let generated = format!(
        "// This file is @generated by prost-build.\n{}",
        "let a = 1;\n".repeat(LONGEST_FILE)
    );
    assert_eq!(
        form_faults("src/server/cloudquery/pb.rs", &generated),
        Vec::<String>::new()
    );
}

fn forbidden_edges(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some((zone, may_use)) = rule_for(module, MAY_USE) else {
        // lib.rs and main.rs only say what there is; a new top-level module needs a row of its own.
        let top = module.is_empty() || module == "main";
        return if top {
            Vec::new()
        } else {
            vec![format!("{module} is in no row of MAY_USE: give it one")]
        };
    };
    let mut found = Vec::new();
    for path in source.crate_paths() {
        // A top-level module has all of itself; a part with a row of its own has only what no other row takes out of it.
        let owner = rule_for(&path, MAY_USE).map(|(owner, _)| owner);
        let own = is_within(&path, zone) && (!zone.contains("::") || owner == Some(zone));
        if !own && !may_use.iter().any(|allowed| is_within(&path, allowed)) {
            found.push(format!(
                "{module} names crate::{path}, but may use only {may_use:?} and itself"
            ));
        }
    }
    for (name, zones) in ONLY_IN {
        if source.names_crate(name) && !zones.iter().any(|zone| is_within(module, zone)) {
            found.push(format!("{module} names the crate {name}, which belongs to {zones:?}"));
        }
    }
    let pure = PURE.iter().any(|zone| is_within(module, zone));
    if pure && !is_test_module(module) {
        let code = outside_tests(source.code());
        for word in NOT_IN_PURE.iter().filter(|word| code.contains(**word)) {
            found.push(format!("{module} is pure, but has `{word}`"));
        }
    }
    found
}

fn form_faults(path: &str, text: &str) -> Vec<String> {
    if text.lines().take(3).any(|line| line.contains("@generated")) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        found.push(format!(
            "{path} has {lines} lines, more than {LONGEST_FILE}: split it by what its parts are for"
        ));
    }
    if !text.starts_with("//!") {
        found.push(format!(
            "{path} does not open with `//!`: say what it is for and what it must not do"
        ));
    }
    let source = Source::new(path, text);
    let names = path.split(['/', '.']).chain(source.declared_modules());
    for name in names.filter(|name| EMPTY_NAMES.contains(name)) {
        found.push(format!("{path}: `{name}` says nothing about what is inside"));
    }
    if path.starts_with("src/") {
        let is_tests = path.ends_with("tests.rs") || path.contains("/tests/");
        let code = if is_tests {
            String::new()
        } else {
            outside_tests(source.code())
        };
        if code.contains(".unwrap()") {
            found.push(format!(
                "{path} has `.unwrap()`: return an error, or `expect` with the reason why it cannot fail"
            ));
        }
        if source.code().contains("#[allow(") || source.code().contains("#![allow(") {
            found.push(format!("{path} has `allow(`: write #[expect(.., reason = \"..\")]"));
        }
    }
    found
}

/// The row with the longest module name that `module` is within.
fn rule_for<'a>(module: &str, table: &'a [(&'a str, &'a [&'a str])]) -> Option<&'a (&'a str, &'a [&'a str])> {
    table
        .iter()
        .filter(|(zone, _)| is_within(module, zone))
        .max_by_key(|(zone, _)| zone.len())
}

/// `a::tests` and what is below it: tests may read golden files and look at the environment.
fn is_test_module(module: &str) -> bool {
    module.split("::").any(|part| part == "tests")
}

fn is_within(path: &str, zone: &str) -> bool {
    path.strip_prefix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

struct File {
    path: String,
    text: String,
}

/// Whether a file below src is compiled for tests only, or generated.
fn is_test_file(file: &File) -> bool {
    let stem = file.path.trim_end_matches(".rs");
    let of_tests = stem.split('/').any(|part| part == "tests") || stem.ends_with("_tests");
    of_tests || file.text.lines().take(3).any(|line| line.contains("@generated"))
}

fn rust_files(directory: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending: Vec<PathBuf> = vec![root.join(directory)];
    let mut files = Vec::new();
    while let Some(directory) = pending.pop().filter(|directory| directory.is_dir()) {
        for entry in fs::read_dir(&directory).expect("the working tree can be read") {
            let path = entry.expect("the working tree can be read").path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source files are UTF-8");
                let path = path
                    .strip_prefix(root)
                    .expect("files are below the root")
                    .display()
                    .to_string();
                files.push(File { path, text });
            }
        }
    }
    files
}
