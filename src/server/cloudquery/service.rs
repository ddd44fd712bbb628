//! The plugin service: dispatch of each call to the part that does it. Methods of sources are refused by name.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::clients::{Client, Clients};
use super::discovery_v0::discovery_server::Discovery as DiscoveryV0;
use super::discovery_v1::discovery_server::Discovery as DiscoveryV1;
use super::pb::plugin_server::Plugin;
use super::spec::{SpecError, SpecPolicy};
use super::write::{WriteContext, Writer};
use super::{discovery_v0, discovery_v1, message, pb};
use crate::config::Config;
use crate::ingest::budget::ByteBudget;
use crate::ingest::connection::{ConnectionFailure, ConnectionFault, Destinations};
use crate::ingest::error::Error;
use crate::ingest::guard::{Guard, Guarded};
use crate::ingest::journal::Journal;
use crate::ingest::shares::Places;
use crate::model::caller::Caller;
use crate::server::auth::Authenticator;
use crate::server::connection::ConnectionInfo;
use crate::server::flight::put::Life;
use crate::server::status::{code, refusal, status};
use crate::server::upload::Gate;

/// The version of the plugin protocol that this service speaks.
const PROTOCOL: i32 = 3;

/// The CloudQuery service over the ingest core.
#[derive(Clone, Debug)]
pub struct CloudQueryFront {
    policy: SpecPolicy,
    destinations: Arc<dyn Destinations<Config>>,
    clients: Clients,
    authenticator: Authenticator,
    shared: Shared,
}

/// What this door has in common with the others.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Memory for batches in flight.
    pub budget: ByteBudget,
    /// Places for streams: `limits.max_streams` of all clients together. A Write call takes one.
    pub streams: Places,
    /// Longest pause in the middle of a message.
    pub idle_timeout: Duration,
    /// Where the server is in its life.
    pub life: Life,
    /// Where streams are noted.
    pub journal: Journal,
    /// Who may do what.
    pub guard: Guard,
    /// Whether `PG*` variables name the server's database, where no connection string does.
    pub environment: bool,
}

impl CloudQueryFront {
    /// A front that writes where clients' specs say, as far as `config` allows it.
    pub fn new(
        config: Arc<Config>,
        destinations: Arc<dyn Destinations<Config>>,
        authenticator: Authenticator,
        shared: Shared,
    ) -> Self {
        let (policy, clients) = (SpecPolicy::new(config, shared.environment), Clients::default());
        Self {
            policy,
            destinations,
            clients,
            authenticator,
            shared,
        }
    }

    /// Who calls, and the client that the call belongs to, with its destination.
    fn client<T>(&self, request: &Request<T>, call: &str) -> Result<Session, Status> {
        let caller = self.authenticator.caller(request)?;
        if self.shared.life.draining.is_cancelled() {
            return Err(status(&Error::Draining));
        }
        let connection = connection(request)?;
        let Some(client) = self.clients.of(&connection, &caller.principal) else {
            return Err(Status::failed_precondition(format!(
                "{call} came before Init on this connection, or after Close or an Init that was refused, and no other client is there whose settings it could use; call Init first"
            )));
        };
        match client.destination.clone() {
            Some(destination) => Ok(Session {
                caller,
                client,
                destination,
            }),
            None => Err(Status::failed_precondition(format!(
                "{call} needs a connection, and Init was called with no_connection"
            ))),
        }
    }

    async fn connect(&self, caller: &Caller, spec: &[u8]) -> Result<(super::spec::Settings, Guarded), InitError> {
        let guard = &self.shared.guard;
        guard.check_known(caller)?;
        let settings = self.policy.read(spec)?;
        if self.policy.is_beyond_tables(&settings) {
            guard.check_admin(caller)?;
        }
        let destination = guard.over(self.destinations.connect(Arc::clone(&settings.config)).await?);
        destination.test_connection().await?;
        Ok((settings, destination))
    }
}

/// What a call that needs a client works with.
struct Session {
    caller: Caller,
    client: Arc<Client>,
    destination: Guarded,
}

