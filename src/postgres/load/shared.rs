//! What both kinds of load need: connections, the plan and how to make it again, and what is done after a failure.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use super::destination::PgDestination;
use super::plan::Plan;
use super::retry::{Next, Policy, Tries};
use super::stale::Stale;
use super::transaction::is_changed;
use crate::ingest::request::LoadRequest;
use crate::postgres::error::Error;
use crate::postgres::migrate::{Blocker, blockers};
use crate::postgres::pool::Begin;
use crate::sql::state::Remedy;
use crate::telemetry::names;

/// The means of one load.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) destination: PgDestination,
    pub(super) request: LoadRequest,
    plan: RwLock<Arc<Plan>>,
    policy: Policy,
}

impl Shared {
    pub(super) fn new(destination: PgDestination, request: LoadRequest, plan: Arc<Plan>) -> Self {
        Self {
            policy: Policy::new(destination.retry_on_deadlock, destination.retry_timeout),
            destination,
            request,
            plan: RwLock::new(plan),
        }
    }

    pub(super) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_plan(&self, plan: Arc<Plan>) {
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// The load's name in the reject table, where it has rows there.
    pub(super) fn load_id(&self, rejected: u64) -> Option<String> {
        (rejected > 0).then(|| self.request.load_id.clone())
    }

    /// Whether what looks stale may go. After a rejected row it may not: the row of an earlier sync could be the only one
    /// that is left of it.
    pub(super) fn may_delete_stale(&self, stale: &[Stale], left_out: u64) -> bool {
        if left_out > 0 && !stale.is_empty() {
            let table = &self.request.table;
            tracing::warn!(table = %table, left_out, "rows were rejected or suppressed, so no stale rows are deleted");
        }
        left_out == 0
    }

    pub(super) fn tries(&self) -> Tries {
        Tries::new(self.policy, Instant::now())
    }

    /// The failure itself, or that the table was changed, where that explains it: bytes that were encoded for one type are
    /// refused by another one, as a rule.
    pub(super) async fn explained(&self, error: Error) -> Error {
        if error.sqlstate() == Some("55P03") {
            return self.blamed(error).await;
        }
        // Values that are none, messages too short (08P01), versions of a format that there never was (XX000).
        let suspicious = error
            .sqlstate()
            .is_some_and(|code| code.starts_with("22") || code == "08P01" || code == "XX000");
        if !suspicious {
            return error;
        }
        let plan = self.plan();
        let Ok(mut connection) = self.destination.connections.get().await else {
            return error;
        };
        let Ok(scope) = connection.scope().await else {
            return error;
        };
        match scope.batch_execute(&plan.unchanged).await {
            Err(found) if is_changed(&found) => Error::Changed {
                table: plan.table.to_string(),
            },
            _ => error,
        }
    }

    /// A wait for a lock that was in vain, with who holds it: whoever has the table locked against writers, else whoever has
    /// written rows of it.
    async fn blamed(&self, mut error: Error) -> Error {
        let plan = self.plan();
        let Error::Statement {
            table: Some(table),
            blocked,
            ..
        } = &mut error
        else {
            return error;
        };
        let Ok(mut connection) = self.destination.connections.get().await else {
            return error;
        };
        let Ok(scope) = connection.scope().await else {
            return error;
        };
        if *table == plan.table.to_string() {
            let found = blockers(scope.driver(), plan.oid, 0).await;
            *blocked = in_the_way(found, plan.replaces());
        }
        error
    }

    /// Decides what follows a failure, and notes it. `started` is when the failed try began.
    pub(super) fn after(&self, tries: &mut Tries, error: &Error, started: Instant) -> Next {
        if error.poisons_pool() {
            tracing::warn!(error = %error, "the server takes no writes any more: all connections are made anew");
            self.destination.connections.condemn();
        }
        let mut remedy = error.remedy();
        if error.sqlstate() == Some("53100") {
            self.destination.room.found_none(Instant::now());
        }
        // Cancelled before our own limit passed: somebody else wants this statement gone.
        if error.sqlstate() == Some("57014") && started.elapsed() < self.destination.statement_timeout(&self.request) {
            remedy = Remedy::None;
        }
        let next = tries.after(remedy, Instant::now(), fastrand::f64());
        if next != Next::GiveUp {
            let sqlstate = error.sqlstate().unwrap_or("connection").to_owned();
            metrics::counter!(names::RETRIES, "sqlstate" => sqlstate).increment(1);
            self.request.retries.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = %error, tries = tries.count(), next = ?next, "a transaction is run again");
        }
        next
    }

    /// Notes that a transaction went through, perhaps after others had failed.
    pub(super) fn went_through(&self, tries: &Tries) {
        if tries.count() > 0 {
            self.destination.room.found_some();
        }
    }

    /// Looks at the table again, which must still be there.
    pub(super) async fn replan(&self) -> Result<(), Error> {
        let opened = self.destination.open_existing(&self.request).await?;
        self.set_plan(opened);
        Ok(())
    }
}

/// Those of the sessions with locks on a table that a load waits for, in words; empty where there are none any more.
fn in_the_way(found: Vec<Blocker>, swaps: bool) -> String {
    const AGAINST_WRITERS: [&str; 4] = [
        "ShareLock",
        "ShareRowExclusiveLock",
        "ExclusiveLock",
        "AccessExclusiveLock",
    ];
    const OF_WRITERS: [&str; 2] = ["RowExclusiveLock", "RowShareLock"];
    let with = |modes: &[&str]| -> Vec<String> {
        let holds = |blocker: &&Blocker| blocker.mode.split(", ").any(|mode| modes.contains(&mode));
        found.iter().filter(holds).map(ToString::to_string).collect()
    };
    let mut named = match swaps {
        true => found.iter().map(ToString::to_string).collect(),
        false => with(&AGAINST_WRITERS),
    };
    if named.is_empty() {
        named = with(&OF_WRITERS);
    }
    match named.is_empty() {
        true => String::new(),
        false => format!("; blocked by {}", named.join("; ")),
    }
}
