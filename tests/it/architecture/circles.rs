//! A file can be read without those that read it: no circle of files within a room is longer than a pair.
//!
//! A pair is a type and its own parts, told in two files. Longer ones grow: whoever wants to know one file of them has to know all.

use super::graph::Graph;
use super::{File, is_test_file, rust_files};

const LONGEST_CIRCLE: usize = 2;

fn long_circles(files: &[File]) -> Vec<String> {
    let judged = files.iter().filter(|file| !is_test_file(file));
    let graph = Graph::of(judged.map(|file| (file.path.as_str(), file.text.as_str())));
    let long = graph
        .circles()
        .into_iter()
        .filter(|circle| circle.len() > LONGEST_CIRCLE);
    long.map(|circle| {
        let lines = circle.iter().map(|module| {
            let others: Vec<&str> = graph.named_by(module).filter(|other| circle.contains(other)).collect();
            format!("  {module} names {}", others.join(", "))
        });
        let lines: Vec<String> = lines.collect();
        format!("{} files lead to each other:\n{}", circle.len(), lines.join("\n"))
    })
    .collect()
}

#[test]
fn no_circle_of_more_than_two_files_runs_within_a_room() {
    let found = long_circles(&rust_files("src"));
    assert!(
        found.is_empty(),
        "move what they share into a file of its own, or hand in what a part needs:\n{}",
        found.join("\n")
    );
}

fn files(planted: &[(&str, &str)]) -> Vec<File> {
    let file = |(path, text): &(&str, &str)| File {
        path: format!("src/{path}"),
        text: (*text).to_owned(),
    };
    planted.iter().map(file).collect()
}

/// Files that lead to each other in a circle of three, whatever way they name each other.
#[rustfmt::skip]
const PLANTED: &[&[(&str, &str)]] = &[
    &[("r/a.rs", "use super::b::B;"), ("r/b.rs", "use crate::r::{c::C, x};"), ("r/c.rs", "fn f() -> super::a::A {}")],
    // Through the name of a module, as a registry names types.
    &[("r/a.rs", "use super::types;\nfn f() { types::b::plan(); types::c::plan() }"), ("r/types/mod.rs", "pub mod b; pub mod c;"),
      ("r/types/b.rs", "use crate::r::a;"), ("r/types/c.rs", "use super::b; use super::super::a::plan;")],
    // Through a name that another file passes on.
    &[("r/mod.rs", "mod a; mod b; mod c; pub use a::A; pub(crate) use b::{B as Other};"), ("r/a.rs", "use super::Other;"),
      ("r/b.rs", "use super::c::C;"), ("r/c.rs", "use crate::r::A;")],
    // Through what the parent itself has.
    &[("r/mod.rs", "mod a; mod b;\n#[cfg(test)]\nmod tests;\nfn f() { a::g(); b::g() }"), ("r/a.rs", "use super::f;"), ("r/b.rs", "use super::f;")],
    &[("r/mod.rs", "mod a; mod b; use b::B; struct S;"), ("r/a.rs", "fn f(_: super::S) {}"), ("r/b.rs", "use super::a as other; fn f() { other::f() }")],
];

/// Files without a circle that counts.
#[rustfmt::skip]
const FITTING: &[&[(&str, &str)]] = &[
    // A pair.
    &[("r/a.rs", "use super::b::B;"), ("r/b.rs", "use super::a::A; use super::c::C;"), ("r/c.rs", "")],
    // Who may see something, what there is, and what is passed on.
    &[("r/mod.rs", "mod a; mod b; pub use a::A; pub(crate) use b::B;"), ("r/a.rs", "use super::b::B; pub(in crate::r) struct A;"),
      ("r/b.rs", "pub(super) struct B;")],
    // Tests, comments and texts.
    &[("r/a.rs", "use super::b::B;"), ("r/b.rs", "use super::c::C;"), ("r/c.rs", "// super::a::A\nlet a = \"super::a\";\n#[cfg(test)]\nmod tests { use super::super::a; }")],
    &[("r/a.rs", "use super::b::B;"), ("r/b.rs", "use super::tests::C;"), ("r/tests.rs", "use super::a::A; use super::b::B;")],
    // Rooms have a table of their own.
    &[("r/a.rs", "use crate::s::b::B;"), ("s/b.rs", "use crate::t::c::C;"), ("t/c.rs", "use crate::r::a::A;")],
];

#[test]
fn a_planted_circle_is_found() {
    for planted in PLANTED {
        assert_eq!(long_circles(&files(planted)).len(), 1, "{planted:?}");
    }
    for fitting in FITTING {
        assert_eq!(long_circles(&files(fitting)), Vec::<String>::new(), "{fitting:?}");
    }
}