/// Why Init or TestConnection fails.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Connection(#[from] ConnectionFailure),
    #[error(transparent)]
    Denied(#[from] Error),
}

impl InitError {
    fn status(&self) -> Status {
        let code = match self {
            Self::Spec(_) => tonic::Code::InvalidArgument,
            Self::Connection(failure) => code(failure.class()),
            Self::Denied(error) => return status(error),
        };
        refusal(code, self.to_string())
    }

    /// The code that `test-connection` prints.
    fn failure_code(&self) -> &'static str {
        match self {
            Self::Spec(_) => "INVALID_SPEC",
            Self::Denied(_) => "PERMISSION_DENIED",
            Self::Connection(failure) => match failure.fault {
                ConnectionFault::Settings => "INVALID_CONFIG",
                ConnectionFault::Unreachable => "CONN_FAILED",
                ConnectionFault::Dns => "DNS_FAILED",
                ConnectionFault::Login => "AUTH_FAILED",
                ConnectionFault::Database => "UNKNOWN_DATABASE",
                ConnectionFault::Schema => "UNKNOWN_SCHEMA",
                ConnectionFault::Other => "UNKNOWN",
            },
        }
    }
}

fn connection<T>(request: &Request<T>) -> Result<ConnectionInfo, Status> {
    let known = ConnectionInfo::of(request).cloned();
    known.ok_or_else(|| Status::internal("the transport does not say which connection a call came over"))
}

fn of_sources<T>(method: &str) -> Result<T, Status> {
    Err(Status::unimplemented(format!(
        "{method} is a method of sources; pgflight is a destination"
    )))
}

#[tonic::async_trait]
impl Plugin for CloudQueryFront {
    type SyncStream = BoxStream<'static, Result<pb::sync::Response, Status>>;
    type ReadStream = super::read::Records;
    type TransformStream = BoxStream<'static, Result<pb::transform::Response, Status>>;

    async fn get_name(&self, _: Request<pb::get_name::Request>) -> Result<Response<pb::get_name::Response>, Status> {
        Ok(Response::new(pb::get_name::Response {
            name: "pgflight".to_owned(),
        }))
    }

