//! The release server as a process of its own, for benches that talk to it. Measures nothing itself.

use std::process::{Child, Command, Stdio};

use crate::cluster::Failure;

/// Starts the release server over a database, with more arguments; the process and its port, where it will listen.
pub(crate) fn serve(uri: &str, more: &[&str]) -> Result<(Child, u16), Failure> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let listen = format!("127.0.0.1:{port}");
    let child = Command::new(env!("CARGO_BIN_EXE_pgflight"))
        .args(["serve", "--listen", &listen, "--admin-listen", "off"])
        .args(more)
        .env("PGFLIGHT_CONNECTION_STRING", uri)
        .stdout(Stdio::null())
        .spawn()?;
    Ok((child, port))
}
