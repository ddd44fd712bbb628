//! Which files name which. A name counts where it is said (through `crate`, `super` or `self`, through a module that the file declares
//! or a name that it imports) and leads to the file that has it: `pub use` only passes names on, and `mod` only says what there is.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, is_word, outside_tests, tokens};

/// Steps from one `pub use` to the next that are followed.
const MOST_STEPS: usize = 8;

type Path = Vec<String>;

/// Files by their modules, and the files that each of them names.
pub(super) struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

/// What one file says.
#[derive(Default)]
struct Said {
    named: Vec<Path>,
    /// Names that it passes on, and where they come from.
    passed_on: BTreeMap<String, Path>,
}

impl Graph {
    /// Of these files (path and text), which have no tests among them.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let sources: BTreeMap<String, String> = files
            .into_iter()
            .map(|(path, text)| {
                let source = Source::new(path, text);
                (source.module().to_owned(), outside_tests(source.code()))
            })
            .collect();
        let known: BTreeSet<&str> = sources.keys().map(String::as_str).collect();
        let said: BTreeMap<&str, Said> = sources
            .iter()
            .map(|(module, code)| (module.as_str(), Reader::new(module, code, &known).read()))
            .collect();
        let edges = said.iter().map(|(module, own)| {
            let owners = own.named.iter().filter_map(|path| owner(path, &said));
            let others = owners.filter(|owner| owner != module && !owner.is_empty());
            ((*module).to_owned(), others.collect())
        });
        Self { edges: edges.collect() }
    }

    /// Circles within rooms: sets of files of one room that all lead to each other, without those of a single file.
    pub(super) fn circles(&self) -> Vec<Vec<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> = self
            .edges
            .keys()
            .map(|module| (module.as_str(), self.reached_from(module)))
            .collect();
        let mut circles = BTreeSet::new();
        for (module, reaches) in &reached {
            let back = reaches.iter().filter(|other| reached[*other].contains(module));
            let circle: Vec<&str> = back.copied().collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// All files of the same room that a file leads to; itself where a way leads back.
    fn reached_from(&self, start: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut pending = vec![start];
        while let Some(module) = pending.pop() {
            for other in self.edges.get(module).into_iter().flatten() {
                if room(other) == room(start) && reached.insert(other.as_str()) {
                    pending.push(other);
                }
            }
        }
        reached
    }

    /// What one file names of its own room, for messages.
    pub(super) fn named_by(&self, module: &str) -> impl Iterator<Item = &str> {
        self.edges.get(module).into_iter().flatten().map(String::as_str)
    }
}

/// The first name of a module's path.
pub(super) fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// The file that has what a path names.
fn owner(path: &[String], said: &BTreeMap<&str, Said>) -> Option<String> {
    let mut path = path.to_vec();
    for _ in 0..MOST_STEPS {
        let length = (0..=path.len())
            .rev()
            .find(|end| said.contains_key(path[..*end].join("::").as_str()))?;
        let module = path[..length].join("::");
        let passed_on = path
            .get(length)
            .and_then(|name| said.get(module.as_str())?.passed_on.get(name));
        match passed_on {
            Some(origin) if *origin != path => {
                let rest = path.split_off(length + 1);
                path = origin.clone();
                path.extend(rest);
            }
            _ => return Some(module),
        }
    }
    None
}

struct Reader<'a> {
    module: Path,
    tokens: Vec<&'a str>,
    known: &'a BTreeSet<&'a str>,
    imported: BTreeMap<String, Path>,
    said: Said,
}

impl<'a> Reader<'a> {
    fn new(module: &str, code: &'a str, known: &'a BTreeSet<&'a str>) -> Self {
        Self {
            module: module
                .split("::")
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            tokens: without_visibility(tokens(code)),
            known,
            imported: BTreeMap::new(),
            said: Said::default(),
        }
    }

    fn token(&self, at: usize) -> &'a str {
        self.tokens.get(at).copied().unwrap_or_default()
    }

    fn read(mut self) -> Said {
        // Imports first: they hold for the whole file, wherever they stand.
        let starts: Vec<usize> = (0..self.tokens.len()).filter(|at| self.tokens[*at] == "use").collect();
        for at in starts {
            self.import(at);
        }
        for at in 0..self.tokens.len() {
            let is_head = self.token(at + 1) == "::" && (at == 0 || self.tokens[at - 1] != "::");
            if is_head && (at == 0 || self.tokens[at - 1] != "use") {
                self.name(at);
            }
        }
        self.said
    }

    /// A path within the code.
    fn name(&mut self, head: usize) {
        let Some((mut path, mut at)) = self.base(head) else {
            return;
        };
        while self.token(at) == "::" && is_word(self.token(at + 1)) {
            path.push(self.token(at + 1).to_owned());
            at += 2;
        }
        self.said.named.push(path);
    }

    fn import(&mut self, at: usize) {
        let passes_on = at > 0 && self.tokens[at - 1] == "pub";
        let Some((base, next)) = self.base(at + 1) else {
            return;
        };
        let mut leaves = Vec::new();
        self.leaves(base, next, &mut leaves);
        for (path, name) in leaves {
            if passes_on {
                self.said.passed_on.insert(name, path);
            } else {
                self.imported.insert(name, path.clone());
                self.said.named.push(path);
            }
        }
    }

    /// Where a path begins, and the token behind that; nothing for paths into other crates.
    fn base(&self, at: usize) -> Option<(Path, usize)> {
        match self.token(at) {
            "crate" => Some((Path::new(), at + 1)),
            "self" => Some((self.module.clone(), at + 1)),
            "super" => {
                let mut end = at + 1;
                let mut base = self.module.clone();
                base.pop();
                while self.token(end) == "::" && self.token(end + 1) == "super" {
                    base.pop();
                    end += 2;
                }
                Some((base, end))
            }
            name => {
                let mut child = self.module.clone();
                child.push(name.to_owned());
                let found = match self.known.contains(child.join("::").as_str()) {
                    true => Some(child),
                    false => self.imported.get(name).cloned(),
                };
                found.map(|path| (path, at + 1))
            }
        }
    }

    /// The leaves of a tree behind `base`, each with the name that it gets here; answers the token behind it.
    fn leaves(&self, base: Path, mut at: usize, found: &mut Vec<(Path, String)>) -> usize {
        let mut path = base;
        while self.token(at) == "::" {
            at += 1;
            match self.token(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.token(at), "}" | "") {
                        at = match self.token(at) {
                            "," => at + 1,
                            "self" => self.leaf(path.clone(), at + 1, found),
                            name => {
                                let mut inner = path.clone();
                                inner.push(name.to_owned());
                                self.leaves(inner, at + 1, found)
                            }
                        };
                    }
                    return at + 1;
                }
                name => {
                    path.push(name.to_owned());
                    at += 1;
                }
            }
        }
        self.leaf(path, at, found)
    }

    fn leaf(&self, path: Path, at: usize, found: &mut Vec<(Path, String)>) -> usize {
        let renamed = self.token(at) == "as";
        let own = path.last().cloned().unwrap_or_default();
        let name = if renamed { self.token(at + 1).to_owned() } else { own };
        found.push((path, name));
        if renamed { at + 2 } else { at }
    }
}

/// `pub` for every `pub(..)`: who may see something is not who uses it.
fn without_visibility(tokens: Vec<&str>) -> Vec<&str> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        kept.push(token);
        if token == "pub" && rest.peek() == Some(&"(") {
            rest.by_ref().find(|token| *token == ")");
        }
    }
    kept
}
