//! What the agent shows of itself: for the health page, metrics and the demo. No row's value
//! and no key stands here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use gate::tally::GateStatus;
use jiff::Timestamp;
use runtime::unverified::Unverified;
use schemas::column::RowSchema;
use schemas::manifest::HeldBack;
use schemas::name::{FeedName, Lane};
use serde::Serialize;
use source::Holder;
use source::port::DriverCount;

use crate::blocklist::BlockListStatus;
use crate::responder::RequestsStatus;
use crate::witness::OrdersStatus;

/// The agent at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct SocialStatus {
    /// This process.
    pub instance: String,
    /// Verdict, reason, shuts by reason, time to yield.
    pub gate: GateStatus,
    /// Who may read the source.
    pub lease: LeaseStatus,
    /// The operators' orders: whether they are in force, or why nothing is published.
    pub orders: OrdersStatus,
    /// By feed.
    pub feeds: BTreeMap<String, FeedStatus>,
    /// By lane, `recipient.feed`.
    pub lanes: BTreeMap<String, LaneStatus>,
    /// Data requests; none where none are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsStatus>,
    /// The block list; none where none is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocklist: Option<BlockListStatus>,
    /// What the database driver itself counted.
    pub driver: DriverCount,
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
    /// The last trouble with it.
    pub trouble: Option<String>,
}

/// A feed's state while its source does not answer.
pub const WAITING_FOR_SOURCE: &str = "waiting for the source";

/// A feed's state while it needs a permit and the gate is shut.
pub const WAITING_FOR_GATE: &str = "waiting for the gate";

/// One feed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FeedStatus {
    /// What it does, in words.
    pub state: String,
    /// Quanta read.
    pub quanta: u64,
    /// Rows read, for all recipients at once.
    pub rows_read: u64,
    /// The columns that the source tells, since the feed was opened.
    pub columns: Option<RowSchema>,
    /// Rows of the next quantum at most.
    pub quantum_rows: usize,
    /// How long it rested last when everything was read, in milliseconds.
    pub rest_ms: u64,
    /// Who keeps the fence from moving, and since when.
    pub fence_held_by: Option<Holder>,
    /// When everything within the fence was read last: nothing older than this is unread.
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
    /// What it does, in words; the reason where it is stopped.
    pub state: String,
    /// Whether an operator has to act.
    pub stopped: bool,
    /// Which kind of stop it is: `restored`, `definition`, `tail`, `exchange`, `source` or `source_changed`.
    pub stopped_by: Option<&'static str>,
    /// Which hold keeps it from publishing.
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
    /// Rows that holds and the block list kept back in what this process published.
    pub withheld: u64,
    /// Where holds began to keep rows back that have not followed since, by the hold's id.
    pub held_back: BTreeMap<String, HeldBack>,
    /// Rows that could not be carried, in what this process published.
    pub rejects: u64,
    /// When the last chunk was stored, by this process's clock.
    pub published_at: Option<Timestamp>,
    /// When the rows were read of the oldest chunk that waits to be published.
    pub unpublished_since: Option<Timestamp>,
    /// Why "caught up" cannot be claimed of this lane alone.
    #[serde(skip_serializing_if = "Unverified::is_empty")]
    pub unverified: Unverified,
    /// Times that another publisher was faster or the exchange had to be read again.
    pub adoptions: u64,
    /// The last error.
    pub last_error: Option<String>,
}

/// Where feeds and lanes write what they are doing.
#[derive(Debug, Clone, Default)]
pub struct Board {
    feeds: Arc<Mutex<BTreeMap<String, FeedStatus>>>,
    lanes: Arc<Mutex<BTreeMap<String, LaneStatus>>>,
    requests: Arc<Mutex<Option<RequestsStatus>>>,
}

impl Board {
    /// Changes a feed's entry.
    pub fn feed(&self, name: &FeedName, change: impl FnOnce(&mut FeedStatus)) {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        change(feeds.entry(name.to_string()).or_default());
    }

    /// Changes a lane's entry.
    pub fn lane(&self, lane: &Lane, change: impl FnOnce(&mut LaneStatus)) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        change(lanes.entry(lane.to_string()).or_default());
    }

    /// Changes what is shown of data requests.
    pub fn requests(&self, change: impl FnOnce(&mut RequestsStatus)) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        change(requests.get_or_insert_default());
    }

    /// What is shown of data requests; none where none are answered.
    #[must_use]
    pub fn of_requests(&self) -> Option<RequestsStatus> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The columns of a feed, once they are known.
    #[must_use]
    pub fn columns(&self, name: &FeedName) -> Option<RowSchema> {
        let feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.get(name.as_str())?.columns.clone()
    }

    /// Why "caught up" cannot be claimed of a lane: its own reasons and its feed's, by code.
    #[must_use]
    pub fn unverified(&self, lane: &Lane) -> Vec<&'static str> {
        let of_feed = |feed: FeedStatus| feed.unverified;
        let of_lane = |lane: LaneStatus| lane.unverified;
        let feed = self.feeds().remove(lane.feed.as_str()).map(of_feed);
        let lane = self.lanes().remove(&lane.to_string()).map(of_lane);
        let both = feed.iter().chain(&lane);
        both.flat_map(|reasons| reasons.iter().map(|(code, _)| code))
            .collect()
    }

    /// Whether a lane of this feed stands still because the feed's definition changed.
    #[must_use]
    pub fn is_changed(&self, name: &FeedName) -> bool {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let of = format!(".{name}");
        lanes
            .iter()
            .any(|(lane, status)| lane.ends_with(&of) && status.stopped_by == Some("definition"))
    }

    /// All feeds.
    #[must_use]
    pub fn feeds(&self) -> BTreeMap<String, FeedStatus> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All lanes.
    #[must_use]
    pub fn lanes(&self) -> BTreeMap<String, LaneStatus> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
