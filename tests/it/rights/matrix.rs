//! Every call of every door and every action, with no, a wrong, an expired, another's and the right credentials: allowed or
//! refused as the table in docs/security.md says. The calls are read from the code, so that a new one needs a row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, CommandGetDbSchemas,
    CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate, ProstMessageExt, TableDefinitionOptions,
};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use futures::TryStreamExt;
use pgflight::server::cloudquery::pb;
use prost::Message;
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::provider::{Provider, jwt};
use crate::cloudquery::client::{insert, schema_bytes};
use crate::flight_refusals::rows;
use crate::http::client;
use crate::support::database::Database;
use crate::support::flight::{messages, path};
use crate::support::server::Server;

const FLIGHT: &str = "arrow.flight.protocol.FlightService";
const PLUGIN: &str = "cloudquery.plugin.v3.Plugin";

/// Names of the methods that a service's trait has, from our implementation of it, which must have all.
fn methods(file: &str, service: &str) -> Vec<String> {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it works");
    let start = source.find(&format!("\nimpl {service} for ")).expect(service);
    let body = source
        .get(start..)
        .expect("a boundary")
        .split("\n}\n")
        .next()
        .expect("it works");
    let names = body
        .split("async fn ")
        .skip(1)
        .map(|rest| rest.split('(').next().expect("it works"));
    let camel = |name: &str| {
        let words = name.split('_').map(|word| {
            let (first, rest) = word.split_at_checked(1).expect("a word");
            first.to_uppercase() + rest
        });
        words.collect::<String>()
    };
    let names: Vec<String> = names.map(camel).collect();
    assert!(!names.is_empty(), "{service}");
    names
}

/// Every call, and every action of `DoAction`, as rows are called in the table.
async fn calls(flight: &Channel, token: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    let mut add = |file, service, prefix: &str| {
        calls.extend(methods(file, service).into_iter().map(|name| format!("{prefix}{name}")));
    };
    add("src/server/flight/front.rs", "FlightService", "");
    add("src/server/cloudquery/service.rs", "Plugin", "Plugin.");
    add("src/server/cloudquery/service.rs", "DiscoveryV1", "discovery.v1.");
    add("src/server/cloudquery/service.rs", "DiscoveryV0", "discovery.v0.");
    add("src/server/health.rs", "Health", "Health.");
    let mut client = arrow_flight::flight_service_client::FlightServiceClient::new(flight.clone());
    let mut request = Request::new(Empty {});
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().expect("it works"));
    let actions: Vec<_> = client
        .list_actions(request)
        .await
        .expect("it works")
        .into_inner()
        .try_collect()
        .await
        .expect("it works");
    calls.extend(pgflight::server::http::routes().map(|(method, path)| format!("{} {path}", method.to_uppercase())));
    calls.extend(actions.into_iter().map(|action| format!("DoAction {}", action.r#type)));
    calls.remove("DoAction");
    calls
}

/// Where a row's call goes, and what is sent.
fn sent(row: &str) -> (String, Vec<Vec<u8>>) {
    let (call, detail) = row.split_once(' ').unwrap_or((row, ""));
    let of = |service: &str, method: &str, messages: Vec<Vec<u8>>| (format!("/{service}/{method}"), messages);
    match call.rsplit_once('.') {
        None => of(FLIGHT, call, flight(call, detail)),
        Some(("Plugin", method)) => of(PLUGIN, method, vec![plugin(method)]),
        Some(("Health", method)) => of("grpc.health.v1.Health", method, vec![Vec::new()]),
        Some((service, method)) => of(&format!("cloudquery.{service}.Discovery"), method, vec![Vec::new()]),
    }
}

fn flight(call: &str, detail: &str) -> Vec<Vec<u8>> {
    let named = path(&["public", "t"]);
    let command = |command: Vec<u8>| vec![FlightDescriptor::new_cmd(command).encode_to_vec()];
    let put = |to: FlightDescriptor| messages(to, &[rows()]).iter().map(Message::encode_to_vec).collect();
    match (call, detail) {
        ("Handshake", _) => vec![HandshakeRequest::default().encode_to_vec()],
        ("ListFlights", _) => vec![Criteria::default().encode_to_vec()],
        ("GetFlightInfo" | "GetSchema", "query") => {
            let query = CommandStatementQuery {
                query: "select 1".to_owned(),
                transaction_id: None,
            };
            command(query.as_any().encode_to_vec())
        }
        ("GetFlightInfo" | "GetSchema" | "PollFlightInfo", _) => vec![named.encode_to_vec()],
        ("DoGet", "metadata") => {
            let asked = CommandGetDbSchemas::default().as_any().encode_to_vec();
            vec![Ticket::new(asked).encode_to_vec()]
        }
        ("DoGet", _) => vec![Ticket::new("public.t").encode_to_vec()],
        ("DoPut", "ingest") => put(FlightDescriptor::new_cmd(ingest())),
        ("DoPut", "update") => {
            let update = CommandStatementUpdate {
                query: "insert into t values (1)".to_owned(),
                transaction_id: None,
            };
            let data = FlightData {
                flight_descriptor: Some(FlightDescriptor::new_cmd(update.as_any().encode_to_vec())),
                ..FlightData::default()
            };
            vec![data.encode_to_vec()]
        }
        ("DoPut" | "DoExchange", _) => put(named),
        ("DoAction", name) => vec![action(name).encode_to_vec()],
        ("ListActions", _) => vec![Vec::new()],
        (other, _) => panic!("the test does not know what to send for {other}"),
    }
}

fn ingest() -> Vec<u8> {
    let ingest = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: 1,
            if_exists: 2,
        }),
        schema: Some("public".to_owned()),
        table: "t".to_owned(),
        ..CommandStatementIngest::default()
    };
    ingest.as_any().encode_to_vec()
}

