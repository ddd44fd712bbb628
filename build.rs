//! Compiles `proto/` into messages and a service. `protox` reads the files, so that no `protoc` is needed.

use std::error::Error;

const FILES: [&str; 3] = [
    "cloudquery/discovery/v0.proto",
    "cloudquery/discovery/v1.proto",
    "cloudquery/plugin/v3.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure()
        // Record batches are passed on without a copy.
        .bytes(".")
        .build_client(true)
        .compile_fds(descriptors)?;
    // Tests with the real CloudQuery CLI are listed as ignored, with the reason, where its programs cannot be had.
    println!("cargo:rustc-check-cfg=cfg(cloudquery_cli)");
    println!("cargo:rerun-if-env-changed=PATH");
    if std::process::Command::new("scripts/cloudquery-peers")
        .arg("check")
        .output()
        .is_ok_and(|checked| checked.status.success())
    {
        println!("cargo:rustc-cfg=cloudquery_cli");
    }
    // So are tests that need a server with contrib extensions, which the embedded one has not.
    println!("cargo:rustc-check-cfg=cfg(contrib_server)");
    println!("cargo:rerun-if-env-changed=PGFLIGHT_TEST_CONTRIB");
    if std::env::var_os("PGFLIGHT_TEST_CONTRIB").is_some_and(|uri| !uri.is_empty()) {
        println!("cargo:rustc-cfg=contrib_server");
    }
    println!("cargo:rustc-check-cfg=cfg(cloudquery_peers)");
    println!("cargo:rerun-if-env-changed=PGFLIGHT_CLOUDQUERY_PEERS");
    if std::env::var_os("PGFLIGHT_CLOUDQUERY_PEERS").is_some_and(|directory| !directory.is_empty()) {
        println!("cargo:rustc-cfg=cloudquery_peers");
    }
    Ok(())
}
