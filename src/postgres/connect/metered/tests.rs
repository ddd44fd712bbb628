//! Messages as they come and as they go on.

use super::*;
use crate::ingest::ports::Taken;
use crate::postgres::connect::flow::RowRoom;
use bytes::Bytes;
use std::time::Duration;
use tokio::io::AsyncReadExt;

fn message(kind: u8, length: usize) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(u32::try_from(length + 4).unwrap().to_be_bytes());
    message.extend((0..length).map(|at| (at % 251) as u8));
    message
}

/// Gives so many bytes at a time.
struct Slow(Bytes, usize);

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let most = self.1.min(into.remaining()).min(self.0.len());
        into.put_slice(&self.0.split_to(most));
        Poll::Ready(Ok(()))
    }
}

fn metered(bytes: Vec<u8>, at_once: usize, start: Start) -> Metered<Slow> {
    Metered::new(
        Slow(bytes.into(), at_once),
        start,
        Flow::new(Some(RowRoom::new(32 << 20, Duration::from_secs(60)))),
    )
}

/// The messages in bytes, those of one row of a COPY as one.
fn messages(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut all: Vec<(u8, Vec<u8>)> = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() {
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize - 4;
        assert!(header[0] != COPY_DATA || length <= CUT.max(3 << 20), "{length}");
        match all
            .last_mut()
            .filter(|last| last.0 == COPY_DATA && header[0] == COPY_DATA)
        {
            Some(last) => last.1.extend(&rest[..length]),
            None => all.push((header[0], rest[..length].to_vec())),
        }
        bytes = &rest[length..];
    }
    all
}

#[tokio::test]
async fn large_rows_are_cut_and_all_else_goes_on_as_it_came() {
    let sent = [
        message(b'R', 4),
        message(b'd', 100),
        message(b'd', 5 << 20),
        message(b'd', 3),
        message(b'Z', 1),
        message(b'D', 5 << 20),
        message(b'S', 0),
    ];
    for at_once in [1001, 1003, 4096, 64 << 10, 3 << 20] {
        let stream = [b"N".to_vec(), sent.concat()].concat();
        let mut metered = metered(stream, at_once, Start::TlsAnswer);
        let rows = metered.flow.rows();
        let mut came = Vec::new();
        loop {
            let mut buffer = vec![0; if at_once == 1001 { 700 } else { 4 << 20 }];
            let read = tokio::time::timeout(Duration::from_secs(60), metered.read(&mut buffer));
            let count = read.await.unwrap().unwrap();
            if count == 0 {
                break;
            }
            came.extend(&buffer[..count]);
            // The client takes all at once.
            rows.taken(u64::MAX);
        }
        assert_eq!(came.first(), Some(&b'N'));
        let came = messages(&came[1..]);
        let kinds: Vec<(u8, usize)> = came.iter().map(|(kind, bytes)| (*kind, bytes.len())).collect();
        let all = 100 + (5 << 20) + 3;
        let expected = [(b'R', 4), (b'd', all), (b'Z', 1), (b'D', 5 << 20), (b'S', 0)];
        assert_eq!(kinds, expected, "{at_once}");
        let row: Vec<u8> = [message(b'd', 100), message(b'd', 5 << 20), message(b'd', 3)]
            .iter()
            .flat_map(|message| message[HEADER..].to_vec())
            .collect();
        assert!(came[1].1 == row, "{at_once}");
        assert_eq!(metered.rows, (all + (5 << 20)) as u64);
    }
}

#[tokio::test]
async fn small_messages_go_on_however_they_come() {
    let sent: Vec<u8> = (0..50).flat_map(|n| message(b'd', n % 7)).collect();
    for (at_once, most) in [(1, 1), (1, 3), (2, 9), (3, 2), (7, 100), (1000, 4)] {
        let mut metered = metered(sent.clone(), at_once, Start::Messages);
        let (mut came, mut buffer) = (Vec::<u8>::new(), vec![0_u8; most]);
        loop {
            match metered.read(&mut buffer).await.unwrap() {
                0 => break,
                count => came.extend(&buffer[..count]),
            }
        }
        assert_eq!(came, sent);
    }
}

#[tokio::test]
async fn what_is_too_large_is_an_error_after_what_came_before_it() {
    let sent = [message(b'H', 7), message(b'd', 33 << 20)].concat();
    let mut read = metered(sent.clone(), 100, Start::Messages);
    let rows = read.flow.rows();
    let mut buffer = vec![0; 1000];
    assert_eq!(
        read.read(&mut buffer).await.unwrap(),
        100,
        "the answer to the statement goes on"
    );
    assert!(read.read(&mut buffer).await.is_err());
    assert_eq!(rows.refused(), Some(33 << 20));
    let mut nobody_reads = metered(sent.clone(), 100, Start::Messages);
    let mut encrypted = metered([b"S".to_vec(), sent].concat(), 100, Start::TlsAnswer);
    let _rows = encrypted.flow.rows();
    for _ in 0..3 {
        assert_eq!(nobody_reads.read(&mut buffer).await.unwrap(), 100);
        assert_eq!(encrypted.read(&mut buffer).await.unwrap(), 100);
    }
}
