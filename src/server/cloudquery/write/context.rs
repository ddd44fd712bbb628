//! What a Write call works with.

use std::sync::Arc;
use std::time::Duration;

use crate::ingest::budget::ByteBudget;
use crate::ingest::guard::Guarded;
use crate::ingest::journal::Journal;
use crate::model::caller::Caller;
use crate::server::cloudquery::clients::Client;

/// What a Write call works with.
#[derive(Clone, Debug)]
pub(in crate::server::cloudquery) struct WriteContext {
    pub(in crate::server::cloudquery) client: Arc<Client>,
    pub(in crate::server::cloudquery) destination: Guarded,
    pub(in crate::server::cloudquery) caller: Caller,
    pub(in crate::server::cloudquery) budget: ByteBudget,
    pub(in crate::server::cloudquery) idle_timeout: Duration,
    pub(in crate::server::cloudquery) journal: Journal,
}
