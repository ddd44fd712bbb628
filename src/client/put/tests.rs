//! The client against a server that only records: what arrives, and what must never arrive.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_flight::FlightData;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo, SchemaResult,
    Ticket,
};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::client::connect::{Endpoint, Server};

/// How one upload ended, seen from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Message {
        header: usize,
        metadata: String,
        descriptor: Option<String>,
    },
    CleanEnd,
    Broken,
}

#[derive(Clone)]
struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Result<&'static str, Status>,
    /// Answers without reading to the end.
    hasty: bool,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Recorder {
    fn note(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }

    async fn record(&self, mut messages: Streaming<FlightData>) -> Result<(), Status> {
        loop {
            match messages.next().await {
                Some(Ok(message)) => self.note(Seen::Message {
                    header: message.data_header.len(),
                    metadata: String::from_utf8(message.app_metadata.to_vec()).unwrap(),
                    descriptor: message
                        .flight_descriptor
                        .map(|given| String::from_utf8(given.cmd.to_vec()).unwrap()),
                }),
                Some(Err(status)) => {
                    self.note(Seen::Broken);
                    return Err(status);
                }
                None => {
                    self.note(Seen::CleanEnd);
                    return Ok(());
                }
            }
            if self.hasty {
                return Ok(());
            }
        }
    }
}

#[tonic::async_trait]
impl FlightService for Recorder {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let recorder = self.clone();
        let messages = request.into_inner();
        // A task of its own: a reset call drops the response, and with it whatever the response would have polled.
        let recording = tokio::spawn(async move {
            recorder.record(messages).await?;
            Ok(PutResult {
                app_metadata: recorder.answer?.into(),
            })
        });
        let answer = async move { recording.await.unwrap() };
        Ok(Response::new(Box::pin(stream::once(answer))))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A recording server on a free port of the loopback interface, stopped when dropped.
struct Fixture {
    recorder: Recorder,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fixture {
    async fn start(answer: Result<&'static str, Status>, hasty: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let recorder = Recorder {
            seen: Arc::default(),
            answer,
            hasty,
        };
        let service = FlightServiceServer::new(recorder.clone());
        let serve = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { serve.await.unwrap() });
        Self {
            recorder,
            address,
            task,
        }
    }

    async fn put(&self, source: Source) -> Result<PutOutcome, PutError> {
        let server = Server::at(format!("grpc://{}", self.address));
        let connection = Connection::open(Endpoint::Server(server)).await.unwrap();
        let request = PutRequest {
            table: "t".to_owned(),
            primary_key: vec!["n".to_owned()],
            ..PutRequest::default()
        };
        put(&connection, &request, source, &Arc::default()).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.recorder.seen.lock().unwrap().clone()
    }

    /// What was seen once the server noticed the end of the upload.
    async fn seen_to_the_end(&self) -> Vec<Seen> {
        for _ in 0..500 {
            if self
                .seen()
                .iter()
                .any(|seen| matches!(seen, Seen::Broken | Seen::CleanEnd))
            {
                return self.seen();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the upload never ended: {} messages", self.seen().len())
    }
}

fn batch(numbers: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(numbers)) as ArrayRef)]).unwrap()
}

fn source(batches: Vec<Result<RecordBatch, SourceError>>) -> Source {
    let schema: SchemaRef = batch(0..0).schema();
    Source::new(schema, batches.into_iter())
}

fn broken() -> SourceError {
    SourceError::Produce(ArrowError::ParseError("cut off".to_owned()))
}

fn metadata(seen: &[Seen]) -> Vec<&str> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Message { metadata, .. } => Some(metadata.as_str()),
            _ => None,
        })
        .collect()
}

const FINAL: &str = r#"{"table":"public.t","rows":5,"rejected":0,"commit":"atomic","new_key":[1]}"#;

