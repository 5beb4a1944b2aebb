//! The facts of one side.

use jiff::Timestamp;
use schemars::JsonSchema;
use schemas::control::Order;
use schemas::name::{FeedName, Lane};
use serde::Serialize;
use serde_json::Value;

use super::lane::LaneFacts;

/// The side of the viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// The publisher.
    Bureau,
    /// The receiver.
    Insurer,
    /// Auditor or administrator.
    Other,
}

/// All facts.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The side of the viewer.
    pub(crate) side: Side,
    /// The user name at the exchange.
    pub(crate) user: String,
    /// When the facts were read.
    pub(crate) at: Timestamp,
    /// The exchange.
    pub(crate) exchange: ExchangeFacts,
    /// The own agent.
    pub(crate) agent: AgentFacts,
    /// The lease of the source; only the bureau reads it.
    pub(crate) lease: Option<LeaseFacts>,
    /// Orders in force of the own party.
    pub(crate) orders: Vec<Order>,
    /// Why orders could not be read or verified.
    pub(crate) orders_error: Option<String>,
    /// The lanes.
    pub(crate) lanes: Vec<LaneFacts>,
}

impl Facts {
    /// Creates it without facts.
    pub(super) fn new(side: Side, user: String) -> Self {
        Self {
            side,
            user,
            at: Timestamp::now(),
            exchange: ExchangeFacts::default(),
            agent: AgentFacts::default(),
            lease: None,
            orders: Vec::new(),
            orders_error: None,
            lanes: Vec::new(),
        }
    }
}

/// The exchange.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExchangeFacts {
    /// Why it could not be reached.
    pub(crate) error: Option<String>,
    /// The round-trip time.
    pub(crate) round_trip_ms: Option<u64>,
    /// Usage of the stream of chunks in percent; `None`: this credential may not read it.
    pub(crate) data_full_percent: Option<u64>,
}

/// The own agent's status page.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentFacts {
    /// The address; `None`: the file has no `[health]`.
    pub(crate) address: Option<String>,
    /// The page; `None`: the agent does not answer.
    pub(crate) page: Option<Value>,
}

impl AgentFacts {
    /// Whether the agent answers, or has no address.
    pub(crate) fn is_well(&self) -> bool {
        self.address.is_none() || self.page.is_some()
    }

    /// Returns the page's entry of a lane.
    pub(crate) fn lane(&self, lane: &Lane) -> Option<&Value> {
        self.page.as_ref()?.get("lanes")?.get(lane.to_string())
    }

    /// Returns the page's entry of a feed.
    pub(crate) fn feed(&self, feed: &FeedName) -> Option<&Value> {
        self.page.as_ref()?.get("feeds")?.get(feed.as_str())
    }
}

/// The lease record.
#[derive(Debug, Clone)]
pub(crate) struct LeaseFacts {
    /// Host and process.
    pub(crate) holder: String,
    /// Whether it was released.
    pub(crate) released: bool,
    /// Seconds since it was written, from the exchange's clock to ours.
    pub(crate) age_s: i64,
    /// Its time to live.
    pub(crate) ttl_ms: u64,
}

impl LeaseFacts {
    /// Whether an agent renews it.
    pub(crate) fn is_held(&self) -> bool {
        let ttl_s = i64::try_from(self.ttl_ms / 1_000).unwrap_or(i64::MAX);
        !self.released && self.age_s <= ttl_s.saturating_mul(2).saturating_add(5)
    }
}
