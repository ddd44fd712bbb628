//! JavaScript peers, with packages at pinned versions, each in a directory outside the tree: a CloudQuery source on the published SDK, and the
//! example for Flight SQL.
//!
//! A directory is made once per cache, by whichever test process comes first, and none is ever changed. A test that needs it is
//! listed as ignored where there is no Node.js (`build.rs`), and fails where it cannot be made.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::cluster;

type Files = [(&'static str, &'static str); 3];

const SOURCE: Files = [
    ("package.json", include_str!("../../peers/javascript/package.json")),
    (
        "package-lock.json",
        include_str!("../../peers/javascript/package-lock.json"),
    ),
    ("source.mjs", include_str!("../../peers/javascript/source.mjs")),
];
const TOUR: Files = [
    (
        "package.json",
        include_str!("../../../examples/flight-sql-node/package.json"),
    ),
    (
        "package-lock.json",
        include_str!("../../../examples/flight-sql-node/package-lock.json"),
    ),
    ("tour.mjs", include_str!("../../../examples/flight-sql-node/tour.mjs")),
];

/// `node`, and the source that it runs.
pub(crate) fn source() -> Command {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    program(&MADE, SOURCE)
}

/// `node`, and the example for Flight SQL.
pub(crate) fn tour() -> Command {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    program(&MADE, TOUR)
}

fn program(made: &OnceLock<PathBuf>, files: Files) -> Command {
    let mut command = Command::new("node");
    command.arg(made.get_or_init(|| make(files)).join(files[2].0));
    command
}

fn make(files: Files) -> PathBuf {
    let cache = PathBuf::from(output_of(cluster::script().arg("cache")));
    fs::create_dir_all(&cache).unwrap_or_else(|error| panic!("cannot make the cache {}: {error}", cache.display()));
    let version = output_of(Command::new("node").arg("--version"));
    let digest = Sha256::digest(format!("{version}\n{files:?}"));
    let name = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let directory = cache.join(format!("javascript-{name}"));
    let complete = directory.join("complete");

    let lock = File::create(cache.join("javascript.lock")).expect("the cache can be written to");
    lock.lock().expect("the file system of the cache has locks");
    if !complete.exists() {
        eprintln!("pgflight: bringing the packages of {} (up to 60 MB, once)", files[2].0);
        fs::create_dir_all(&directory).expect("the cache can be written to");
        for (name, content) in files {
            fs::write(directory.join(name), content).expect("the cache can be written to");
        }
        let quietly = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        output_of(Command::new("npm").args(quietly).current_dir(&directory));
        File::create(complete).expect("the cache can be written to");
    }
    directory
}

fn output_of(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "tests with Node.js need npm, and a registry that it reaches.\n{command:?} failed:\n{complaint}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
