//! How long an answer of Postgres is waited for. A server that was stopped, or a machine between that swallows packets while
//! it acknowledges them, keeps a connection open and says nothing: its own `statement_timeout` cannot end that.

use std::time::Duration;

use crate::postgres::error::Error;

/// What an answer may take beyond `statement_timeout`, by which Postgres itself ends the statement.
const SLACK: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a statement that waits for nothing, as BEGIN.
const PROMPT: Duration = Duration::from_secs(30);
/// Statements that make a table fit, each of which may take `statement_timeout`; most of them take no time.
const MIGRATION: u32 = 4;

/// Longest wait for an answer; `None` where `statement_timeout` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience(Option<Duration>);

impl Patience {
    /// For statements that `statement_timeout` ends; [`Duration::MAX`] stands for one without limit.
    pub(super) fn new(statement_timeout: Duration) -> Self {
        Self(statement_timeout.checked_add(SLACK))
    }

    /// For several statements in a row that read the catalog and change a table.
    pub(super) fn migration(self) -> Self {
        Self(self.0.map(|limit| limit.saturating_mul(MIGRATION)))
    }

    /// For a statement that waits for nothing.
    pub(super) fn prompt(self) -> Self {
        Self(Some(self.0.map_or(PROMPT, |limit| limit.min(PROMPT))))
    }

    /// Waits for an answer.
    ///
    /// # Errors
    /// What the work fails with, or [`Error::Silent`]; the connection must then be thrown away.
    pub(super) async fn wait<T>(self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        // On the heap, because a load's future is deep enough to be felt on the stack without it.
        let work = Box::pin(work);
        let Some(limit) = self.0 else { return work.await };
        match tokio::time::timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::Silent {
                seconds: limit.as_secs_f64(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_waited_for_and_silence_is_not() {
        let patience = Patience(Some(Duration::from_millis(20)));
        let silent = patience.wait(std::future::pending::<Result<(), Error>>()).await;
        assert!(
            matches!(silent, Err(Error::Silent { seconds }) if seconds == 0.02),
            "{silent:?}"
        );
        assert_eq!(patience.wait(async { Ok(7) }).await.unwrap(), 7);
    }

    #[test]
    fn without_a_limit_only_prompt_answers_are_limited() {
        let endless = Patience::new(Duration::MAX);
        assert_eq!((endless, endless.migration()), (Patience(None), Patience(None)));
        assert_eq!(endless.prompt(), Patience(Some(PROMPT)));
        assert_eq!(
            Patience::new(Duration::from_secs(1)).prompt(),
            Patience(Some(Duration::from_secs(6)))
        );
        assert_eq!(
            Patience::new(Duration::from_secs(1)).migration(),
            Patience(Some(Duration::from_secs(24)))
        );
    }
}