fn plugin(method: &str) -> Vec<u8> {
    match method {
        "Write" => {
            let message = Some(insert(&cq_rows()));
            pb::write::Request { message }.encode_to_vec()
        }
        "Read" => {
            let table = schema_bytes(&cq_rows().schema()).into();
            pb::read::Request { table }.encode_to_vec()
        }
        _ => Vec::new(),
    }
}

fn cq_rows() -> arrow::array::RecordBatch {
    let batch = rows();
    let mut schema = batch.schema().as_ref().clone();
    schema.metadata.insert("cq:table_name".to_owned(), "t".to_owned());
    batch.with_schema(std::sync::Arc::new(schema)).expect("it works")
}

fn action(name: &str) -> Action {
    let table = json!({"schema": "public", "table": "t"});
    let with = |more: Value| {
        let mut body = table.clone();
        body.as_object_mut()
            .expect("it works")
            .extend(more.as_object().expect("it works").clone());
        body.to_string()
    };
    let schema = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(schema_bytes(&rows().schema()))
    };
    let body = match name {
        "pgflight.migrate" => with(json!({"arrow_schema": schema})),
        "pgflight.delete_stale" => with(json!({"source_name": "s", "sync_time": "2026-01-01T00:00:00Z"})),
        "pgflight.delete_records" => with(json!({"all": true})),
        "pgflight.stream.open" => with(json!({"stream_id": "x"})),
        "pgflight.stream.status" => json!({"stream_id": "x"}).to_string(),
        "CreatePreparedStatement" => {
            let request = ActionCreatePreparedStatementRequest {
                query: "select 1".to_owned(),
                transaction_id: None,
            };
            return Action::new(name, request.as_any().encode_to_vec());
        }
        "ClosePreparedStatement" => {
            let request = ActionClosePreparedStatementRequest {
                prepared_statement_handle: vec![10, 1, b'x'].into(),
            };
            return Action::new(name, request.as_any().encode_to_vec());
        }
        _ => String::new(),
    };
    Action::new(name, body)
}

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl tonic::codec::Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<()>, Status> {
        let left = bytes::Buf::remaining(buffer);
        bytes::Buf::advance(buffer, left);
        Ok(Some(()))
    }
}

