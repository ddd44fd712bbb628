//! Tells the tests what this machine has. It builds nothing: the program is the same wherever it is built.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Tests with the real CloudQuery CLI are listed as ignored, with the reason, where its programs cannot be had.
    println!("cargo:rustc-check-cfg=cfg(cloudquery_cli)");
    println!("cargo:rerun-if-env-changed=PATH");
    if succeeds("scripts/cloudquery-peers", "check") {
        println!("cargo:rustc-cfg=cloudquery_cli");
    }
    // So are those behind PgBouncer.
    println!("cargo:rustc-check-cfg=cfg(pgbouncer)");
    if succeeds("scripts/pgbouncer", "check") {
        println!("cargo:rustc-cfg=pgbouncer");
    }
    // So are those that need Node.js.
    println!("cargo:rustc-check-cfg=cfg(node)");
    let node = std::process::Command::new("node").arg("--version").output();
    let node = node.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned());
    let major = node
        .ok()
        .and_then(|version| version.trim_start_matches('v').split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 20) {
        println!("cargo:rustc-cfg=node");
    }
    // So are tests that need a server with contrib extensions, which the embedded one has not and Debian's has.
    println!("cargo:rustc-check-cfg=cfg(contrib_server)");
    println!("cargo:rerun-if-env-changed=PGFLIGHT_TEST_CONTRIB");
    if std::env::var_os("PGFLIGHT_TEST_CONTRIB").is_some_and(|uri| !uri.is_empty())
        || succeeds("scripts/debian-packages", "check")
    {
        println!("cargo:rustc-cfg=contrib_server");
    }
    // And the test of the JDBC driver for Flight SQL, which Maven brings.
    println!("cargo:rustc-check-cfg=cfg(java_and_maven)");
    if succeeds("java", "-version") && succeeds("mvn", "-version") {
        println!("cargo:rustc-cfg=java_and_maven");
    }
    println!("cargo:rustc-check-cfg=cfg(cloudquery_peers)");
    println!("cargo:rerun-if-env-changed=PGFLIGHT_CLOUDQUERY_PEERS");
    if std::env::var_os("PGFLIGHT_CLOUDQUERY_PEERS").is_some_and(|directory| !directory.is_empty()) {
        println!("cargo:rustc-cfg=cloudquery_peers");
    }
}

/// Whether a program that only looks is there and says yes.
fn succeeds(script: &str, verb: &str) -> bool {
    let checked = std::process::Command::new(script).arg(verb).output();
    checked.is_ok_and(|checked| checked.status.success())
}
