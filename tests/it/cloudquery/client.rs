//! A CloudQuery client for tests: the generated stubs, and records and schemas as Arrow IPC streams.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use pgflight::server::cloudquery::pb;
use pgflight::server::cloudquery::pb::plugin_client::PluginClient;
use pgflight::server::cloudquery::pb::write::request::Message;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::support::pgbouncer::Neighbour;
use crate::support::server::Server;

/// Largest message of the protocol's clients.
const MAX_MESSAGE: usize = 200 << 20;

/// One client on a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Cq {
    pub(crate) plugin: PluginClient<Channel>,
    /// Another program behind the server's pooler, which looks at its session before and after each call.
    neighbour: Option<Arc<Neighbour>>,
}

impl Cq {
    /// A connection without Init.
    pub(crate) async fn connect(server: &Server) -> Self {
        let endpoint = Endpoint::new(server.http()).expect("the server's address is one");
        Self {
            neighbour: Neighbour::of(&server.http()),
            ..Self::over(endpoint.connect().await.expect("the server listens"))
        }
    }

    /// A client of whatever listens at the other end.
    pub(crate) fn over(channel: Channel) -> Self {
        let plugin = PluginClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE * 2);
        Self {
            plugin,
            neighbour: None,
        }
    }

    /// A connection that sent Init with an empty spec: the server's own database.
    pub(crate) async fn ready(server: &Server) -> Self {
        let mut cq = Self::connect(server).await;
        cq.init(&Value::Null).await.expect("an empty spec is the server's own");
        cq
    }

    pub(crate) async fn init(&mut self, spec: &Value) -> Result<(), Status> {
        let request = pb::init::Request {
            spec: spec.to_string().into(),
            no_connection: false,
            invocation_id: "00000000-0000-0000-0000-000000000001".to_owned(),
        };
        self.plugin.init(request).await.map(drop)
    }

    /// One Write call.
    pub(crate) async fn write(&mut self, messages: Vec<Message>) -> Result<(), Status> {
        let requests = messages
            .into_iter()
            .map(|message| pb::write::Request { message: Some(message) });
        let neighbour = self.neighbour.clone();
        if let Some(neighbour) = &neighbour {
            neighbour.look().await;
        }
        let requests = tokio_stream::iter(requests.collect::<Vec<_>>());
        let answer = self.plugin.write(requests).await.map(drop);
        if let Some(neighbour) = &neighbour {
            neighbour.look().await;
        }
        answer
    }

    /// As [`Cq::write`], for a call that must work.
    pub(crate) async fn put(&mut self, messages: Vec<Message>) {
        self.write(messages).await.unwrap_or_else(|status| panic!("{status:?}"));
    }

    /// The code and text that a call is refused with.
    pub(crate) async fn refused(&mut self, messages: Vec<Message>) -> (Code, String) {
        let status = self.write(messages).await.expect_err("the call is to be refused");
        (status.code(), status.message().to_owned())
    }

    /// All rows of a table, in the types of `schema`.
    pub(crate) async fn read(&mut self, schema: &Schema) -> Vec<RecordBatch> {
        let request = pb::read::Request {
            table: schema_bytes(schema).into(),
        };
        let mut answers = self
            .plugin
            .read(request)
            .await
            .unwrap_or_else(|status| panic!("{status:?}"))
            .into_inner();
        let mut batches = Vec::new();
        while let Some(answer) = answers.message().await.unwrap_or_else(|status| panic!("{status:?}")) {
            let mut reader = StreamReader::try_new(answer.record.as_ref(), None).expect("an IPC stream");
            batches.push(reader.next().expect("one batch").expect("a readable batch"));
            assert!(reader.next().is_none(), "a record is one batch");
        }
        batches
    }
}

/// A schema as the protocol carries it: a stream without batches.
pub(crate) fn schema_bytes(schema: &Schema) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, schema).expect("a schema can be written");
    writer.finish().expect("a stream can be ended");
    drop(writer);
    bytes
}

