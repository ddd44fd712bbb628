//! A destination for tests of this door: it is there, and refuses whatever it is asked.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ingest::connection::ConnectionFailure;
use crate::ingest::error::Error;
use crate::ingest::ports::Permit;
use crate::ingest::ports::{Destination, Load, StreamState};
use crate::ingest::request::LoadRequest;
use crate::model::command::{DeleteRecords, DeleteStale, MigrateCommand};
use crate::model::ident::TableName;
use crate::model::migration::MigrationReport;

/// Refuses every load and command.
#[derive(Debug)]
pub(super) struct Closed;

fn closed<T>() -> Result<T, Error> {
    Err(Error::Internal("closed".to_owned()))
}

#[async_trait]
impl Destination for Closed {
    async fn open(&self, _: &Permit, _: LoadRequest) -> Result<Arc<dyn Load>, Error> {
        closed()
    }

    async fn open_stream(&self, _: &Permit, _: &str, _: &TableName) -> Result<StreamState, Error> {
        closed()
    }

    async fn stream_status(&self, _: &Permit, _: &str) -> Result<Option<StreamState>, Error> {
        closed()
    }

    async fn ready(&self) -> Result<(), Error> {
        closed()
    }

    async fn test_connection(&self) -> Result<(), ConnectionFailure> {
        Ok(())
    }

    async fn migrate(&self, _: &Permit, _: MigrateCommand) -> Result<MigrationReport, Error> {
        closed()
    }

    async fn delete_stale(&self, _: &Permit, _: DeleteStale) -> Result<u64, Error> {
        closed()
    }

    async fn delete_records(&self, _: &Permit, _: DeleteRecords) -> Result<u64, Error> {
        closed()
    }

    fn connections(&self) -> usize {
        8
    }
}
