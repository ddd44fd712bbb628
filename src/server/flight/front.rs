//! The FlightService that clients see. Plain descriptors are served here; everything that is not offered says so.

use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use super::action;
use super::descriptor::{self, Command};
use super::get;
use super::pump::{Lost, first_message};
use super::put::{Asked, PutAnswers, PutCall, PutContext};
use super::sql;
use crate::ingest::counted::Door;
use crate::ingest::error::{Error, RequestError};
use crate::model::caller::Caller;
use crate::server::auth::Authenticator;
use crate::server::status::{about, status};
use crate::server::upload::Gate;

/// How long a client that began a handshake is given to finish it.
const HANDSHAKE_PAUSE: Duration = Duration::from_millis(500);

/// Flight service over the ingest core.
#[derive(Clone, Debug)]
pub struct FlightFront {
    put: PutContext,
    authenticator: Authenticator,
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

impl FlightFront {
    /// A front over the given core.
    pub fn new(put: PutContext, authenticator: Authenticator) -> Self {
        Self { put, authenticator }
    }

    /// `named` becomes the table with its schema as soon as both are known, for a refusal that names none.
    async fn put(
        &self,
        caller: Caller,
        request: Request<Streaming<FlightData>>,
        named: &mut Option<String>,
    ) -> Result<PutAnswers, Error> {
        if self.put.life.draining.is_cancelled() {
            return Err(Error::Draining);
        }
        let (gate, place) = (Gate::of(&request), self.put.streams.take(&caller)?);
        let put = self.put.lent_to(&caller);
        let (headers, _, mut rest) = request.into_parts();
        let first = first_message(&put, &mut rest, &gate).await?.ok_or_else(|| {
            RequestError::Malformed(
                "the stream ended before its first message; send a descriptor with the schema, also when there are no rows"
                    .to_owned(),
            )
        })?;
        let Some(wanted) = &first.flight_descriptor else {
            return Err(RequestError::Malformed(
                "the first message carries no Flight descriptor; send a PATH [table] or a CMD {\"table\": \"t\"} with the schema"
                    .to_owned(),
            )
            .into());
        };
        let target = match descriptor::read(wanted)? {
            Command::Plain(target) => target,
            Command::FlightSql(sql::Command::CommandStatementIngest(ingest)) => {
                let target = sql::ingest::target(&ingest)?;
                sql::check_catalog(&put.destination, &caller, ingest.catalog.as_deref()).await?;
                target
            }
            Command::FlightSql(command) if sql::is_put(&command) => {
                let answer = sql::run::put(&put, &caller, &command, first, rest, &gate).await?;
                return Ok(futures::stream::iter([Ok(answer)]).boxed());
            }
            Command::FlightSql(command) => return Err(sql::refusal(&command).into()),
        };
        let schema = target.table.schema.as_ref().or(put.config.schema());
        *named = schema.map(|schema| target.table.or_schema(schema).to_string());
        let door = match target.ingest {
            Some(_) => Door::FlightSql,
            None => Door::Flight,
        };
        put.put(PutCall {
            asked: Asked {
                caller,
                headers,
                target,
                door,
            },
            first,
            rest: rest.map_err(Lost::from),
            gate,
            place,
        })
        .await
    }

    async fn act(&self, caller: &Caller, headers: &MetadataMap, action: &Action) -> Result<Bytes, Error> {
        let destination = &self.put.destination;
        if let Some(answer) = sql::session::answer(destination, caller, action).await? {
            return Ok(answer);
        }
        if let Some(answer) = sql::run::act(&self.put, caller, action).await? {
            return Ok(answer);
        }
        let answer = action::run(destination, &self.put.config, caller, headers, action).await?;
        Ok(answer.to_string().into())
    }
}

/// A request that failed before it had an answer stream is logged here.
fn refuse(error: &Error) -> Status {
    let status = status(error);
    tracing::info!(code = ?status.code(), error = %error, "call refused");
    status
}

fn not_offered<T>(what: &str, instead: &str) -> Result<T, Status> {
    Err(Status::unimplemented(format!(
        "{what} is not offered by this server; {instead}"
    )))
}

#[tonic::async_trait]
impl FlightService for FlightFront {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = PutAnswers;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<PutAnswers>, Status> {
        let caller = self.authenticator.caller(&request)?;
        let mut named = None;
        let answers: Result<Answers<PutResult>, Error> = self.put(caller, request, &mut named).await;
        let answers = answers.map_err(|error| match named {
            Some(table) => about(refuse(&error), &table),
            None => refuse(&error),
        })?;
        Ok(Response::new(answers))
    }

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let caller = self.authenticator.caller(&request);
        let header = request.metadata().get("authorization").cloned();
        // A client that is answered before it finished writing reports that, and not the refusal.
        let mut rest = request.into_inner();
        let mut patience = self.put.idle_timeout;
        while let Ok(Some(Ok(_))) = tokio::time::timeout(patience, rest.next()).await {
            // Some clients write one message, and do not finish before they are answered.
            patience = patience.min(HANDSHAKE_PAUSE);
        }
        let caller = caller?;
        let token = header.and_then(|header| self.authenticator.token_for(&caller, header.as_bytes()));
        let token = token.and_then(|token| MetadataValue::try_from(format!("Bearer {token}")).ok());
        // arrow-flight's Rust client insists on a message, the others do not mind one.
        let mut response = Response::new(futures::stream::iter([Ok(HandshakeResponse::default())]).boxed());
        // Without required tokens any handshake is welcome, and what it sent comes back as its token.
        if let Some(token) = token {
            response.metadata_mut().insert("authorization", token);
        }
        Ok(response)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let caller = self.authenticator.caller(&request)?;
        let listed = get::list(&self.put, caller, &request.get_ref().expression);
        listed.map(Response::new).map_err(|error| refuse(&error.into()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let caller = self.authenticator.caller(&request)?;
        let (headers, _, descriptor) = request.into_parts();
        let info = get::flight_info(&self.put, &caller, &headers, descriptor).await;
        info.map(Response::new).map_err(|error| refuse(&error))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        self.authenticator.caller(&request)?;
        not_offered("PollFlightInfo", "GetFlightInfo answers at once")
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = self.authenticator.caller(&request)?;
        let schema = get::schema(&self.put, &caller, request.get_ref()).await;
        schema.map(Response::new).map_err(|error| refuse(&error))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = self.authenticator.caller(&request)?;
        if self.put.life.draining.is_cancelled() {
            return Err(refuse(&Error::Draining));
        }
        let batches = get::do_get(&self.put, &caller, request.get_ref()).await;
        batches.map(Response::new).map_err(|error| refuse(&error))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.authenticator.caller(&request)?;
        not_offered("DoExchange", "rows are loaded by DoPut and read by DoGet")
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = self.authenticator.caller(&request)?;
        let (headers, action) = (request.metadata(), request.get_ref());
        let body = self
            .act(&caller, headers, action)
            .await
            .map_err(|error| refuse(&error))?;
        Ok(Response::new(
            futures::stream::iter([Ok(arrow_flight::Result { body })]).boxed(),
        ))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.authenticator.caller(&request)?;
        let actions = action::types().into_iter().chain(sql::session::types());
        let actions = actions.chain(sql::run::types(&self.put)).map(Ok);
        Ok(Response::new(futures::stream::iter(actions).boxed()))
    }
}
