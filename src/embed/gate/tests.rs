//! Pauses, limits and closures as they are kept, by short times.

use super::*;
use crate::embed::failure::Failure;

fn gate(concurrency: u32, requests_per_minute: u32, tokens_per_minute: u32, left_alone: u64) -> Gate {
    Gate::new(Rates {
        concurrency,
        requests_per_minute,
        tokens_per_minute,
        left_alone: Duration::from_millis(left_alone),
    })
}

fn rate_limited(after: Option<Duration>) -> Failed {
    Failure::RateLimited { status: 429, after }.into()
}

#[tokio::test]
async fn a_pause_is_kept_and_halves_the_requests_once() {
    let gate = gate(8, 0, 0, 300_000);
    for _ in 0..80 {
        gate.succeeded();
    }
    assert_eq!(gate.width(), 6, "one more per 20 good answers");
    let started = Instant::now();
    gate.failed(&rate_limited(Some(Duration::from_millis(300))));
    gate.failed(&rate_limited(Some(Duration::from_millis(10))));
    assert_eq!(gate.width(), 3, "two answers of one pause count once");
    drop(gate.pass(1).await);
    assert!(
        started.elapsed() >= Duration::from_millis(300),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_rest_is_kept_and_halves_nothing() {
    let gate = gate(2, 0, 0, 300_000);
    let started = Instant::now();
    gate.rest(Duration::from_millis(200));
    gate.rest(Duration::ZERO);
    drop(gate.pass(1).await);
    assert!(
        started.elapsed() >= Duration::from_millis(200),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(gate.width(), 2);
}

#[tokio::test]
async fn requests_are_spaced_and_never_more_than_the_limit_at_once() {
    let gate = gate(1, 600, 0, 300_000);
    let started = Instant::now();
    let first = gate.pass(1).await;
    let second = tokio::time::timeout(Duration::from_millis(150), gate.pass(1)).await;
    assert!(second.is_err(), "one at once");
    drop(first);
    drop(gate.pass(1).await);
    drop(gate.pass(1).await);
    assert!(
        started.elapsed() >= Duration::from_millis(250),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn tokens_are_spread_over_the_minute_and_corrected_by_what_was_counted() {
    let gate = gate(8, 0, 60_000, 300_000);
    let started = Instant::now();
    drop(gate.pass(200).await);
    drop(gate.pass(100_000).await);
    assert!(
        started.elapsed() >= Duration::from_millis(200),
        "{:?}",
        started.elapsed()
    );
    let spent = || gate.state().tokens_spent;
    let before = spent();
    assert!(before >= started + Duration::from_secs(100));
    gate.counted(100_000, 130_000);
    assert_eq!(spent() - before, Duration::from_secs(30), "1000 tokens a second");
    gate.counted(100_000, 40_000);
    assert_eq!(before - spent(), Duration::from_secs(30));
}

#[tokio::test]
async fn a_pause_halves_also_while_requests_are_spaced() {
    let gate = gate(8, 1, 0, 300_000);
    for _ in 0..40 {
        gate.succeeded();
    }
    drop(gate.pass(1).await);
    gate.failed(&rate_limited(Some(Duration::from_secs(2000))));
    assert_eq!(gate.width(), 2);
    assert!(gate.cooldown() > Duration::from_secs(1900));
}

#[test]
fn requests_of_one_size_are_halved_once_however_many_are_refused() {
    let gate = gate(4, 0, 0, 300_000);
    let before = gate.halvings();
    gate.too_large(before);
    gate.too_large(before);
    assert_eq!(gate.halvings(), 1);
    gate.too_large(gate.halvings());
    assert_eq!(gate.halvings(), 2);
    gate.too_large(before);
    assert_eq!(gate.halvings(), 2, "an old answer takes nothing back");
}

#[tokio::test]
async fn a_closed_gate_says_why_and_opens_by_itself() {
    let gate = gate(4, 0, 0, 30);
    gate.close(&Failure::Auth { status: 401 }.into());
    assert!(gate.closed().unwrap().why.contains("does not accept the key"));
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert!(gate.closed().is_none());
    assert_eq!(gate.width(), 1, "half open: one batch tries");
}

#[tokio::test]
async fn trouble_is_remembered_from_its_beginning_until_something_goes_through() {
    let gate = gate(4, 0, 0, 300_000);
    assert_eq!((gate.trouble(), gate.stalled()), (None, None));
    drop(gate.pass(1).await);
    gate.failed(&rate_limited(Some(Duration::from_millis(1))));
    let paused = gate.trouble().unwrap();
    assert_eq!((paused.code, paused.left_alone), ("rate_limited", false));
    gate.close(&Failure::Auth { status: 401 }.into());
    let closed = gate.trouble().unwrap();
    assert_eq!((closed.code, closed.left_alone), ("auth", true));
    assert_eq!(closed.since, paused.since);
    assert!(closed.again > Instant::now() + Duration::from_secs(200));
    assert!(gate.stalled().is_some());
    gate.succeeded();
    assert_eq!((gate.trouble(), gate.stalled()), (None, None));
}
