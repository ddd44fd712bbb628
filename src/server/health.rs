//! gRPC health: says of each service what the readiness page says, when asked, and tells those who watch. Nothing is asked of
//! the destination while nobody wants to know.

use std::pin::Pin;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::Stream;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::cloudquery::CloudQueryFront;
use super::cloudquery::pb::plugin_server::PluginServer;
use super::flight::front::FlightFront;
use super::readiness::{Readiness, Verdict};

/// How often those who watch are looked after.
const INTERVAL: Duration = Duration::from_secs(1);

const FLIGHT: &str = <FlightServiceServer<FlightFront> as NamedService>::NAME;
const PLUGIN: &str = <PluginServer<CloudQueryFront> as NamedService>::NAME;

/// The service `grpc.health.v1.Health`.
#[derive(Clone, Debug)]
pub(super) struct HealthFront {
    readiness: Readiness,
}

impl HealthFront {
    pub(super) fn new(readiness: Readiness) -> Self {
        Self { readiness }
    }

    /// The status of a service, or of the server as a whole (`""`); `None` for one that is not known.
    async fn status(&self, service: &str) -> Option<ServingStatus> {
        if !["", FLIGHT, PLUGIN].contains(&service) {
            return None;
        }
        let verdict = self.readiness.verdict().await;
        Some(match verdict {
            Verdict::Ready => ServingStatus::Serving,
            // Plugins are started without a database of their own; their clients bring one.
            Verdict::NotReady(_) if service != FLIGHT && !self.readiness.has_destination() => ServingStatus::Serving,
            Verdict::NotReady(_) | Verdict::Draining => ServingStatus::NotServing,
        })
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for HealthFront {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        match self.status(service).await {
            Some(status) => Ok(Response::new(answer(status))),
            None => Err(Status::not_found(format!(
                "there is no service {service:?}; ask for \"\", {FLIGHT:?} or {PLUGIN:?}"
            ))),
        }
    }

    /// The status now, and again whenever it changes. A service that is not known may become known, says the protocol, so
    /// that is a status and not the end.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (front, service) = (self.clone(), request.into_inner().service);
        let changes = futures::stream::unfold(None, move |told| {
            let (front, service) = (front.clone(), service.clone());
            async move {
                let life = &front.readiness.life;
                loop {
                    let over = life.draining.is_cancelled();
                    let status = front.status(&service).await.unwrap_or(ServingStatus::ServiceUnknown);
                    if told != Some(status) {
                        return Some((Ok(answer(status)), Some(status)));
                    }
                    if over {
                        // Or a drain would wait for whoever watches.
                        return None;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(INTERVAL) => {}
                        () = life.leaving.cancelled(), if !life.leaving.is_cancelled() => {}
                        () = life.draining.cancelled() => {}
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}
