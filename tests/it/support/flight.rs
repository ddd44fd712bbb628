//! A Flight client for tests, raw enough to break rules: it sends exactly the messages that a test gives it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use super::pgbouncer::Neighbour;
use super::server::Server;

/// A connection to a server.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    pub(crate) client: FlightServiceClient<Channel>,
    pub(crate) headers: MetadataMap,
    /// Another program behind the server's pooler, which looks at its session before and after each put.
    neighbour: Option<Arc<Neighbour>>,
}

impl Flight {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::reach(&server.http()).await
    }

    /// A connection to an address such as `http://127.0.0.1:port`.
    pub(crate) async fn reach(http: &str) -> Self {
        let channel = Channel::from_shared(http.to_owned())
            .expect("a URI")
            .connect()
            .await
            .expect("the server listens");
        Self {
            neighbour: Neighbour::of(http),
            ..Self::over(channel)
        }
    }

    /// A client of a channel that the test made.
    pub(crate) fn over(channel: Channel) -> Self {
        Self {
            client: FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX),
            headers: MetadataMap::new(),
            neighbour: None,
        }
    }

    /// Sends one header with every put.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().expect("an ASCII value"));
        self
    }

    /// Puts whole batches and returns the final result.
    pub(crate) async fn put(&mut self, to: FlightDescriptor, batches: &[RecordBatch]) -> Result<Value, Status> {
        self.send(messages(to, batches))
            .await
            .map(|answers| answers.into_iter().last().expect("a final answer"))
    }

    /// Runs an action and returns its answer.
    pub(crate) async fn act(&mut self, name: &str, body: Value) -> Result<Value, Status> {
        let action = arrow_flight::Action {
            r#type: name.to_owned(),
            body: body.to_string().into(),
        };
        let mut request = tonic::Request::new(action);
        *request.metadata_mut() = self.headers.clone();
        let answers = self.client.do_action(request).await?.into_inner();
        let answers: Vec<arrow_flight::Result> = answers.try_collect().await?;
        Ok(serde_json::from_slice(&answers.first().expect("an answer").body).expect("answers are JSON"))
    }

    /// Sends messages as they are and returns all answers.
    pub(crate) async fn send(&mut self, messages: Vec<FlightData>) -> Result<Vec<Value>, Status> {
        self.stream(futures::stream::iter(messages)).await
    }

    /// Sends a stream of messages and returns all answers.
    pub(crate) async fn stream(
        &mut self,
        messages: impl futures::Stream<Item = FlightData> + Send + 'static,
    ) -> Result<Vec<Value>, Status> {
        let neighbour = self.neighbour.clone();
        if let Some(neighbour) = &neighbour {
            neighbour.look().await;
        }
        let mut request = tonic::Request::new(messages);
        *request.metadata_mut() = self.headers.clone();
        let put = async {
            let answers = self.client.do_put(request).await?.into_inner();
            let answers =
                answers.map_ok(|answer| serde_json::from_slice(&answer.app_metadata).expect("answers are JSON"));
            answers.try_collect().await
        };
        let answers = put.await;
        if let Some(neighbour) = &neighbour {
            neighbour.look().await;
        }
        answers
    }
}

/// The trailer that names the rule which a resumable stream broke; empty where there is none.
pub(crate) fn reason(status: &Status) -> &str {
    let reason = status.metadata().get("x-pgflight-reason");
    reason.map_or("", |reason| reason.to_str().expect("an ASCII trailer"))
}

/// `[schema, table]` or `[table]`.
pub(crate) fn path(parts: &[&str]) -> FlightDescriptor {
    FlightDescriptor::new_path(parts.iter().map(|part| (*part).to_owned()).collect())
}

/// A JSON command.
pub(crate) fn command(json: Value) -> FlightDescriptor {
    FlightDescriptor::new_cmd(json.to_string())
}

/// What a client sends for these batches: schema with descriptor first.
pub(crate) fn messages(to: FlightDescriptor, batches: &[RecordBatch]) -> Vec<FlightData> {
    let schema = batches
        .first()
        .expect("at least one batch, if only an empty one")
        .schema();
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_flight_descriptor(Some(to))
        .with_dictionary_handling(DictionaryHandling::Resend);
    let batches: Vec<_> = batches.iter().cloned().map(Ok).collect();
    let messages = encoder.build(futures::stream::iter(batches)).boxed().try_collect();
    futures::executor::block_on(messages).expect("batches of one schema can be encoded")
}

/// A batch of nullable columns.
pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("columns of one length")
}

/// A metadata-only message.
pub(crate) fn metadata(json: &str) -> FlightData {
    FlightData {
        app_metadata: json.to_owned().into(),
        ..FlightData::default()
    }
}

/// An `int8` column.
pub(crate) fn longs(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(arrow::array::Int64Array::from_iter_values(values))
}

/// A `text` column.
pub(crate) fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(arrow::array::StringArray::from(values.to_vec()))
}