/// A record as the protocol carries it.
pub(crate) fn record_bytes(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batches[0].schema()).expect("a schema can be written");
    for batch in batches {
        writer.write(batch).expect("a batch can be written");
    }
    writer.finish().expect("a stream can be ended");
    drop(writer);
    bytes
}

pub(crate) fn migrate(schema: &Schema) -> Message {
    migrate_with(schema, false)
}

pub(crate) fn migrate_with(schema: &Schema, migrate_force: bool) -> Message {
    Message::MigrateTable(pb::write::MessageMigrateTable {
        table: schema_bytes(schema).into(),
        migrate_force,
    })
}

pub(crate) fn insert(batch: &RecordBatch) -> Message {
    Message::Insert(pb::write::MessageInsert {
        record: record_bytes(std::slice::from_ref(batch)).into(),
    })
}

/// Deletion of rows of `source` before `micros` since 1970.
pub(crate) fn delete_stale(table: &str, source: &str, micros: i64) -> Message {
    let sync_time = prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000)).expect("below a million") * 1000,
    };
    #[expect(deprecated, reason = "the message has a field that nobody sends any more")]
    Message::Delete(pb::write::MessageDeleteStale {
        table: Vec::new().into(),
        source_name: source.to_owned(),
        sync_time: Some(sync_time),
        table_name: table.to_owned(),
    })
}

pub(crate) fn delete_records(table: &str, groups: Vec<pb::PredicatesGroup>, relations: &[(&str, &str)]) -> Message {
    let table_relations = relations.iter().map(|(table, parent)| pb::TableRelation {
        table_name: (*table).to_owned(),
        parent_table: (*parent).to_owned(),
    });
    Message::DeleteRecord(pb::write::MessageDeleteRecord {
        table_name: table.to_owned(),
        where_clause: groups,
        table_relations: table_relations.collect(),
    })
}

pub(crate) fn all_of(predicates: Vec<pb::Predicate>) -> pb::PredicatesGroup {
    pb::PredicatesGroup {
        grouping_type: pb::predicates_group::GroupingType::And as i32,
        predicates,
    }
}

pub(crate) fn any_of(predicates: Vec<pb::Predicate>) -> pb::PredicatesGroup {
    pb::PredicatesGroup {
        grouping_type: pb::predicates_group::GroupingType::Or as i32,
        predicates,
    }
}

/// `column = value`, the value being the first of `array`.
pub(crate) fn equals(column: &str, array: ArrayRef) -> pb::Predicate {
    let field = Field::new(column, array.data_type().clone(), true);
    equals_field(field, array)
}

pub(crate) fn equals_field(field: Field, array: ArrayRef) -> pb::Predicate {
    let column = field.name().clone();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).expect("one column");
    pb::Predicate {
        operator: 0,
        column,
        record: record_bytes(&[batch]).into(),
    }
}

/// A schema with CloudQuery's metadata.
pub(crate) fn schema(table: &str, fields: Vec<Field>) -> SchemaRef {
    let metadata = HashMap::from([("cq:table_name".to_owned(), table.to_owned())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// The field as a primary key column.
pub(crate) fn key(field: Field) -> Field {
    with(field, "cq:extension:primary_key")
}

/// The field with a unique constraint.
pub(crate) fn unique(field: Field) -> Field {
    with(field, "cq:extension:unique")
}

fn with(field: Field, flag: &str) -> Field {
    let mut metadata: HashMap<String, String> = field
        .metadata()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    metadata.insert(flag.to_owned(), "true".to_owned());
    field.with_metadata(metadata)
}

/// A moment that tests agree on, in microseconds since 1970.
pub(crate) const T: i64 = 1_700_000_000_123_456;
/// One second, in microseconds.
pub(crate) const SECOND: i64 = Duration::from_secs(1).as_micros() as i64;
