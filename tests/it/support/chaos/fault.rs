//! What the proxy does and where: a point in the conversation and a deed. Keeps the little state per connection that it
//! takes to recognise a point.

use std::time::Duration;

use super::wire::{Kind, Message, Side};

/// A place in the conversation between the service and Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    /// The client's startup message.
    ConnectionStart,
    /// The simple query `BEGIN ...` of the client.
    Begin,
    /// The server's word that it takes COPY data.
    CopyInResponse,
    /// A piece of COPY data of the client.
    CopyData,
    /// The end of the COPY data of the client.
    CopyDone,
    /// CommandComplete "COPY n" of the server.
    CopyAnswer,
    /// The simple query `COMMIT` of the client, in a transaction that copied rows.
    Commit,
    /// CommandComplete "COMMIT" of the server, in a transaction that copied rows.
    CommitAnswer,
    /// ReadyForQuery after that.
    ReadyAfterCommit,
    /// Any ReadyForQuery of the server.
    ReadyForQuery,
    /// Any message of either side, after the startup: what random faults aim at.
    AnyMessage,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The message is lost and both ends are reset.
    Cut,
    /// The message is delivered and the receiver's side closed, then the sender reset.
    DeliverThenCut,
    /// The message is withheld for this long, then both ends are reset: a reply that died on its way.
    SwallowThenCut(Duration),
    /// The message comes late.
    Delay(Duration),
    /// From here on nothing passes in either direction, and nobody is told.
    BlackHole,
    /// The message is delivered and the client reset, but the server's side stays open: its backend notices nothing.
    LeaveZombie,
    /// Neither this message nor one after it of the same sender passes; the other one is heard, and the end of either is seen.
    Mute,
    /// The client is reset and the message kept: the server gets it when the test says so.
    Strand,
}

/// A deed at the n-th (from 1) occurrence of a point, counted over all connections since it was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: Point,
    pub(crate) nth: u64,
    pub(crate) deed: Deed,
}

/// What has to be remembered of a connection.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// Rows were copied since the session was last outside a transaction.
    copied: bool,
    /// The COMMIT of such a transaction was answered.
    committed: bool,
}

impl Conversation {
    /// The points at which a message stands.
    pub(crate) fn points(&mut self, side: Side, message: &Message) -> Vec<Point> {
        let mut points = match side {
            Side::Client => self.of_client(message),
            Side::Server => self.of_server(message),
        };
        if message.tag().is_some() {
            points.push(Point::AnyMessage);
        }
        points
    }

    fn of_client(&self, message: &Message) -> Vec<Point> {
        let query = || message.text().trim_start().to_ascii_lowercase();
        match (&message.kind, message.tag()) {
            (Kind::Startup, _) => vec![Point::ConnectionStart],
            (_, Some(b'Q')) if query().starts_with("begin") => vec![Point::Begin],
            (_, Some(b'Q')) if self.copied && is_commit(&query()) => vec![Point::Commit],
            (_, Some(b'd')) => vec![Point::CopyData],
            (_, Some(b'c')) => vec![Point::CopyDone],
            _ => Vec::new(),
        }
    }

    fn of_server(&mut self, message: &Message) -> Vec<Point> {
        match message.tag() {
            Some(b'G') => vec![Point::CopyInResponse],
            Some(b'C') if message.text().starts_with("COPY ") => {
                self.copied = true;
                vec![Point::CopyAnswer]
            }
            Some(b'C') if message.text() == "COMMIT" && self.copied => {
                self.committed = true;
                vec![Point::CommitAnswer]
            }
            Some(b'Z') if message.text() == "I" => {
                self.copied = false;
                match std::mem::take(&mut self.committed) {
                    true => vec![Point::ReadyAfterCommit, Point::ReadyForQuery],
                    false => vec![Point::ReadyForQuery],
                }
            }
            Some(b'Z') => vec![Point::ReadyForQuery],
            _ => Vec::new(),
        }
    }
}

/// A COMMIT, alone or behind the last look at the table.
fn is_commit(query: &str) -> bool {
    query.starts_with("commit") || query.ends_with("; commit")
}
