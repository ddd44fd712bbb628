//! Messages that stand for far more than they have bytes: the program has 2 GiB of address space, each gets its answer, a sibling
//! goes on meanwhile, and the memory is given back.
//!
//! By default each kind comes once and then a few at once; `PGFLIGHT_BOMBS=8,16,64` throws so many of each kind at once, of full
//! size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use serde_json::json;
use tonic::Status;

use crate::support::bombs::{Bomb, Size, addressed};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages};
use crate::support::oracle::assert_documented;
use crate::support::process::Process;

/// Address space of the program.
const SPACE: u64 = 2 << 30;
/// Resident memory that it goes back to, and within which time.
const REST: (u64, Duration) = (300 << 20, Duration::from_secs(60));
/// Longest time that a sibling's put of one row takes; a program that is not optimised, beside other tests, is given more.
pub(crate) const STALL: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 2 });

/// Puts of one row after the other, until it is told to end. Another program's: it has a thread of its own, so that what the client of the
/// bombs takes to send them is not counted as the server's time.
pub(crate) struct Sibling {
    ended: Arc<AtomicBool>,
    puts: std::thread::JoinHandle<(u64, Duration)>,
}

impl Sibling {
    /// Its connection is made here, to an address such as `http://127.0.0.1:port`.
    pub(crate) fn start(http: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (end, http) = (Arc::clone(&ended), http.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let puts = std::thread::spawn(move || runtime.block_on(Self::put(&http, &end)));
        Self { ended, puts }
    }

    async fn put(http: &str, end: &AtomicBool) -> (u64, Duration) {
        let mut flight = Flight::reach(http).await;
        let (mut rows, mut slowest) = (0, Duration::ZERO);
        while !end.load(Ordering::Relaxed) {
            let started = Instant::now();
            let row = batch(vec![("id", longs([rows]))]);
            let put = flight
                .send(messages(command(json!({"table": "sibling"})), &[row]))
                .await;
            put.expect("a sibling's put lands");
            slowest = slowest.max(started.elapsed());
            rows += 1;
        }
        (u64::try_from(rows).expect("a count"), slowest)
    }

    pub(crate) async fn end(self, process: &mut Process) -> (u64, Duration) {
        self.ended.store(true, Ordering::Relaxed);
        let joined = tokio::task::spawn_blocking(|| self.puts.join());
        match joined.await.expect("the sibling's thread is waited for") {
            Ok(counted) => counted,
            Err(_) => {
                let ended = process.exit_code(Duration::from_secs(1)).await;
                panic!(
                    "a sibling's put failed; the server ended with {ended:?}: {}",
                    process.log()
                )
            }
        }
    }
}

/// Sends these messages to `count` tables at once, each over a connection of its own.
async fn throw(process: &Process, bomb: Bomb, messages: &[FlightData], count: usize) -> Vec<Result<(), Status>> {
    let puts = (0..count).map(|n| {
        let to = command(json!({"table": format!("{bomb:?}{n}").to_lowercase()}));
        let (sent, http) = (addressed(messages.to_vec(), to), process.http());
        tokio::spawn(async move { Flight::reach(&http).await.send(sent).await.map(drop) })
    });
    let puts: Vec<_> = puts.collect();
    let answers = tokio::time::timeout(Duration::from_secs(1800), futures::future::join_all(puts));
    let answers = answers.await.unwrap_or_else(|_| panic!("no answer to {bomb:?}"));
    answers
        .into_iter()
        .map(|answer| answer.expect("a put's task"))
        .collect()
}

/// Throws `count` of each kind and looks at what they did.
async fn siege(count: usize, size: Size) {
    let database = Database::create().await;
    let mut process = Process::start_in_space(database.uri(), &[], SPACE).await;
    let mut sent = 0;
    for bomb in Bomb::ALL {
        let messages = bomb.messages(size);
        let sibling = Sibling::start(&process.http());
        let started = Instant::now();
        let answers = throw(&process, bomb, &messages, count).await;
        let (took, (rows, slowest)) = (started.elapsed(), sibling.end(&mut process).await);
        sent += rows;
        let landed = answers.iter().filter(|answer| answer.is_ok()).count();
        let peak = process.peak_memory() >> 20;
        println!(
            "{count} x {bomb:?}: {landed} landed, {took:.1?}, slowest of {rows} puts beside it {slowest:.2?}, peak {peak} MiB"
        );
        for answer in answers {
            match (answer, bomb.refusal()) {
                (Ok(()), expected) => assert_eq!(expected, None, "{bomb:?} lands"),
                (Err(status), expected) => {
                    assert_documented(&status);
                    let busy = count > 1 && status.code() == tonic::Code::ResourceExhausted;
                    assert!(busy || Some(status.code()) == expected, "{bomb:?}: {status:?}");
                    println!("    {:?}: {:.200}", status.code(), status.message());
                }
            }
        }
        assert_eq!(process.exit_code(Duration::ZERO).await, None, "{}", process.log());
        assert!(slowest < STALL, "{bomb:?} stalls a sibling for {slowest:?}");
    }
    assert_eq!(database.value("select count(*) from sibling").await, sent.to_string());
    let since = Instant::now();
    while process.resident_memory() > REST.0 {
        let resident = process.resident_memory() >> 20;
        assert!(since.elapsed() < REST.1, "{resident} MiB stay resident");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "{} MiB resident {:.1?} after",
        process.resident_memory() >> 20,
        since.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_messages_that_stand_for_much_are_answered_within_two_gibibytes_and_siblings_go_on() {
    let full = Size {
        control_characters: 100 << 20,
        unpacked: 240 << 20,
    };
    let small = Size {
        control_characters: 4 << 20,
        unpacked: 120 << 20,
    };
    match std::env::var("PGFLIGHT_BOMBS") {
        Ok(counts) => {
            for count in counts.split(',') {
                siege(count.parse().expect("PGFLIGHT_BOMBS is a list of numbers"), full).await;
            }
        }
        Err(_) => siege(2, small).await,
    }
}
