//! The facts of a whole side.

use jiff::Timestamp;
use schemas::control::Order;
use schemas::name::{FeedName, Lane};
use serde::Serialize;
use serde_json::Value;

use super::lane::LaneFacts;

/// Whose eyes these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// The one that publishes.
    Bureau,
    /// The one that receives.
    Insurer,
    /// Auditor or administrator.
    Other,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    /// Whose eyes.
    pub(crate) side: Side,
    /// The name at the exchange.
    pub(crate) user: String,
    /// When it was looked.
    pub(crate) at: Timestamp,
    /// The exchange.
    pub(crate) exchange: ExchangeFacts,
    /// The own agent.
    pub(crate) agent: AgentFacts,
    /// Who may read the source; the bureau's to see.
    pub(crate) lease: Option<LeaseFacts>,
    /// Orders in force of the own party.
    pub(crate) orders: Vec<Order>,
    /// Why orders could not be read or believed.
    pub(crate) orders_trouble: Option<String>,
    /// The lanes.
    pub(crate) lanes: Vec<LaneFacts>,
}

impl Facts {
    /// Nothing is known yet.
    pub(super) fn new(side: Side, user: String) -> Self {
        Self {
            side,
            user,
            at: Timestamp::now(),
            exchange: ExchangeFacts::default(),
            agent: AgentFacts::default(),
            lease: None,
            orders: Vec::new(),
            orders_trouble: None,
            lanes: Vec::new(),
        }
    }
}

/// The exchange.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ExchangeFacts {
    /// Why it could not be reached.
    pub(crate) trouble: Option<String>,
    /// One round trip.
    pub(crate) round_trip_ms: Option<u64>,
    /// How full the stream of chunks is, in percent; none: not told to this credential.
    pub(crate) data_full_percent: Option<u64>,
}

/// The own agent's status page.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct AgentFacts {
    /// Where it is asked; none: no `[health]` in the file.
    pub(crate) address: Option<String>,
    /// What it answered; none: it does not.
    pub(crate) page: Option<Value>,
}

impl AgentFacts {
    /// Whether it answers, where it can be asked.
    pub(crate) fn is_well(&self) -> bool {
        self.address.is_none() || self.page.is_some()
    }

    /// What its page says of a lane.
    pub(crate) fn lane(&self, lane: &Lane) -> Option<&Value> {
        self.page.as_ref()?.get("lanes")?.get(lane.to_string())
    }

    /// What its page says of a feed.
    pub(crate) fn feed(&self, feed: &FeedName) -> Option<&Value> {
        self.page.as_ref()?.get("feeds")?.get(feed.as_str())
    }
}

/// The lease record.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeaseFacts {
    /// Host and process.
    pub(crate) holder: String,
    /// Given back.
    pub(crate) released: bool,
    /// Written so long ago, by the exchange's clock and ours.
    pub(crate) age_s: i64,
    /// How long it holds.
    pub(crate) ttl_ms: u64,
}

impl LeaseFacts {
    /// Whether somebody renews it.
    pub(crate) fn is_held(&self) -> bool {
        let ttl_s = i64::try_from(self.ttl_ms / 1_000).unwrap_or(i64::MAX);
        !self.released && self.age_s <= ttl_s.saturating_mul(2).saturating_add(5)
    }
}