async fn call(channel: &Channel, row: &str, token: Option<&str>) -> Code {
    let (path, messages) = sent(row);
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("the server listens");
    let mut request = Request::new(futures::stream::iter(messages));
    if let Some(token) = token {
        let header = format!("Bearer {token}").parse().expect("ASCII");
        request.metadata_mut().insert("authorization", header);
    }
    let answers = match grpc.streaming(request, path.parse().expect("a path"), Raw).await {
        Ok(answers) => answers,
        Err(status) => return status.code(),
    };
    let mut answers = answers.into_inner();
    loop {
        match answers.message().await {
            // Watch never ends.
            Ok(Some(())) if row == "Health.Watch" => return Code::Ok,
            Ok(Some(())) => {}
            Ok(None) => return Code::Ok,
            Err(status) => return status.code(),
        }
    }
}

async fn over_http(server: &Server, method: &str, path: &str, token: Option<&str>) -> Code {
    let path = format!("/{}", path.replace("{schema}", "public").replace("{table}", "t"));
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(token.map(|_| ("authorization", bearer.as_str())));
    let body = r#"{"id": 1, "name": "x"}"#;
    let answer = client::send(server.http_door(), method, &path, &headers, body).await;
    match answer.status {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        _ => Code::Ok,
    }
}

/// The rows of the table in the documentation: a call, and what it says for each kind of credentials.
fn documented() -> BTreeMap<String, Vec<String>> {
    let docs =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).expect("it works");
    let table = docs
        .split("| call | none | wrong | expired | another's | right |")
        .nth(1)
        .expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        (
            cells.next().expect("it works").trim_matches('`').to_owned(),
            cells.collect(),
        )
    };
    rows.map(row).collect()
}

fn word(code: Code) -> &'static str {
    match code {
        Code::Unauthenticated => "no",
        Code::PermissionDenied => "denied",
        _ => "yes",
    }
}

/// One with all rights to table t, and another with all to table u.
fn settings(keys: &str) -> Value {
    let may = ["append", "overwrite", "replace", "delete", "migrate", "read"];
    json!({
        "flight_sql": {"queries": "read-write"},
        "http_listen": "127.0.0.1:0",
        "auth": {
            "jwt": jwt(keys),
            "rules": [
                {"principal": "right", "tables": ["public.t"], "may": may},
                {"principal": "right", "tables": ["*"], "may": ["query", "admin"]},
                {"principal": "another", "tables": ["public.u"], "may": may},
            ],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_allowed_or_refused_as_the_table_says_and_every_call_has_a_row() {
    let provider = Provider::new();
    let file = std::env::temp_dir().join(format!("pgflight-keys-{:08x}.json", fastrand::u32(..)));
    std::fs::write(&file, provider.set()).expect("it works");
    let database = Database::create().await;
    database.execute("create table t (id bigint, name text)").await;
    let server = Server::start_with(database.uri(), settings(file.to_str().expect("a path"))).await;
    let right = provider.token("right", 600);
    let credentials = [
        None,
        Some(Provider::new().token("right", 600)),
        Some(provider.token("right", -600)),
        Some(provider.token("another", 600)),
        Some(right.clone()),
    ];
    let channel = async || {
        Channel::from_shared(server.http())
            .expect("it works")
            .connect()
            .await
            .expect("it works")
    };
    let (documented, known) = (documented(), calls(&channel().await, &right).await);
    let without: Vec<&String> = known.iter().filter(|call| !documented.contains_key(*call)).collect();
    assert!(without.is_empty(), "no row in docs/security.md for {without:?}");
    let mut wrong = Vec::new();
    for (row, cells) in &documented {
        let gone = !known.contains(row) && !row.split(' ').next().is_some_and(|call| known.contains(call));
        assert!(!gone, "there is no call {row} any more");
        for (token, told) in credentials.iter().zip(cells) {
            let channel = channel().await;
            if row.starts_with("Plugin.") && row != "Plugin.Init" {
                call(&channel, "Plugin.Init", token.as_deref()).await;
            }
            let code = match row.split_once(" /") {
                Some((method, path)) => over_http(&server, method, path, token.as_deref()).await,
                None => call(&channel, row, token.as_deref()).await,
            };
            if word(code) != told {
                let whose = credentials.iter().position(|other| other == token).expect("it works");
                wrong.push(format!(
                    "{row}, credentials {whose}: {code:?}, and docs/security.md says {told}"
                ));
            }
        }
    }
    std::fs::remove_file(file).expect("it works");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