    async fn get_version(
        &self,
        _: Request<pb::get_version::Request>,
    ) -> Result<Response<pb::get_version::Response>, Status> {
        let version = concat!("v", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(Response::new(pb::get_version::Response { version }))
    }

    async fn get_spec_schema(
        &self,
        _: Request<pb::get_spec_schema::Request>,
    ) -> Result<Response<pb::get_spec_schema::Response>, Status> {
        let json_schema = Some(self.policy.json_schema());
        Ok(Response::new(pb::get_spec_schema::Response { json_schema }))
    }

    async fn init(&self, request: Request<pb::init::Request>) -> Result<Response<pb::init::Response>, Status> {
        let caller = self.authenticator.caller(&request)?;
        if self.shared.life.draining.is_cancelled() {
            return Err(status(&Error::Draining));
        }
        let connection = connection(&request)?;
        let init = request.into_inner();
        let client = match init.no_connection {
            true => Ok(Client {
                principal: caller.principal,
                settings: self.policy.unchecked(),
                destination: None,
            }),
            false => self
                .connect(&caller, &init.spec)
                .await
                .map(|(settings, destination)| Client {
                    principal: caller.principal,
                    settings,
                    destination: Some(destination),
                }),
        };
        match client {
            Ok(client) => self.clients.init(&connection, client),
            Err(error) => {
                tracing::warn!(error = %error, peer = connection.peer.map(tracing::field::display), "a CloudQuery client was refused");
                self.clients.refuse(&connection);
                return Err(error.status());
            }
        }
        tracing::info!(
            peer = connection.peer.map(tracing::field::display),
            invocation = init.invocation_id,
            "a CloudQuery client began"
        );
        Ok(Response::new(pb::init::Response {}))
    }

    async fn write(
        &self,
        request: Request<Streaming<pb::write::Request>>,
    ) -> Result<Response<pb::write::Response>, Status> {
        let Session {
            caller,
            client,
            destination,
        } = self.client(&request, "Write")?;
        let place = self.shared.streams.take(&caller);
        let _place = place.map_err(|error| status(&error))?;
        let gate = Gate::of(&request);
        let writer = Writer::new(WriteContext {
            client,
            destination,
            budget: self.shared.budget.lent_to(&caller),
            caller,
            idle_timeout: self.shared.idle_timeout,
            journal: self.shared.journal.clone(),
        });
        let outcome = tokio::select! {
            outcome = writer.run(request.into_inner(), gate) => outcome,
            () = self.shared.life.stopping.cancelled() => Err(Error::Draining),
        };
        match outcome {
            Ok(counts) => {
                let (messages, rows, deleted) = (counts.messages, counts.rows, counts.deleted);
                tracing::info!(messages, rows, deleted, "a CloudQuery write ended");
                Ok(Response::new(pb::write::Response {}))
            }
            Err(error) => {
                let status = status(&error);
                tracing::warn!(code = ?status.code(), error = %error, "a CloudQuery write failed");
                Err(status)
            }
        }
    }

    async fn read(&self, request: Request<pb::read::Request>) -> Result<Response<Self::ReadStream>, Status> {
        let Session {
            caller, destination, ..
        } = self.client(&request, "Read")?;
        let table = message::read_table(request.into_inner().table).map_err(|error| status(&error.into()))?;
        let records = super::read::read(destination, &caller, &table, &self.shared).await;
        records.map(Response::new).map_err(|error| status(&error))
    }

    async fn close(&self, request: Request<pb::close::Request>) -> Result<Response<pb::close::Response>, Status> {
        self.authenticator.caller(&request)?;
        match self.clients.close(connection(&request)?.id) {
            true => Ok(Response::new(pb::close::Response {})),
            false => Err(Status::failed_precondition(
                "this connection has no client: it is closed already, or Init never came",
            )),
        }
    }

    async fn test_connection(
        &self,
        request: Request<pb::test_connection::Request>,
    ) -> Result<Response<pb::test_connection::Response>, Status> {
        let caller = self.authenticator.caller(&request)?;
        let answer = match self.connect(&caller, &request.into_inner().spec).await {
            Ok(_) => pb::test_connection::Response {
                success: true,
                ..Default::default()
            },
            Err(error) => pb::test_connection::Response {
                success: false,
                failure_code: error.failure_code().to_owned(),
                failure_description: error.to_string(),
            },
        };
        Ok(Response::new(answer))
    }

    async fn get_tables(
        &self,
        _: Request<pb::get_tables::Request>,
    ) -> Result<Response<pb::get_tables::Response>, Status> {
        of_sources("GetTables")
    }

    async fn sync(&self, _: Request<pb::sync::Request>) -> Result<Response<Self::SyncStream>, Status> {
        of_sources("Sync")
    }

    async fn transform(
        &self,
        _: Request<Streaming<pb::transform::Request>>,
    ) -> Result<Response<Self::TransformStream>, Status> {
        of_sources("Transform")
    }

    async fn transform_schema(
        &self,
        _: Request<pb::transform_schema::Request>,
    ) -> Result<Response<pb::transform_schema::Response>, Status> {
        of_sources("TransformSchema")
    }
}

#[tonic::async_trait]
impl DiscoveryV1 for CloudQueryFront {
    async fn get_versions(
        &self,
        _: Request<discovery_v1::get_versions::Request>,
    ) -> Result<Response<discovery_v1::get_versions::Response>, Status> {
        Ok(Response::new(discovery_v1::get_versions::Response {
            versions: vec![PROTOCOL],
        }))
    }
}

#[tonic::async_trait]
impl DiscoveryV0 for CloudQueryFront {
    async fn get_versions(
        &self,
        _: Request<discovery_v0::get_versions::Request>,
    ) -> Result<Response<discovery_v0::get_versions::Response>, Status> {
        Ok(Response::new(discovery_v0::get_versions::Response {
            versions: vec![format!("v{PROTOCOL}")],
        }))
    }
}
