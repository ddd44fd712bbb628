//! Memory for the messages of one put: asked for when a message's length has come, more where it unpacks to more, and for its
//! dictionaries as long as they live. Decides who waits for what; counts nothing itself.

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::PutContext;
use super::decode::Decoder;
use crate::ingest::budget::{Beyond, ByteBudget, BytePermit};
use crate::ingest::error::{Error, StreamError};
use crate::ingest::session::Session;
use crate::server::arrow_ipc::Dictionary;

/// How long a dictionary waits for memory. What it waits for is dictionaries of other streams, which stay as long as these.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one put holds and may ask for.
#[derive(Debug)]
pub(crate) struct Room {
    budget: ByteBudget,
    dictionaries: ByteBudget,
    stopping: CancellationToken,
    /// Of the message that is on its way.
    coming: Option<BytePermit>,
    /// Whether that has all of what goes beyond the budget.
    alone: bool,
    /// Of the dictionaries that the stream's reader has.
    kept: HashMap<i64, BytePermit>,
    /// Bytes of dictionaries that came or went since the last batch. The next batch holds memory for them: batches before it,
    /// which may be all that keeps a dictionary alive that went, are written before it is.
    owed: usize,
}

impl Room {
    pub(crate) fn new(context: &PutContext) -> Self {
        Self {
            budget: context.budget.clone(),
            dictionaries: context.dictionaries.clone(),
            stopping: context.life.stopping.clone(),
            coming: None,
            alone: false,
            kept: HashMap::new(),
            owed: 0,
        }
    }

    /// Waits until a message of so many bytes may be received.
    pub(super) async fn let_in(&mut self, bytes: usize, session: &mut Session) -> Result<(), Error> {
        self.coming = Some(self.acquire(bytes, session).await?);
        Ok(())
    }

