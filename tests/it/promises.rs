//! docs/delivery.md names a test for each promise; a promise whose test is gone is not one.

use std::fs;
use std::path::Path;

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = text(&root.join("docs/delivery.md"));
    let mut proofs = 0;
    let rows = docs.lines().filter(|line| line.starts_with("| "));
    // Every second piece between backticks is in backticks.
    let named = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    for named in named.filter(|name| name.contains("::")) {
        check(root, named);
        proofs += 1;
    }
    assert!(proofs >= 60, "only {proofs} promises have a proof");
}

/// The test of that name is there, and is one; names that begin with `src/` are of the library.
pub(crate) fn check(root: &Path, named: &str) {
    let parts: Vec<&str> = named.split("::").collect();
    let (name, modules) = parts.split_last().expect("a path");
    let below = if named.starts_with("src/") { "" } else { "tests/it" };
    let mut file = root.join(below).join(modules.join("/")).with_extension("rs");
    if !file.exists() {
        file = file.with_extension("").join("mod.rs");
    }
    let source = text(&file);
    let at = source.find(&format!("fn {name}("));
    let at = at.unwrap_or_else(|| panic!("{named}: no such test in {}", file.display()));
    let before = source.get(..at).expect("a boundary");
    let attribute = before
        .lines()
        .rev()
        .nth(usize::from(!before.ends_with('\n')))
        .unwrap_or_default();
    assert!(attribute.contains("test"), "{named} is not a test: {attribute}");
}
