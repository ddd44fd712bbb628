//! How much a room and a function may hold.
//!
//! A room has one purpose that its name tells; one that holds more than its share of the house has several. Lines of tests count,
//! because they have to be found and read as well.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::room;
use super::source::{Source, is_word, outside_tests};
use super::{File, is_test_file, rust_files};

/// A room has at most one line of so many.
const LARGEST_ROOM: usize = 4;
const LONGEST_FUNCTION: usize = 60;

/// Rooms above their share, with their lines.
fn large_rooms(files: &[File]) -> Vec<String> {
    let mut rooms = BTreeMap::new();
    for file in files {
        let source = Source::new(&file.path, "");
        *rooms.entry(room(source.module()).to_owned()).or_insert(0) += file.text.lines().count();
    }
    let all: usize = rooms.values().sum();
    rooms.retain(|_, lines| *lines * LARGEST_ROOM > all);
    let told = rooms
        .iter()
        .map(|(room, lines)| format!("{room} has {lines} of {all} lines"));
    told.collect()
}

/// Functions outside tests that are too long, from `fn` to the closing brace.
fn long_functions(file: &File) -> Vec<String> {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let source = Source::new(&file.path, &file.text);
    let code = outside_tests(source.code());
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let (before, function) = code.split_at(at);
        let name: String = function.chars().skip(3).take_while(|c| is_of_word(*c)).collect();
        let lines = lines_of_function(function);
        if !before.ends_with(is_of_word) && is_word(&name) && lines > LONGEST_FUNCTION {
            found.push(format!("{}: `{name}` has {lines} lines", file.path));
        }
    }
    found
}

/// Lines up to the closing brace, or to the semicolon where there is no body.
fn lines_of_function(code: &str) -> usize {
    // Arrays in the signature have semicolons of their own.
    let (mut lines, mut brackets, mut braces) = (1, 0usize, 0usize);
    for c in code.chars() {
        match c {
            '\n' => lines += 1,
            '(' | '[' if braces == 0 => brackets += 1,
            ')' | ']' if braces == 0 => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 && braces == 0 => break,
            '{' => braces += 1,
            '}' if braces <= 1 => break,
            '}' => braces -= 1,
            _ => {}
        }
    }
    lines
}

#[test]
fn no_room_holds_more_than_a_quarter_of_all_lines() {
    let found = large_rooms(&rust_files("src"));
    assert!(
        found.is_empty(),
        "split it by what its parts are for: {}",
        found.join(", ")
    );
}

#[test]
fn no_function_has_more_than_sixty_lines() {
    let files = rust_files("src");
    let judged = files.iter().filter(|file| !is_test_file(file));
    let found: Vec<String> = judged.flat_map(long_functions).collect();
    assert!(
        found.is_empty(),
        "cut them by what their parts do:\n{}",
        found.join("\n")
    );
}

/// The modules in the first column of the table in ARCHITECTURE.md.
fn mapped(page: &str) -> BTreeSet<&str> {
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    rows.flat_map(|cell| cell.split(['`', ',', ' ', '|']))
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn the_map_in_architecture_md_is_the_tree() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md"));
    let page = page.expect("the page is there");
    let files = rust_files("src");
    let modules: Vec<Source> = files.iter().map(|file| Source::new(&file.path, "")).collect();
    let tree: BTreeSet<&str> = modules
        .iter()
        .map(|source| room(source.module()))
        .filter(|room| !room.is_empty())
        .collect();
    assert_eq!(mapped(&page), tree);
    assert_eq!(
        mapped("| module | what |\n|---|---|\n| `a`, `b` | `c` |\n| d |"),
        BTreeSet::from(["a", "b"])
    );
}

fn file(path: &str, text: String) -> File {
    let path = format!("src/{path}");
    File { path, text }
}

#[test]
fn a_planted_room_that_is_too_large_is_found() {
    let lines = |count| "//! Line.\n".repeat(count);
    let mut files: Vec<File> = ["a/mod.rs", "a/b.rs", "c.rs", "d.rs", "e.rs"]
        .map(|path| file(path, lines(10)))
        .into();
    assert_eq!(large_rooms(&files), ["a has 20 of 50 lines"]);
    files[0].text = String::new();
    assert_eq!(large_rooms(&files), Vec::<String>::new());
    files.push(file("a/tests.rs", lines(1)));
    assert_eq!(large_rooms(&files), ["a has 11 of 41 lines"]);
}

#[test]
fn a_planted_function_that_is_too_long_is_found() {
    let function = |lines: usize| format!("{}let b = 1;\n}}\n", "let a = '{';\n".repeat(lines - 3));
    let judge = |text: String| long_functions(&file("a.rs", text)).len();
    let signature = "pub(crate) async fn long<const N: usize>(a: [u8; 3]) -> [u8; N] { // {\n";
    assert_eq!(judge(format!("{signature}{}", function(60))), 0);
    assert_eq!(judge(format!("{signature}{}", function(61))), 1);
    assert_eq!(
        judge(format!("impl A {{\nfn short(&self);\n{signature}{}}}", function(61))),
        1
    );
    assert_eq!(
        judge(format!("#[cfg(test)]\nmod tests {{\n{signature}{}}}", function(61))),
        0
    );
    assert_eq!(
        judge(format!(
            "#[cfg(test)]\nmod tests;\nuse a::b;\n{signature}{}",
            function(61)
        )),
        1,
        "what stands behind the tests counts"
    );
    assert_eq!(judge(format!("const A: fn (u8) = f;\n{}", "a();\n".repeat(70))), 0);
}
