//! The status of the agent, for the health page, metrics and the demo. It holds no row value and no key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use gate::stats::GateStatus;
use jiff::Timestamp;
use runtime::unverified::Unverified;
use schemas::column::RowSchema;
use schemas::manifest::OutstandingRows;
use schemas::name::{FeedName, Lane};
use serde::Serialize;
use source::FenceHolder;
use source::port::DriverCounts;

use crate::blocklist::BlockListStatus;
use crate::record_tracker::OrdersStatus;
use crate::responder::RequestsStatus;

/// The status of the agent.
#[derive(Debug, Clone, Serialize)]
pub struct SocialStatus {
    /// The run of the process.
    pub instance: String,
    /// Verdict, reason, closings by reason, time to yield.
    pub gate: GateStatus,
    /// The lease, whose holder may read the source.
    pub lease: LeaseStatus,
    /// The operators' orders: whether they are in force, or why nothing is published.
    pub orders: OrdersStatus,
    /// By feed.
    pub feeds: BTreeMap<String, FeedStatus>,
    /// By lane, `recipient.feed`.
    pub lanes: BTreeMap<String, LaneStatus>,
    /// Data requests, if they are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsStatus>,
    /// The block list, if one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocklist: Option<BlockListStatus>,
    /// The counters of the database driver.
    pub driver: DriverCounts,
}

/// The lease as this process sees it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LeaseStatus {
    /// Whether this process holds it.
    pub held: bool,
    /// Who wrote it last: host and process.
    pub holder: String,
    /// How often this process took it.
    pub term: u64,
    /// The last error.
    pub error: Option<String>,
}

/// A feed's state while its source does not answer.
pub const WAITING_FOR_SOURCE: &str = "waiting for the source";

/// A feed's state while it needs a permit and the gate is closed.
pub const WAITING_FOR_GATE: &str = "waiting for the gate";

/// One feed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FeedStatus {
    /// The current activity.
    pub state: String,
    /// Quanta read.
    pub quanta: u64,
    /// Rows read, for all recipients at once.
    pub rows_read: u64,
    /// The source's columns, once the feed was opened.
    pub columns: Option<RowSchema>,
    /// The row limit of the next quantum.
    pub quantum_rows: usize,
    /// The last rest after everything was read, in milliseconds.
    pub rest_ms: u64,
    /// The transaction that stalls the fence, and since when.
    pub fence_stalled_by: Option<FenceHolder>,
    /// When everything within the fence was last read: nothing older is unread.
    pub caught_up_at: Option<Timestamp>,
    /// Why "caught up" cannot be claimed of its lanes.
    #[serde(skip_serializing_if = "Unverified::is_empty")]
    pub unverified: Unverified,
    /// The last error.
    pub last_error: Option<String>,
}

/// One lane.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LaneStatus {
    /// The current activity; the reason if it is stopped.
    pub state: String,
    /// Whether an operator must act.
    pub stopped: bool,
    /// The kind of stop: `restored`, `definition`, `tail`, `exchange`, `source` or `source_changed`.
    pub stopped_by: Option<&'static str>,
    /// The hold that stops it from publishing.
    pub held: Option<String>,
    /// Why the receiver has stopped it.
    pub receiver_stopped: Option<String>,
    /// The epoch of the last chunk.
    pub epoch: u32,
    /// The number of the last chunk.
    pub number: u64,
    /// Chunks published by this process.
    pub chunks: u64,
    /// Rows published by this process.
    pub rows: u64,
    /// Bytes published by this process.
    pub bytes: u64,
    /// Rows withheld from what this process published.
    pub withheld: u64,
    /// Withheld rows that are outstanding, by the hold's id.
    pub outstanding: BTreeMap<String, OutstandingRows>,
    /// Rows that could not be carried, in what this process published.
    pub rejects: u64,
    /// When the last chunk was stored, by the local clock.
    pub published_at: Option<Timestamp>,
    /// When the rows of the oldest unpublished chunk were read.
    pub unpublished_since: Option<Timestamp>,
    /// Why "caught up" cannot be claimed of this lane alone.
    #[serde(skip_serializing_if = "Unverified::is_empty")]
    pub unverified: Unverified,
    /// How often the lane adopted the exchange's tail, after a lost race or a doubt.
    pub adoptions: u64,
    /// The last error.
    pub last_error: Option<String>,
}

/// Collects the status of feeds, lanes and requests. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct StatusRegistry {
    feeds: Arc<Mutex<BTreeMap<String, FeedStatus>>>,
    lanes: Arc<Mutex<BTreeMap<String, LaneStatus>>>,
    requests: Arc<Mutex<Option<RequestsStatus>>>,
}

impl StatusRegistry {
    /// Updates a feed's status.
    pub fn feed(&self, name: &FeedName, change: impl FnOnce(&mut FeedStatus)) {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        change(feeds.entry(name.to_string()).or_default());
    }

    /// Updates a lane's status.
    pub fn lane(&self, lane: &Lane, change: impl FnOnce(&mut LaneStatus)) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        change(lanes.entry(lane.to_string()).or_default());
    }

    /// Updates the status of data requests.
    pub fn requests(&self, change: impl FnOnce(&mut RequestsStatus)) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        change(requests.get_or_insert_default());
    }

    /// Returns the status of data requests, if they are answered.
    #[must_use]
    pub fn request_status(&self) -> Option<RequestsStatus> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the status of all feeds.
    #[must_use]
    pub fn feeds(&self) -> BTreeMap<String, FeedStatus> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the status of all lanes.
    #[must_use]
    pub fn lanes(&self) -> BTreeMap<String, LaneStatus> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
