//! The tasks of the agent, and their ordered, bounded stop.

use std::time::Duration;

use runtime::supervise::describe_end;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::SocialError;

/// The tasks of the agent, by the order in which they stop.
#[derive(Default)]
pub(super) struct Tasks {
    /// They read the source, until `reading` is cancelled.
    pub(super) readers: JoinSet<()>,
    /// Ends the readers.
    pub(super) reading: CancellationToken,
    /// They publish. Each ends after its reader.
    pub(super) lanes: JoinSet<()>,
    /// They keep the lease, until `release` is cancelled.
    pub(super) keepers: JoinSet<()>,
    /// Ends the keepers, which release the lease.
    pub(super) release: CancellationToken,
    /// They can stop at any time.
    pub(super) others: JoinSet<()>,
}

impl Tasks {
    /// Waits for `stop`, or until a task ends: it has panicked.
    ///
    /// # Errors
    /// [`SocialError::Ended`] if a task ended.
    pub(super) async fn until_stopped(&mut self, stop: &CancellationToken) -> Result<(), SocialError> {
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            Some(end) = self.readers.join_next() => Err(unexpected(end)),
            Some(end) = self.lanes.join_next() => Err(unexpected(end)),
            Some(end) = self.keepers.join_next() => Err(unexpected(end)),
            Some(end) = self.others.join_next() => Err(unexpected(end)),
        }
    }

    /// Stops the tasks in order: reading ends, the chunks that were read are published, the lease is released.
    ///
    /// # Errors
    /// [`SocialError::Unfinished`] if reading and publishing did not end within `grace`.
    pub(super) async fn stop(mut self, grace: Duration) -> Result<(), SocialError> {
        self.others.abort_all();
        self.reading.cancel();
        let in_order = async {
            while self.readers.join_next().await.is_some() {}
            while self.lanes.join_next().await.is_some() {}
        };
        let mut result = Ok(());
        if tokio::time::timeout(grace, in_order).await.is_err() {
            tracing::warn!(
                "shutdown timed out, unpublished rows are dropped and read again at the next start"
            );
            self.readers.shutdown().await;
            self.lanes.shutdown().await;
            result = Err(SocialError::Unfinished);
        }
        self.release.cancel();
        let _ = tokio::time::timeout(grace, self.keepers.join_next()).await;
        result
    }
}

fn unexpected(end: Result<(), JoinError>) -> SocialError {
    SocialError::Ended(
        end.err()
            .map_or("it returned", |error| describe_end(&error))
            .to_owned(),
    )
}
