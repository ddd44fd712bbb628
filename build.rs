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
    Ok(())
}
