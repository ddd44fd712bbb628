//! The image: a fitting toolchain, every file that is needed and no other, dependencies in a layer of their own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::{dockerfile, read};

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
            .map(|path| path.trim_matches('"').into())
            .filter(|path: &PathBuf| !stubs().contains(path)),
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

/// What the Dockerfile writes before it has the sources.
fn stubs() -> BTreeSet<PathBuf> {
    let directory = std::env::temp_dir().join(format!("pgflight-it-stubs-{:016x}", fastrand::u64(..)));
    fs::create_dir(&directory).expect("a new name in the directory for temporary files");
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::write(directory.join(file), read(file)).expect("the directory can be written");
    }
    let dockerfile = dockerfile();
    let step = dockerfile.lines().find_map(|line| line.strip_prefix("RUN "));
    let written = Command::new("sh")
        .args(["-ec", step.expect("the Dockerfile runs something")])
        .current_dir(&directory)
        .status()
        .expect("sh starts");
    assert!(written.success());
    // Cargo reads the whole manifest, and refuses one whose targets are not there.
    let read = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--locked",
            "--format-version",
            "1",
        ])
        .current_dir(&directory)
        .output()
        .expect("cargo starts");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let (mut found, mut pending) = (BTreeSet::new(), vec![directory.clone()]);
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .expect("it is ours")
                    .map(|entry| entry.expect("it is ours").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path.strip_prefix(&directory).expect("it is below").to_owned());
        }
    }
    fs::remove_dir_all(&directory).expect("it is ours");
    found
}

#[test]
fn dependencies_are_built_from_stubs_in_a_layer_that_changes_with_the_manifest_only() {
    assert!(stubs().len() >= 7, "{:?}", stubs());
    let dockerfile = dockerfile();
    let steps: Vec<&str> = dockerfile
        .lines()
        .filter(|line| line.starts_with("COPY ") || line.starts_with("RUN ") || line.starts_with("FROM "))
        .take(6)
        .collect();
    assert_eq!(steps[1], "COPY Cargo.toml Cargo.lock ./");
    assert!(
        steps[3].contains("cargo build --release --locked --bin pgflight"),
        "{}",
        steps[3]
    );
    assert_eq!(steps[4], "COPY . .");
    // Files of an older checkout would pass for built already.
    let touched = steps[5].find("touch").expect("sources are new");
    assert!(
        steps[5].find("cargo build").is_some_and(|built| touched < built),
        "{}",
        steps[5]
    );
    assert!(
        steps[5].contains("--version | grep -q"),
        "a stub says nothing of its version"
    );
    for line in read(".dockerignore").lines().filter_map(|line| line.strip_prefix('!')) {
        let top = line.split('/').next().expect("a name");
        assert!(
            top == "Cargo.lock" || steps[5].contains(&format!(" {top} ")),
            "{top} is touched"
        );
    }
    for mount in dockerfile.split("--mount=").skip(1) {
        let mount = mount.split_whitespace().next().expect("a mount");
        assert_eq!(
            mount,
            "type=cache,id=pgflight-cargo-registry,target=/usr/local/cargo/registry"
        );
    }
}

#[test]
fn the_image_says_what_it_is() {
    let dockerfile = dockerfile();
    let manifest = read("Cargo.toml");
    let of_manifest = |key: &str| {
        let line = manifest
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.expect("a key of the manifest").to_owned()
    };
    for (label, value) in [
        ("title", of_manifest("name")),
        ("description", of_manifest("description")),
        ("licenses", of_manifest("license")),
    ] {
        let wanted = format!("org.opencontainers.image.{label}={value}");
        assert!(dockerfile.contains(&wanted), "{wanted}");
    }
    assert!(dockerfile.contains(&format!("ARG VERSION={}", of_manifest("version").trim_matches('"'))));
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
