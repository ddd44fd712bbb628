//! `health`: asks a running server's admin port, for container health checks in images without a shell.

use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::terminal::{fail, print};
use crate::cli::{EXIT_FAILURE, EXIT_USAGE, HealthCommand};
use crate::config::{Config, ListenAddress};

/// Exit code 0 when the server says it is well, else 1.
pub(super) fn run(command: &HealthCommand, config: &Config) -> ExitCode {
    let Some(ListenAddress::Tcp { host, port }) = config.admin_listen() else {
        return fail(
            EXIT_USAGE,
            &"the admin port is off (admin_listen), so there is nobody to ask",
        );
    };
    let page = if command.live { "/healthz" } else { "/readyz" };
    let limit = Duration::from_secs(command.timeout);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_FAILURE, &error),
    };
    let answer = runtime.block_on(async { tokio::time::timeout(limit, get(host, *port, page)).await });
    match answer {
        Ok(Ok((200, body))) => print(&body),
        Ok(Ok((status, body))) => fail(
            EXIT_FAILURE,
            &format!("{host}:{port}{page} answers {status}: {}", body.trim()),
        ),
        Ok(Err(error)) => fail(EXIT_FAILURE, &format!("{host}:{port} cannot be asked: {error}")),
        Err(_) => fail(
            EXIT_FAILURE,
            &format!("{host}:{port} did not answer within {} s", limit.as_secs()),
        ),
    }
}

/// One HTTP/1.0 request: status and body.
async fn get(host: &str, port: u16, page: &str) -> std::io::Result<(u16, String)> {
    // A server that listens on all addresses is asked on the local one.
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        other => other,
    };
    let mut stream = TcpStream::connect((host, port)).await?;
    stream
        .write_all(format!("GET {page} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())
        .await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let no_http = || std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is not HTTP");
    Ok((status.ok_or_else(no_http)?, body.to_owned()))
}
