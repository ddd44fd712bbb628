//! `src/server/cloudquery/pb`: the committed code of the gRPC contract is what `proto/` says, made by `protox` and `tonic-prost-build`.
//!
//! `PGFLIGHT_REGENERATE=1` writes it, after a change of `proto/` or of the generators' version. It is committed so that nobody who
//! builds the program builds a compiler of protobuf first.

use std::fs;
use std::path::Path;

const FILES: [&str; 3] = [
    "cloudquery/discovery/v0.proto",
    "cloudquery/discovery/v1.proto",
    "cloudquery/plugin/v3.proto",
];
/// Package, and the file that has its code.
const MADE: [(&str, &str); 3] = [
    ("cloudquery.discovery.v0", "discovery_v0.rs"),
    ("cloudquery.discovery.v1", "discovery_v1.rs"),
    ("cloudquery.plugin.v3", "plugin_v3.rs"),
];

#[test]
fn the_committed_code_of_the_contract_is_what_the_contract_generates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = std::env::temp_dir().join(format!("pgflight-protobuf-{}", std::process::id()));
    fs::create_dir_all(&made).expect("a directory for what is generated");
    let descriptors = protox::compile(FILES, [root.join("proto")]).expect("proto/ is valid");
    tonic_prost_build::configure()
        // Record batches are passed on without a copy.
        .bytes(".")
        .build_client(true)
        .out_dir(&made)
        .compile_fds(descriptors)
        .expect("proto/ can be generated");
    let mut different = Vec::new();
    for (package, file) in MADE {
        let (new, old) = (
            made.join(format!("{package}.rs")),
            root.join("src/server/cloudquery/pb").join(file),
        );
        let text = fs::read_to_string(&new).expect("it was generated");
        if std::env::var_os("PGFLIGHT_REGENERATE").is_some_and(|asked| asked == "1") {
            fs::write(&old, &text).expect("src can be written");
        }
        if fs::read_to_string(&old).ok() != Some(text) {
            different.push(file);
        }
    }
    fs::remove_dir_all(&made).expect("it is ours");
    assert!(
        different.is_empty(),
        "{different:?} of src/server/cloudquery/pb: run PGFLIGHT_REGENERATE=1 cargo test --test it protobuf::"
    );
}
