//! F23: streams that are not what they say. Any of them gets a documented answer, the process lives with bounded memory,
//! and other streams do not notice.

use std::time::Duration;

use arrow_flight::FlightData;
use bytes::Bytes;
use tonic::Code;

use super::{MODES, endless, oracle_for};
use crate::support::database::Database;
use crate::support::feed::{Tap, feed};
use crate::support::flight::{Flight, batch, longs, messages, path, texts};
use crate::support::oracle::assert_documented;
use crate::support::process::Process;
use crate::support::seed::{Dice, Points};

fn honest() -> Vec<FlightData> {
    let names: Vec<String> = (0..100).map(|row| format!("name {row}")).collect();
    let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
    messages(
        path(&["mangled"]),
        &[batch(vec![("id", longs(0..100)), ("name", texts(&names))])],
    )
}

/// What is done to a message.
#[derive(Clone, Copy, Debug)]
enum Damage {
    FlipHeader,
    FlipBody,
    /// A long little-endian number of ones somewhere in the header: lengths, offsets, counts.
    HugeNumberInHeader,
    HugeNumberInBody,
    CutHeader,
    CutBody,
    NoBody,
    DoubledBody,
}

const DAMAGES: [Damage; 8] = [
    Damage::FlipHeader,
    Damage::FlipBody,
    Damage::HugeNumberInHeader,
    Damage::HugeNumberInBody,
    Damage::CutHeader,
    Damage::CutBody,
    Damage::NoBody,
    Damage::DoubledBody,
];

fn damaged(mut messages: Vec<FlightData>, damage: Damage, dice: &mut Dice) -> Vec<FlightData> {
    let which = if matches!(
        damage,
        Damage::FlipHeader | Damage::HugeNumberInHeader | Damage::CutHeader
    ) {
        usize::try_from(dice.number(0..2)).expect("0 or 1")
    } else {
        1
    };
    let message = &mut messages[which];
    let (mut header, mut body) = (message.data_header.to_vec(), message.data_body.to_vec());
    let mut place = |length: usize| usize::try_from(dice.number(0..length as u64)).expect("a place");
    match damage {
        Damage::FlipHeader => {
            let at = place(header.len());
            header[at] ^= 1 << place(8);
        }
        Damage::FlipBody => {
            let at = place(body.len());
            body[at] ^= 1 << place(8);
        }
        Damage::HugeNumberInHeader => huge(&mut header, &mut place),
        Damage::HugeNumberInBody => huge(&mut body, &mut place),
        Damage::CutHeader => header.truncate(place(header.len())),
        Damage::CutBody => body.truncate(place(body.len())),
        Damage::NoBody => body.clear(),
        Damage::DoubledBody => body.extend_from_within(..),
    }
    message.data_header = Bytes::from(header);
    message.data_body = Bytes::from(body);
    messages
}

fn huge(bytes: &mut [u8], place: &mut impl FnMut(usize) -> usize) {
    let at = place(bytes.len().saturating_sub(8)) & !3;
    let number = [i64::MAX, i64::MIN, -1, 1 << 62, i64::from(i32::MAX), 1 << 40][place(6)];
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn mangled_streams_get_an_answer_and_harm_no_other_stream() {
    let mut dice = Dice::throw("mangled streams");
    let database = Database::create().await;
    let mode = MODES[0];
    database.execute(&mode.create_table()).await;
    let process = Process::start(database.uri(), &[("limits.stream_idle_timeout", "5s")]).await;
    let mut flight = Flight::reach(&process.http()).await;
    flight.send(honest()).await.expect("undamaged, it lands");
    let tap = Tap::default();
    let sibling = tokio::spawn(feed(flight.clone(), endless(mode, "sibling"), tap.clone()));
    let before = process.peak_memory();
    let (mut refused, mut taken) = (0, 0);
    for round in Points::short(160).rounds() {
        let damage = dice.pick(&DAMAGES);
        let sent = flight.send(damaged(honest(), damage, &mut dice));
        let result = tokio::time::timeout(Duration::from_secs(10), sent).await;
        let context = format!("seed {}, round {round}, {damage:?}", dice.seed);
        match result.unwrap_or_else(|_| panic!("no answer: {context}")) {
            // A flipped bit in a value is a value.
            Ok(_) => taken += 1,
            Err(status) => {
                refused += 1;
                assert_documented(&status);
                let expected = [Code::InvalidArgument, Code::FailedPrecondition, Code::ResourceExhausted];
                assert!(expected.contains(&status.code()), "{context}: {status:?}");
            }
        }
    }
    tap.close();
    let fed = sibling.await.unwrap();
    let grown = process.peak_memory().saturating_sub(before) >> 20;
    println!(
        "{refused} refused, {taken} taken as values, {grown} MiB more, sibling: {}",
        fed.ending()
    );
    assert!(fed.result.is_ok() && refused > 0, "{}\n{}", fed.ending(), process.log());
    assert!(grown < 256, "A9 {grown} MiB more at the peak");
    let mut oracle = oracle_for(mode);
    fed.tell(&mut oracle);
    oracle.assert_holds(&database, &fed.ending()).await;
}