    /// Holds so many bytes in all for what is on its way and has not become a batch. Where there is no room for more of them, one stream
    /// at a time goes on alone. Before there is a session nothing is held that others could wait for.
    pub(crate) async fn grow(&mut self, bytes: usize, mut session: Option<&mut Session>) -> Result<(), Error> {
        let Some(mut room) = self.coming.take() else {
            self.alone = false;
            self.coming = Some(match session {
                Some(session) => self.acquire(bytes, session).await?,
                None => self.acquire_first(bytes).await?,
            });
            return Ok(());
        };
        let fits = match room.is_beyond() {
            true => self.alone,
            false => self.budget.extend_now(&mut room, bytes),
        };
        if !fits {
            if let Some(session) = &mut session {
                session.flush().await?;
            }
            let all = self.budget.total();
            let extra = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Err(Error::Draining),
                extra = self.budget.acquire_beyond(Beyond::Unpacked, all) => extra,
                extra = starved_if_any(&self.budget, all, session) => extra?,
            };
            room.merge(extra);
            self.alone = true;
        }
        self.coming = Some(room);
        Ok(())
    }

    async fn acquire_first(&self, bytes: usize) -> Result<BytePermit, Error> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Error::Draining),
            room = self.budget.acquire(bytes) => Ok(room),
        }
    }

    /// What is held for what is on its way, to be kept by whoever takes it.
    pub(crate) fn take(&mut self) -> Option<BytePermit> {
        self.coming.take()
    }

    /// The memory of a batch that is read from what memory is held for already.
    pub(crate) async fn beside(&self, bytes: usize, session: &mut Session) -> Result<BytePermit, Error> {
        if let Some(room) = self.budget.try_acquire(bytes) {
            return Ok(room);
        }
        session.flush().await?;
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Error::Draining),
            room = self.budget.acquire_beyond(Beyond::Unpacked, bytes) => Ok(room),
            room = starved(&self.budget, bytes, session) => room,
        }
    }

    /// The memory of a batch that takes so many bytes, from the message that it came in.
    pub(crate) async fn of_batch(&mut self, bytes: usize, session: &mut Session) -> Result<BytePermit, Error> {
        let bytes = bytes.saturating_add(self.owed);
        let Some(mut room) = self.coming.take() else {
            return self.acquire(bytes, session).await;
        };
        if self.budget.extend_now(&mut room, bytes) {
            return Ok(room);
        }
        if room.is_beyond() {
            // Two that hold a part of what goes beyond the budget would wait for each other's.
            drop(room);
            return self.acquire(bytes, session).await;
        }
        session.flush().await?;
        let more = bytes - room.bytes();
        let extra = tokio::select! {
            biased;
            () = self.stopping.cancelled() => return Err(Error::Draining),
            extra = self.budget.acquire_beyond(Beyond::Unpacked, more) => extra,
            extra = starved(&self.budget, more, session) => extra?,
        };
        room.merge(extra);
        Ok(room)
    }

    /// A batch went on with its memory, and what was owed with it.
    pub(crate) fn settle(&mut self) {
        self.owed = 0;
    }

    /// Holds memory for a dictionary that takes so many bytes, in the place of the one that it replaces.
    pub(super) async fn of_dictionary(
        &mut self,
        coming: Dictionary,
        bytes: usize,
        decoder: &mut Decoder,
        session: &mut Session,
    ) -> Result<(), DictionaryRefused> {
        let known = decoder.dictionaries();
        let before = known.bytes_of(coming.id);
        self.owed = self.owed.saturating_add(before).saturating_add(bytes);
        if !coming.is_delta {
            known.forget(coming.id);
            self.kept.remove(&coming.id);
        }
        let (together, most) = (known.total_bytes().saturating_add(bytes), self.dictionaries.total());
        if together > most {
            return Err(DictionaryRefused::TooLarge(format!(
                "the dictionaries of the stream take {together} bytes together; at most {most} are kept \
                 (a quarter of limits.max_inflight_bytes), send plain values or smaller dictionaries"
            )));
        }
        let permit = match self.dictionaries.try_acquire(bytes) {
            Some(permit) => permit,
            None => {
                session.flush().await.map_err(DictionaryRefused::Other)?;
                let acquired = tokio::time::timeout(PATIENCE, self.dictionaries.acquire(bytes));
                acquired.await.map_err(|_| {
                    DictionaryRefused::Other(
                        StreamError::NoMemory {
                            what: "a dictionary, beside those of other streams",
                            kept: session.kept(),
                        }
                        .into(),
                    )
                })?
            }
        };
        match self.kept.get_mut(&coming.id) {
            Some(held) => held.merge(permit),
            None => drop(self.kept.insert(coming.id, permit)),
        }
        Ok(())
    }

    /// A message that is no batch was read: nothing of it is in memory but what dictionaries hold.
    pub(super) fn let_go(&mut self) {
        self.coming = None;
    }

    /// Memory for a message. Whoever has to wait first lets go of what it holds itself; and who then holds nothing but a
    /// connection goes on beyond the budget, because those who hold the memory may be waiting for that connection.
    async fn acquire(&self, bytes: usize, session: &mut Session) -> Result<BytePermit, Error> {
        if let Some(permit) = self.budget.try_acquire(bytes) {
            return Ok(permit);
        }
        session.flush().await?;
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Error::Draining),
            permit = self.budget.acquire(bytes) => Ok(permit),
            permit = starved(&self.budget, bytes, session) => permit,
        }
    }
}

/// Why a dictionary is not kept.
#[derive(Debug)]
pub(super) enum DictionaryRefused {
    /// It is too large for its stream, in words for the client.
    TooLarge(String),
    /// Anything else.
    Other(Error),
}

async fn starved_if_any(budget: &ByteBudget, bytes: usize, session: Option<&mut Session>) -> Result<BytePermit, Error> {
    match session {
        Some(session) => starved(budget, bytes, session).await,
        None => std::future::pending().await,
    }
}

async fn starved(budget: &ByteBudget, bytes: usize, session: &mut Session) -> Result<BytePermit, Error> {
    session.starved().await?;
    Ok(budget.acquire_beyond(Beyond::Starved, bytes).await)
}
