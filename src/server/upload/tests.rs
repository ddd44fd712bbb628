//! Ends and gates of uploads, with a body that the test cuts as it likes.

use std::collections::VecDeque;

use http_body_util::BodyExt;

use super::*;

/// Longest message.
const LIMIT: usize = 1_000;

/// A body as hyper and tonic hand it over: frames, then a reset, or the end that the client set.
struct Received {
    frames: VecDeque<Result<Frame<Bytes>, Status>>,
    ended_by_client: bool,
}

impl Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.get_mut().frames.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.ended_by_client && self.frames.is_empty()
    }
}

async fn collected(reset: Option<Status>, ended_by_client: bool) -> Result<Bytes, Status> {
    let data = Frame::data(Bytes::from_static(b"\0\0\0\0\x04rows"));
    let body = Received {
        frames: [Ok(data)].into_iter().chain(reset.map(Err)).collect(),
        ended_by_client,
    };
    let upload = Upload::new(body, Gate::default(), LIMIT);
    let collected = upload.collect().await?;
    Ok(collected.to_bytes())
}

#[tokio::test]
async fn an_upload_that_its_client_ended_is_whole() {
    assert_eq!(collected(None, true).await.unwrap(), "\0\0\0\0\x04rows");
}

#[tokio::test]
async fn a_cancelled_upload_is_an_error_that_tonic_does_not_read_as_an_end() {
    let error = collected(Some(Status::cancelled("reset")), false).await.unwrap_err();
    assert_eq!(error.code(), Code::Aborted);
}

#[tokio::test]
async fn an_upload_that_stops_without_an_end_is_an_error() {
    assert_eq!(collected(None, false).await.unwrap_err().code(), Code::Aborted);
}

#[tokio::test]
async fn other_errors_stay_what_they_are() {
    let error = collected(Some(Status::unavailable("gone")), false).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
}

fn received(parts: &[&[u8]]) -> Received {
    let data = |part: &&[u8]| Ok(Frame::data(Bytes::copy_from_slice(part)));
    Received {
        frames: parts.iter().map(data).collect(),
        ended_by_client: true,
    }
}

/// A message with its header: not compressed.
fn message(length: usize) -> Vec<u8> {
    let announced = u32::try_from(length).unwrap().to_be_bytes();
    [&[0][..], &announced, &vec![7; length]].concat()
}

/// The next part that is passed on; `None` where the upload waits at its gate.
async fn next(upload: &mut Upload<Received>) -> Option<Bytes> {
    let frame = futures::poll!(upload.frame());
    match frame {
        Poll::Ready(frame) => Some(frame.unwrap().unwrap().into_data().unwrap()),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn however_an_upload_is_cut_its_bytes_pass_in_order_and_end_where_messages_end() {
    let whole = [message(300), message(0), message(5), message(40)].concat();
    for size in [1, 2, 3, 4, 5, 7, 64, 305, 306, 1_000] {
        let parts: Vec<&[u8]> = whole.chunks(size).collect();
        let mut upload = Upload::new(received(&parts), Gate::default(), LIMIT);
        let (mut passed, mut ends) = (Vec::new(), Vec::new());
        while let Some(frame) = upload.frame().await {
            passed.extend_from_slice(&frame.unwrap().into_data().unwrap());
            ends.push(passed.len());
        }
        assert_eq!(passed, whole, "frames of {size} bytes");
        for end in [305, 310, 320, 365] {
            assert!(ends.contains(&end), "frames of {size} bytes: {ends:?}");
        }
        assert!(upload.is_end_stream());
    }
}

#[tokio::test]
async fn behind_a_closed_gate_each_message_waits_for_its_memory() {
    let gate = Gate::default();
    let whole = [message(3), message(20), message(30)].concat();
    let mut upload = Upload::new(received(&[&whole]), gate.clone(), LIMIT);
    assert_eq!(next(&mut upload).await.unwrap().len(), HEADER);
    assert_eq!(next(&mut upload).await.unwrap().len(), 3);
    gate.close();
    for length in [20, 30] {
        assert_eq!(next(&mut upload).await, None);
        assert_eq!(gate.asked().await, length);
        assert_eq!(next(&mut upload).await, None, "asking again changes nothing");
        gate.grant();
        assert_eq!(next(&mut upload).await.unwrap().len(), HEADER);
        assert_eq!(next(&mut upload).await.unwrap().len(), length);
    }
    assert!(upload.frame().await.is_none());
    assert!(gate.state().received.is_some());
}

#[tokio::test]
async fn a_message_over_the_limit_passes_without_asking_since_it_will_be_refused() {
    let gate = Gate::default();
    gate.close();
    let mut upload = Upload::new(received(&[&message(LIMIT + 1)]), gate, LIMIT);
    assert_eq!(next(&mut upload).await.unwrap().len(), HEADER);
}

#[tokio::test]
async fn a_message_that_is_cut_short_is_no_end_even_where_the_stream_ended() {
    let whole = message(20);
    for cut in [1, 4, 5, 6, 24] {
        for trailers in [false, true] {
            let mut body = received(&[&whole, &whole[..cut]]);
            if trailers {
                body.frames.push_back(Ok(Frame::trailers(http::HeaderMap::new())));
            }
            let outcome = Upload::new(body, Gate::default(), LIMIT).collect().await;
            let error = outcome.expect_err("it is not whole");
            assert_eq!(error.code(), Code::Aborted, "{cut} bytes, trailers: {trailers}");
        }
    }
}

#[tokio::test]
async fn a_client_that_announces_much_and_sends_little_is_idle_in_the_end() {
    let (gate, idle) = (Gate::default(), Duration::from_secs(1));
    gate.close();
    let announced = message(20 * LOWEST_RATE);
    let mut upload = Upload::new(received(&[&announced[..100]]), gate.clone(), usize::MAX);
    assert_eq!(next(&mut upload).await, None);
    assert_eq!(gate.overdue_at(idle), None, "nothing was let in");
    let before = Instant::now();
    gate.grant();
    assert_eq!(next(&mut upload).await.unwrap().len(), HEADER);
    let silent = gate.overdue_at(idle).expect("a message is coming");
    assert!(silent >= before + idle && silent < before + 10 * idle);
    gate.state().received = Some(before + 100 * idle);
    let dripping = gate.overdue_at(idle).expect("a message is coming");
    assert!(dripping >= before + 21 * idle && dripping < before + 30 * idle);
}
