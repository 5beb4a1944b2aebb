//! The value of `status`: the facts and the state of each lane.

use schemars::JsonSchema;
use schemas::digest::Digest;
use schemas::name::{FeedName, RecipientName};
use serde::Serialize;
use serde_json::Value;

use super::facts::{Facts, LaneFacts, Side};
use super::judge::{JudgedLane, State};
use super::screen;
use crate::commands::items::{ChunkItem, OrderItem, OutstandingItem, ReceiptItem, outstanding};
use crate::output::{Report, Time, View};

/// Both agents and the exchange, as far as the caller's credential may read them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "status")]
pub(in crate::commands) struct StatusReport {
    /// When the facts were read.
    at: Time,
    /// The side of the caller.
    side: Side,
    /// The user name at the exchange.
    user: String,
    exchange: ExchangeItem,
    agent: AgentItem,
    /// The lease of the source; only the bureau reads it.
    lease: Option<LeaseItem>,
    /// The orders in force of the own party.
    orders: Vec<OrderItem>,
    /// Why orders could not be read or verified.
    orders_error: Option<String>,
    lanes: Vec<LaneItem>,
    #[serde(skip)]
    view: View,
}

/// The exchange.
#[derive(Debug, Serialize, JsonSchema)]
struct ExchangeItem {
    /// Why it could not be reached.
    error: Option<String>,
    /// The round-trip time.
    round_trip_ms: Option<u64>,
    /// Usage of the fullest stream of chunks in percent; `null` if this credential may not read it.
    data_full_percent: Option<u64>,
}

/// The agent of the configuration.
#[derive(Debug, Serialize, JsonSchema)]
struct AgentItem {
    /// Its address; `null` if the file has no `[health]`.
    address: Option<String>,
    /// Its status page, as it serves it under `/status`; `null` if it does not answer.
    page: Option<Value>,
}

/// The lease of a source.
#[derive(Debug, Serialize, JsonSchema)]
struct LeaseItem {
    /// Host and process.
    holder: String,
    /// Whether it was released.
    is_released: bool,
    /// The time since it was written, from the exchange's clock to the local one.
    age_ms: i64,
    /// Its time to live.
    ttl_ms: u64,
}

/// A lane, seen from both sides.
#[derive(Debug, Serialize, JsonSchema)]
struct LaneItem {
    /// `RECIPIENT.FEED`.
    lane: String,
    recipient: RecipientName,
    feed: FeedName,
    state: State,
    /// The cause; `null` if the state needs none.
    why: Option<String>,
    /// The remedy; `null` if nothing is to be done.
    remedy: Option<String>,
    /// Chunks without a receipt.
    lag_chunks: Option<u64>,
    /// How long the last of them waits.
    lag_ms: Option<i64>,
    /// The digest of the configured definition; only the bureau knows it.
    definition: Option<Digest>,
    chunk: Option<ChunkItem>,
    receipt: Option<ReceiptItem>,
    /// The bureau's notice to the recipient about a lane that is not moving.
    bureau_notice: Option<String>,
    /// Rows that are withheld, by hold.
    outstanding: Vec<OutstandingItem>,
    /// What could not be read or verified.
    error: Option<String>,
}

/// Returns `None` for an empty text.
pub(in crate::commands) fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl LaneItem {
    fn new((lane, judged): (&LaneFacts, &JudgedLane)) -> Self {
        Self {
            lane: judged.lane.clone(),
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            state: judged.state,
            why: non_empty(&judged.why),
            remedy: non_empty(&judged.remedy),
            lag_chunks: judged.lag_chunks,
            lag_ms: judged.lag_seconds.map(|seconds| seconds.saturating_mul(1_000)),
            definition: lane.definition,
            chunk: lane.chunk.as_ref().map(ChunkItem::from),
            receipt: lane.receipt.as_ref().map(ReceiptItem::from),
            bureau_notice: lane.bureau_notice.clone(),
            outstanding: outstanding(lane.chunk.as_ref()),
            error: lane.error.clone(),
        }
    }
}

impl StatusReport {
    /// Creates it from facts and states.
    pub(in crate::commands) fn new(facts: &Facts, judged: &[JudgedLane]) -> Self {
        Self {
            at: facts.at.into(),
            side: facts.side,
            user: facts.user.clone(),
            exchange: ExchangeItem {
                error: facts.exchange.error.clone(),
                round_trip_ms: facts.exchange.round_trip_ms,
                data_full_percent: facts.exchange.data_full_percent,
            },
            agent: AgentItem {
                address: facts.agent.address.clone(),
                page: facts.agent.page.clone(),
            },
            lease: facts.lease.as_ref().map(|lease| LeaseItem {
                holder: lease.holder.clone(),
                is_released: lease.released,
                age_ms: lease.age_s.saturating_mul(1_000),
                ttl_ms: lease.ttl_ms,
            }),
            orders: facts.orders.iter().map(OrderItem::from).collect(),
            orders_error: facts.orders_error.clone(),
            lanes: facts.lanes.iter().zip(judged).map(LaneItem::new).collect(),
            view: screen::view(facts, judged),
        }
    }
}

impl Report for StatusReport {
    fn view(&self) -> View {
        self.view.clone()
    }
}
