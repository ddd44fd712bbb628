//! What answers at an address where no gRPC call came through: asked once, after a failure, so that a person is told which port it is.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for whoever is there.
const PATIENCE: Duration = Duration::from_secs(3);
/// The page that pgflight's admin port has; every other server answers something to it, too.
const QUESTION: &[u8] = b"GET /healthz HTTP/1.0\r\n\r\n";

/// What answers at `host:port`, in words, where that explains why a client with or without TLS failed there.
pub(super) async fn look(authority: &str, tls: bool) -> Option<String> {
    let asking = async {
        let mut stream = TcpStream::connect(authority).await.ok()?;
        stream.write_all(QUESTION).await.ok()?;
        let mut answer = Vec::new();
        // Whoever speaks another protocol may break off.
        drop(stream.take(4096).read_to_end(&mut answer).await);
        Some(answer)
    };
    let answer = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer?,
        Err(_) => return None,
    };
    explain(&answer, authority, tls)
}

fn explain(answer: &[u8], authority: &str, tls: bool) -> Option<String> {
    if answer.starts_with(b"HTTP/1.") {
        let is_admin = answer.ends_with(b"\r\n\r\nok\n");
        let whose = if is_admin {
            "pgflight's admin port"
        } else {
            "a web server"
        };
        return Some(format!(
            "{authority} is {whose}, which takes no rows; give the address that the server listens on (listen, by default port 8815)"
        ));
    }
    match (answer, tls) {
        // An alert, or whatever else TLS answers to what is none.
        ([0x14..=0x17, 3, ..], false) => Some(format!("{authority} speaks TLS; write grpc+tls://{authority}")),
        // The first frame of a server that speaks HTTP/2 in plain text: SETTINGS or GOAWAY.
        ([0, _, _, 4 | 7, ..], true) => Some(format!("{authority} speaks no TLS; write grpc://{authority}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_known_by_their_first_answer() {
        let admin = b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
        assert!(explain(admin, "h:1", false).unwrap().contains("admin port"));
        assert!(
            explain(b"HTTP/1.1 404 Not Found\r\n\r\n", "h:1", true)
                .unwrap()
                .contains("web server")
        );
        assert!(
            explain(&[0x15, 3, 3, 0, 2], "h:1", false)
                .unwrap()
                .contains("grpc+tls://h:1")
        );
        assert!(explain(&[0, 0, 18, 4, 0], "h:1", true).unwrap().ends_with("grpc://h:1"));
        assert_eq!(explain(&[0, 0, 18, 4, 0], "h:1", false), None);
        assert_eq!(explain(&[0x15, 3, 3, 0, 2], "h:1", true), None);
        assert_eq!(explain(b"", "h:1", false), None);
    }
}
