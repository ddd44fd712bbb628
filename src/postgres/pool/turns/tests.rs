//! Who gets the next turn, and which ones are kept. Turns only: no session and no server is needed.

use std::time::Duration;

use super::*;
use crate::model::caller::Principal;

fn caller(name: &str, port: u16) -> Borrower {
    let mut caller = Caller::anonymous();
    caller.principal = Principal::Named(name.into());
    caller.peer = Some(SocketAddr::from(([127, 0, 0, 1], port)));
    Borrower::from(&caller)
}

/// Begins to wait; the turns come out of `done` with the waiter's number.
fn wait(
    turns: &Turns,
    number: u32,
    borrower: Borrower,
    span: Span,
    done: &tokio::sync::mpsc::UnboundedSender<(u32, Turn)>,
) -> impl Future<Output = ()> {
    let (turns, done) = (turns.clone(), done.clone());
    let waiter = tokio::spawn(async move {
        let turn = turns.take(borrower, span).await;
        drop(done.send((number, turn)));
    });
    async move { drop(waiter) }
}

async fn settled() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_holds_fewest_comes_first_and_then_its_connection_that_does() {
    let turns = Turns::new(3);
    let (done, mut served) = tokio::sync::mpsc::unbounded_channel();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(turns.take(caller("greedy", 1), Span::Short).await);
    }
    for (number, borrower) in [
        (0, caller("greedy", 1)),
        (1, caller("greedy", 2)),
        (2, caller("modest", 3)),
        (3, caller("modest", 4)),
    ] {
        wait(&turns, number, borrower, Span::Short, &done).await;
        settled().await;
    }
    held.truncate(2);
    let first = served.recv().await.unwrap();
    assert_eq!(first.0, 2, "the caller that holds none");
    held.truncate(1);
    let next = served.recv().await.unwrap();
    assert_eq!(
        next.0, 1,
        "both hold one, and of the first of them the connection that holds none"
    );
    drop((held, first, next));
    let mut rest = vec![served.recv().await.unwrap().0, served.recv().await.unwrap().0];
    rest.sort_unstable();
    assert_eq!(rest, [0, 3]);
}

#[tokio::test]
async fn long_work_leaves_sessions_for_short_work_and_for_others() {
    let turns = Turns::new(16);
    let short = Duration::from_millis(20);
    let mut held = Vec::new();
    for _ in 0..12 {
        held.push(turns.take(caller("a", 1), Span::Long).await);
    }
    let thirteenth = tokio::time::timeout(short, turns.take(caller("a", 2), Span::Long)).await;
    assert!(thirteenth.is_err(), "the last ones are for others");
    for _ in 0..2 {
        held.push(turns.take(caller("b", 1), Span::Long).await);
    }
    let third = tokio::time::timeout(short, turns.take(caller("b", 1), Span::Long)).await;
    assert!(third.is_err(), "short work has the rest");
    let mut quick = turns.take(caller("a", 1), Span::Short).await;
    assert!(!quick.lengthen());
    held.truncate(11);
    assert!(quick.lengthen());
    drop(turns.take(caller("b", 1), Span::Short).await);
}

#[tokio::test]
async fn a_turn_is_wanted_by_as_many_as_its_end_would_serve() {
    let turns = Turns::new(1);
    let short = Duration::from_millis(20);
    let turn = turns.take(caller("a", 1), Span::Long).await;
    assert!(tokio::time::timeout(short, turn.wanted()).await.is_err());
    let (done, mut served) = tokio::sync::mpsc::unbounded_channel();
    wait(&turns, 0, caller("b", 1), Span::Long, &done).await;
    let promise = turn.wanted().await;
    assert!(
        tokio::time::timeout(short, turn.wanted()).await.is_err(),
        "it is promised"
    );
    drop((turn, promise));
    assert_eq!(served.recv().await.unwrap().0, 0);
}

#[tokio::test]
async fn a_waiter_that_is_gone_takes_no_turn_along() {
    let turns = Turns::new(1);
    let turn = turns.take(Borrower::ourselves(), Span::Short).await;
    for _ in 0..3 {
        let waiting = turns.take(caller("a", 1), Span::Short);
        assert!(tokio::time::timeout(Duration::from_millis(5), waiting).await.is_err());
    }
    drop(turn);
    drop(turns.take(caller("b", 1), Span::Short).await);
}

#[test]
fn of_few_sessions_some_are_kept_where_that_is_possible() {
    let caps = |sessions| (Caps::of(sessions).all, Caps::of(sessions).each);
    let kept: Vec<_> = [1, 2, 3, 4, 8, 16, 64].into_iter().map(caps).collect();
    assert_eq!(kept, [(1, 1), (1, 1), (2, 2), (3, 2), (7, 6), (14, 12), (56, 48)]);
}
