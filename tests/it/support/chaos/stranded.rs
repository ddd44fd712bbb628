//! A message that was held back while its sender is gone already, and what the server says when it comes after all.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{Framer, Message, Side};

/// The server's end of a connection, and the message that it waits for.
#[derive(Debug)]
pub(crate) struct Stranded {
    server: TcpStream,
    message: Message,
}

impl Stranded {
    pub(super) fn new(server: TcpStream, message: Message) -> Self {
        Self { server, message }
    }

    /// Delivers it and returns the answer up to ReadyForQuery: tags of completed commands and codes of errors; `closed` where the
    /// session ends.
    pub(super) async fn deliver(mut self) -> String {
        let mut answer = Vec::new();
        if self.server.write_all(&self.message.bytes).await.is_err() {
            return "closed".to_owned();
        }
        let mut framer = Framer::new(Side::Server);
        loop {
            while let Some(message) = framer.next(false) {
                match message.tag() {
                    Some(b'C') => answer.push(message.text().to_owned()),
                    Some(b'E') => answer.push(message.sqlstate().to_owned()),
                    // The one of the message before may come yet.
                    Some(b'Z') if !answer.is_empty() => return answer.join(" "),
                    _ => {}
                }
            }
            if !matches!(self.server.read_buf(framer.input()).await, Ok(1..)) {
                answer.push("closed".to_owned());
                return answer.join(" ");
            }
        }
    }
}
