//! Publishes repairs: rows that the responder read again for the lane's recipient.
//!
//! A repair belongs to the generation of the lane in which its reading began. A later generation has other holds, another source or
//! another position, so the repair is dropped, and its reader is notified.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use reconciliation::Repaired;
use schemas::key_digest::KeyDigest;
use schemas::manifest::Link;
use tokio::sync::{mpsc, oneshot, watch};

use super::{LaneWorker, Position, QueuedBatch};
use crate::repair::{ChangedKeys, RepairDraft};
use crate::row_batch::RowBatch;

/// How long a lane may take to publish a repair. Its rows are read again after that.
const PUBLISH_WITHIN: Duration = Duration::from_secs(20);

type Watches = Arc<Mutex<Vec<Weak<Mutex<ChangedKeys>>>>>;

/// Why a repair is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RepairError {
    /// The lane is stopped, held, or does not know its position.
    #[error("the lane is not ready: it is stopped or held, or the exchange was not read yet")]
    NotReady,
    /// Every row of the feed is being sent again.
    #[error("a resynchronisation of the lane is under way")]
    Resync,
    /// The lane changed after the reading began.
    #[error("the lane continued from another position or with other rules; the rows are read again")]
    Dropped,
    /// The exchange did not store it in time.
    #[error("the exchange did not store the chunk in time; the rows are read again")]
    TimedOut,
}

/// The responder's handle of a lane.
#[derive(Debug, Clone)]
pub struct LaneRepairs {
    position: watch::Receiver<Position>,
    orders: mpsc::Sender<RepairOrder>,
    watches: Watches,
}

/// A repair whose rows are being read.
#[derive(Debug)]
pub struct RepairTicket {
    generation: u64,
    changed: Arc<Mutex<ChangedKeys>>,
    orders: mpsc::Sender<RepairOrder>,
}

/// A repair to publish.
#[derive(Debug)]
pub(super) struct RepairOrder {
    generation: u64,
    draft: RepairDraft,
    changed: Arc<Mutex<ChangedKeys>>,
    done: oneshot::Sender<Repaired>,
}

/// The worker's side.
#[derive(Debug)]
pub(super) struct RepairInbox {
    orders: mpsc::Receiver<RepairOrder>,
    sender: mpsc::Sender<RepairOrder>,
    watches: Watches,
    current: Option<CurrentRepair>,
}

/// The repair that is being published.
#[derive(Debug)]
struct CurrentRepair {
    generation: u64,
    blocks: VecDeque<Arc<RowBatch>>,
    /// Blocks that the exchange has not stored.
    unstored: usize,
    result: Repaired,
    done: oneshot::Sender<Repaired>,
}

impl LaneRepairs {
    /// Begins a repair of these keys, before the first row is read.
    ///
    /// # Errors
    /// [`RepairError`] if the lane cannot publish now.
    pub fn begin(&self, salt: String, keys: BTreeSet<KeyDigest>) -> Result<RepairTicket, RepairError> {
        let changed = Arc::new(Mutex::new(ChangedKeys::new(salt, keys)));
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(&changed));
        drop(watches);
        let position = self.position.borrow();
        // A chunk before the one that states the lane's new position would make the agent keep the old one.
        if !position.known || position.from.is_none() || position.begins_at_fence {
            return Err(RepairError::NotReady);
        }
        if position.is_resync {
            return Err(RepairError::Resync);
        }
        Ok(RepairTicket {
            generation: position.generation,
            changed,
            orders: self.orders.clone(),
        })
    }
}

impl RepairTicket {
    /// Has the lane publish the rows, and returns the result with the last chunk.
    ///
    /// # Errors
    /// [`RepairError`] if it was not published, as far as is known.
    pub async fn publish(&self, draft: RepairDraft) -> Result<Repaired, RepairError> {
        let (done, result) = oneshot::channel();
        let order = RepairOrder {
            generation: self.generation,
            draft,
            changed: Arc::clone(&self.changed),
            done,
        };
        let publishing = async {
            self.orders.send(order).await.map_err(|_| RepairError::Dropped)?;
            result.await.map_err(|_| RepairError::Dropped)
        };
        let published = tokio::time::timeout(PUBLISH_WITHIN, publishing).await;
        published.unwrap_or(Err(RepairError::TimedOut))
    }
}

impl Default for RepairInbox {
    fn default() -> Self {
        let (sender, orders) = mpsc::channel(1);
        Self {
            orders,
            sender,
            watches: Watches::default(),
            current: None,
        }
    }
}

impl RepairInbox {
    /// Waits for a repair.
    pub(super) async fn next(&mut self) -> Option<RepairOrder> {
        self.orders.recv().await
    }

    /// Returns whether a repair has blocks that were not signed: the feed's blocks wait.
    pub(super) fn is_open(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| !current.blocks.is_empty())
    }

    /// Drops the current repair.
    pub(super) fn discard(&mut self) {
        self.current = None;
    }

    /// Takes a block that is signed for the lane.
    pub(super) fn observe(&self, batch: &RowBatch) {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for watch in watches.iter().filter_map(Weak::upgrade) {
            let mut changed = watch.lock().unwrap_or_else(PoisonError::into_inner);
            changed.observe(&batch.schema, &batch.block);
        }
    }

    /// Takes a chunk of the current repair that the exchange stored.
    pub(super) fn stored(&mut self, link: Link) {
        let Some(current) = &mut self.current else { return };
        (current.result.epoch, current.result.number) = (link.epoch, link.number);
        current.unstored = current.unstored.saturating_sub(1);
        if current.unstored == 0
            && let Some(current) = self.current.take()
        {
            // The reader may have ended.
            let _ = current.done.send(current.result);
        }
    }
}

impl LaneWorker {
    /// Returns the handle of the lane for repairs.
    #[must_use]
    pub fn repairs(&self) -> LaneRepairs {
        LaneRepairs {
            position: self.position.subscribe(),
            orders: self.repairs.sender.clone(),
            watches: Arc::clone(&self.repairs.watches),
        }
    }

    /// Makes the blocks of a repair at the lane's position. If the lane changed, the repair is dropped.
    pub(super) fn begin_repair(&mut self, order: RepairOrder) {
        let RepairOrder {
            generation,
            draft,
            changed,
            done,
        } = order;
        if generation != self.position.borrow().generation || self.resync.is_some() {
            return;
        }
        let changed = changed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(changed) = changed.changed() else { return };
        match draft.blocks(changed, self.follows.as_ref()) {
            Ok((blocks, result)) if blocks.is_empty() => drop(done.send(result)),
            Ok((blocks, result)) => {
                self.repairs.current = Some(CurrentRepair {
                    generation,
                    unstored: blocks.len(),
                    blocks: blocks.into_iter().map(Arc::new).collect(),
                    result,
                    done,
                });
            }
            Err(error) => {
                tracing::warn!(lane = %self.parts.lane, %error, "rows of a repair cannot be batched");
            }
        }
    }

    /// Signs the next block of the current repair.
    pub(super) fn sign_repair(&mut self) {
        let Some(current) = &mut self.repairs.current else {
            return;
        };
        let Some(rows) = current.blocks.pop_front() else {
            return;
        };
        let generation = current.generation;
        self.sign(QueuedBatch { generation, rows });
        if self.signing.is_none() {
            self.repairs.discard();
        }
    }
}
