//! Operations on chunks and receipts.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::{Lane, RecipientName};

use super::Sequence;
use crate::delivery::{Delivery, Settlement};
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::{Published, Stored};

/// Chunks and receipts.
#[async_trait]
pub trait FeedExchange: Send + Sync {
    /// Returns the last chunk of a lane.
    async fn last_chunk(&self, lane: &Lane) -> Result<Option<Stored>>;

    /// Asks the leader of the lane's stream for the sequence of the lane's last chunk, 0 if there is none; stores nothing. For the
    /// bureau, by its right to publish.
    ///
    /// [`FeedExchange::last_chunk`] may be answered by a replica that lags. A caller that concludes from an older tail first asks
    /// here, and judges only a tail with this sequence. The default is for a transport whose reads never lag.
    async fn leader_sequence(&self, lane: &Lane) -> Result<Sequence> {
        Ok(self.last_chunk(lane).await?.map_or(0, |stored| stored.sequence))
    }
    /// Publishes a chunk if the lane's last sequence is still `expected`.
    ///
    /// [`Published::Conflict`] if it is not: the caller reads [`FeedExchange::last_chunk`] and continues from there. After an
    /// error of kind `Unknown` (a missing acknowledgement) the chunk may be stored: the caller reads as well.
    async fn publish_chunk(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published>;

    /// Returns the lanes of a recipient that have a message on their data subjects, sorted. The recipient, the bureau and the
    /// auditor may call it. Optional for benchmark transports.
    async fn lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        let what = format!("data.{recipient}.*: this transport does not list the lanes");
        Err(Error::new(ErrorKind::Protocol, what))
    }

    /// Fetches up to `max` chunks for a recipient, in the exchange's order of redelivery. May return fewer while there are more:
    /// only an empty result together with [`FeedExchange::is_drained`] means that there are none now. Waits no longer than the
    /// transport's own limit.
    async fn fetch_chunks(&self, recipient: &RecipientName, max: usize) -> Result<Vec<Delivery>>;

    /// Returns whether the exchange has no undelivered chunk for the recipient.
    async fn is_drained(&self, recipient: &RecipientName) -> Result<bool>;

    /// Settles deliveries and waits until the exchange has stored that. Settling is idempotent. A delivery that is never
    /// settled is redelivered.
    async fn settle(&self, deliveries: &[Delivery], settlement: Settlement) -> Result<()>;

    /// Returns the last receipt of a lane.
    async fn last_receipt(&self, lane: &Lane) -> Result<Option<Stored>>;

    /// Returns the lanes of a recipient that have a receipt, sorted; for the recipient, because a replaced store has no
    /// record of them. Optional for benchmark transports.
    async fn receipted_lanes(&self, recipient: &RecipientName) -> Result<Vec<Lane>> {
        let what = format!("receipt.{recipient}.*: this transport does not list the lanes");
        Err(Error::new(ErrorKind::Protocol, what))
    }

    /// Publishes a receipt if the lane's last receipt is still at `expected`.
    async fn publish_receipt(&self, lane: &Lane, bytes: Bytes, expected: Sequence) -> Result<Published>;
}
