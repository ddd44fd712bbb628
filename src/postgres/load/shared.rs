//! What both kinds of load need: connections, the plan and how to make it again, and what is done after a failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use super::destination::PgDestination;
use super::plan::Plan;
use super::refusals::is_changed;
use super::retry::{Next, Policy, Tries};
use super::stale::Stale;
use crate::ingest::request::LoadRequest;
use crate::postgres::error::Error;
use crate::postgres::migrate::{Blocker, blockers};
use crate::postgres::pool::{Begin, Connection};
use crate::sql::state::Remedy;
use crate::telemetry::names;

/// The means of one load.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) destination: PgDestination,
    pub(super) request: LoadRequest,
    plan: RwLock<Arc<Plan>>,
    policy: Policy,
    /// Whether the plan was made for another load, and nobody has looked at the table since.
    on_trust: AtomicBool,
}

impl Shared {
    pub(super) fn new(destination: PgDestination, request: LoadRequest, plan: Arc<Plan>) -> Self {
        Self {
            policy: Policy::new(destination.retry_on_deadlock, destination.retry_timeout),
            destination,
            request,
            plan: RwLock::new(plan),
            on_trust: AtomicBool::new(false),
        }
    }

    /// Whether the plan was made for another load.
    pub(super) fn on_trust(self, is: bool) -> Self {
        Self {
            on_trust: AtomicBool::new(is),
            ..self
        }
    }

    pub(super) fn is_on_trust(&self) -> bool {
        self.on_trust.load(Ordering::Relaxed)
    }

    /// The table is looked at from here on; whether it was not before.
    pub(super) fn end_trust(&self) -> bool {
        self.on_trust.swap(false, Ordering::Relaxed)
    }

    /// Whether a failure may come of a plan that does not fit any more. The load has to look at its table then and go on, as
    /// if it had done so before.
    pub(super) fn distrusts(&self, error: &Error) -> bool {
        let of_the_stream = matches!(error, Error::Stream(_));
        let passes = match error.remedy() {
            Remedy::Reconnect | Remedy::Wait | Remedy::Unknown => true,
            // What others do at the same time; a table that is not in the state for it is told by the same remedy (55000).
            Remedy::Again => error
                .sqlstate()
                .is_some_and(|code| code.starts_with("40") || code == "55P03"),
            Remedy::None | Remedy::Replan | Remedy::Halve => false,
        };
        if of_the_stream || passes || !self.end_trust() {
            return false;
        }
        tracing::debug!(error = %error, table = %self.request.table, "a load by a plan that was kept looks at its table");
        if error.remedy() == Remedy::Replan {
            self.destination.known.forget(&self.plan());
        }
        true
    }

    /// A plan on trust is good only in a session that was there when the table was looked at.
    pub(super) fn check_trust(&self, connection: &Connection) -> Result<(), Error> {
        let plan = self.plan();
        let vouches = |read| connection.vouches_for(read);
        match plan.stamp.as_ref().is_some_and(|stamp| vouches(stamp.read)) || !self.is_on_trust() {
            true => Ok(()),
            false => Err(Error::Changed {
                table: plan.table.to_string(),
            }),
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
        self.end_trust();
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