#[tokio::test]
async fn a_complete_upload_is_schema_batches_commit_message_end() {
    let fixture = Fixture::start(Ok(FINAL), false).await;
    let outcome = fixture
        .put(source(vec![Ok(batch(0..3)), Ok(batch(3..5))]))
        .await
        .unwrap();
    assert_eq!(outcome.rows, 5);
    assert_eq!(outcome.result["new_key"], json!([1]));
    let seen = fixture.seen();
    assert_eq!(metadata(&seen), ["", "", "", r#"{"commit":{"rows":5}}"#]);
    assert_eq!(seen.last(), Some(&Seen::CleanEnd));
    let Seen::Message {
        descriptor: Some(descriptor),
        ..
    } = &seen[0]
    else {
        panic!("{seen:?}")
    };
    let options: Value = serde_json::from_str(descriptor).unwrap();
    assert_eq!(options, json!({"table": "t", "primary_key": ["n"], "strict": true}));
    let Seen::Message { header, .. } = &seen[3] else {
        panic!("{seen:?}")
    };
    assert_eq!(*header, 0);
}

#[tokio::test]
async fn a_source_without_batches_still_sends_its_schema() {
    let fixture = Fixture::start(Ok(r#"{"rows":0}"#), false).await;
    assert_eq!(fixture.put(source(vec![])).await.unwrap().rows, 0);
    let seen = fixture.seen();
    assert_eq!(metadata(&seen), ["", r#"{"commit":{"rows":0}}"#]);
    assert!(matches!(&seen[0], Seen::Message { header, .. } if *header > 0));
}

#[tokio::test]
async fn a_source_that_breaks_never_looks_complete() {
    let fixture = Fixture::start(Ok(FINAL), false).await;
    // Breaks late: a call that is reset before its first message arrived never reaches the server's handler at all.
    let slow = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(batch(0..5))
    });
    let breaking = slow.take(300).chain([Err(broken())]);
    let error = fixture
        .put(Source::new(batch(0..0).schema(), breaking))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the rows could not be produced: Parser error: cut off"
    );
    let seen = fixture.seen_to_the_end().await;
    assert_eq!(seen.last(), Some(&Seen::Broken), "{seen:?}");
    assert!(metadata(&seen).iter().all(|metadata| metadata.is_empty()), "{seen:?}");
}

#[tokio::test]
async fn an_upload_that_is_dropped_never_looks_complete() {
    let fixture = Fixture::start(Ok(FINAL), false).await;
    let endless = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(batch(0..5))
    });
    let upload = fixture.put(Source::new(batch(0..0).schema(), endless));
    assert!(tokio::time::timeout(Duration::from_millis(200), upload).await.is_err());
    let seen = fixture.seen_to_the_end().await;
    assert_eq!(seen.last(), Some(&Seen::Broken));
    assert!(metadata(&seen).iter().all(|metadata| metadata.is_empty()));
}

#[tokio::test]
async fn the_servers_refusal_is_told_while_the_source_still_runs() {
    let refusal = Status::not_found("the schema \"s\" does not exist");
    let fixture = Fixture::start(Err(refusal), true).await;
    let endless = std::iter::repeat_with(|| Ok(batch(0..5)));
    let error = fixture
        .put(Source::new(batch(0..0).schema(), endless))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the schema \"s\" does not exist (NOT_FOUND)");
}

#[tokio::test]
async fn success_before_the_end_a_wrong_count_or_no_json_is_not_success() {
    let hasty = Fixture::start(Ok(FINAL), true).await;
    let endless = std::iter::repeat_with(|| Ok(batch(0..5)));
    let error = hasty.put(Source::new(batch(0..0).schema(), endless)).await.unwrap_err();
    assert!(matches!(error, PutError::EndedEarly), "{error:?}");
    let fixture = Fixture::start(Ok(FINAL), false).await;
    let error = fixture.put(source(vec![Ok(batch(0..4))])).await.unwrap_err();
    assert!(
        matches!(error, PutError::RowCount { reported: 5, sent: 4 }),
        "{error:?}"
    );
    let fixture = Fixture::start(Ok("done"), false).await;
    let error = fixture.put(source(vec![])).await.unwrap_err();
    assert!(matches!(error, PutError::Result("is not valid JSON")), "{error:?}");
}
