//! Cuts both directions of a PostgreSQL connection (protocol 3.0) into messages. Format: chapter "Frontend/Backend
//! Protocol" of the PostgreSQL manual. Looks only at tags, and at the text of a few short messages.

use bytes::{Buf, Bytes, BytesMut};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// One whole message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) bytes: Bytes,
    pub(crate) kind: Kind,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Request for TLS or GSS encryption; answered by one byte without a frame.
    Encryption,
    /// That byte.
    EncryptionAnswer(u8),
    /// A cancel request: a connection of its own.
    Cancel,
    /// Start of a session.
    Startup,
    /// A piece of another protocol.
    Opaque,
    /// Everything else, by its tag.
    Tagged(u8),
}

const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];
const CANCEL: u32 = 80_877_102;

/// Cuts one direction.
#[derive(Debug)]
pub(crate) struct Framer {
    side: Side,
    pending: BytesMut,
    /// The client's first message has no tag; after an encryption request another such one follows.
    started: bool,
}

impl Framer {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            pending: BytesMut::new(),
            started: false,
        }
    }

    /// Where received bytes go.
    pub(crate) fn input(&mut self) -> &mut BytesMut {
        &mut self.pending
    }

    /// The next whole message. `answers_encryption` says that the server owes the byte without a frame.
    pub(crate) fn next(&mut self, answers_encryption: bool) -> Option<Message> {
        if self.side == Side::Server && answers_encryption {
            let answer = *self.pending.first()?;
            return Some(self.cut(1, Kind::EncryptionAnswer(answer)));
        }
        if self.side == Side::Client && !self.started {
            return self.untagged();
        }
        let mut head = self.pending.get(..5)?;
        let (tag, length) = (head.get_u8(), head.get_u32());
        self.whole(1 + length as usize, Kind::Tagged(tag))
    }

    /// All that came so far, for a protocol that is not Postgres'.
    pub(crate) fn everything(&mut self) -> Option<Message> {
        let length = self.pending.len();
        (length > 0).then(|| self.cut(length, Kind::Opaque))
    }

    fn untagged(&mut self) -> Option<Message> {
        let mut head = self.pending.get(..8)?;
        let (length, code) = (head.get_u32(), head.get_u32());
        let kind = match code {
            code if ENCRYPTION.contains(&code) => Kind::Encryption,
            CANCEL => Kind::Cancel,
            _ => Kind::Startup,
        };
        let message = self.whole(length as usize, kind)?;
        self.started = message.kind != Kind::Encryption;
        Some(message)
    }

    fn whole(&mut self, length: usize, kind: Kind) -> Option<Message> {
        (self.pending.len() >= length).then(|| self.cut(length, kind))
    }

    fn cut(&mut self, length: usize, kind: Kind) -> Message {
        let bytes = self.pending.split_to(length).freeze();
        Message { bytes, kind }
    }
}

impl Message {
    /// The tag of a framed message.
    pub(crate) fn tag(&self) -> Option<u8> {
        match self.kind {
            Kind::Tagged(tag) => Some(tag),
            _ => None,
        }
    }

    /// The text of a message that is one string: Query ('Q') of the client, CommandComplete ('C') of the server.
    pub(crate) fn text(&self) -> &str {
        let body = self.bytes.get(5..).unwrap_or_default();
        let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
        std::str::from_utf8(body.get(..end).unwrap_or_default()).unwrap_or_default()
    }
}

impl Message {
    /// The code of an ErrorResponse ('E'), whose fields are a byte and a string each.
    pub(crate) fn sqlstate(&self) -> &str {
        let fields = self.bytes.get(5..).unwrap_or_default().split(|byte| *byte == 0);
        let code = fields.filter_map(|field| field.strip_prefix(b"C")).next();
        code.and_then(|code| std::str::from_utf8(code).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(side: Side, bytes: &[u8]) -> Framer {
        let mut framer = Framer::new(side);
        framer.input().extend_from_slice(bytes);
        framer
    }

    #[test]
    fn a_message_comes_out_when_its_last_byte_is_in() {
        let bytes = b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I";
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let mut framer = fed(Side::Server, first);
            let mut seen: Vec<Message> = std::iter::from_fn(|| framer.next(false)).collect();
            framer.input().extend_from_slice(second);
            seen.extend(std::iter::from_fn(|| framer.next(false)));
            let tags: Vec<_> = seen.iter().map(|message| (message.tag(), message.text())).collect();
            assert_eq!(tags, [(Some(b'C'), "COMMIT"), (Some(b'Z'), "I")], "cut at {cut}");
        }
    }

    #[test]
    fn the_code_of_an_error_is_found_among_its_fields() {
        let mut bytes = b"E\0\0\0\x20SERROR\0VERROR\0C23502\0Mnull\0\0".to_vec();
        let length = u8::try_from(bytes.len() - 1).expect("short");
        bytes[4] = length;
        let message = fed(Side::Server, &bytes).next(false).expect("a whole message");
        assert_eq!(message.sqlstate(), "23502");
    }

    #[test]
    fn an_encryption_request_is_followed_by_a_startup_message_and_then_by_tags() {
        let mut bytes = b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec();
        bytes.extend_from_slice(b"\0\0\0\x09\0\x03\0\0\0");
        bytes.extend_from_slice(b"Q\0\0\0\x0bcommit\0");
        let mut framer = fed(Side::Client, &bytes);
        let kinds: Vec<Kind> = std::iter::from_fn(|| framer.next(false)).map(|it| it.kind).collect();
        assert_eq!(kinds, [Kind::Encryption, Kind::Startup, Kind::Tagged(b'Q')]);
        let answer = fed(Side::Server, b"N").next(true).expect("one byte is enough");
        assert_eq!(answer.kind, Kind::EncryptionAnswer(b'N'));
    }
}
