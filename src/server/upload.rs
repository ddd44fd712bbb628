//! A request body that ends only where its client ended it.
//!
//! A client that gives up resets its HTTP/2 stream (RFC 9113, 8.1): a call that was cancelled, ran into its deadline, or
//! whose program was stopped. tonic reads a reset with CANCEL as the end of the upload, and hyper one with NO_ERROR; the
//! rows that came until then would be committed as if they were all. Here both are errors, so that no door can take
//! a part for the whole. Knows no protocol above HTTP.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tonic::{Code, Status};

/// A body without the two ways in which a broken upload looks like a finished one.
#[derive(Debug)]
pub(crate) struct Upload<B> {
    body: B,
    /// It ended, one way or the other.
    over: bool,
}

impl Upload<tonic::body::Body> {
    /// Puts the body of a request into one.
    pub(crate) fn guard(request: http::Request<tonic::body::Body>) -> http::Request<tonic::body::Body> {
        request.map(|body| tonic::body::Body::new(Self { body, over: false }))
    }
}

/// Not `CANCELLED`, which the gRPC library would read as an end.
fn given_up() -> Status {
    Status::aborted("the client gave the call up before the end of its stream")
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.over = !matches!(frame, Some(Ok(_)));
        Poll::Ready(match frame {
            Some(Err(status)) if status.code() == Code::Cancelled => Some(Err(given_up())),
            None if !this.body.is_end_stream() => Some(Err(given_up())),
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt;

    use super::*;

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
        let data = Frame::data(Bytes::from_static(b"rows"));
        let body = Received {
            frames: [Ok(data)].into_iter().chain(reset.map(Err)).collect(),
            ended_by_client,
        };
        let collected = Upload { body, over: false }.collect().await?;
        Ok(collected.to_bytes())
    }

    #[tokio::test]
    async fn an_upload_that_its_client_ended_is_whole() {
        assert_eq!(collected(None, true).await.unwrap(), "rows");
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
}
