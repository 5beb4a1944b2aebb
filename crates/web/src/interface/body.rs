//! JSON bodies. A whole number may be written with a fraction of zero or an exponent, as JSON Schema has it.

use schemars::JsonSchema;
use schemas::name::{FeedName, PartyName};
use schemas::request::RequestId;
use serde::{Deserialize, Serialize};

use super::whole_number::{self, MAX_WHOLE};

/// The maximum deliveries of one settlement.
pub const MAX_SETTLED: usize = 10_000;

/// Deliveries to settle: `POST /v1/settlements`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// How.
    pub settlement: SettlementKind,
    /// With `nak`: redeliver after this time, in milliseconds.
    #[serde(default, deserialize_with = "whole_number::read")]
    #[schemars(range(max = MAX_WHOLE))]
    pub delay_ms: u64,
    /// The deliveries.
    #[schemars(length(max = MAX_SETTLED))]
    pub deliveries: Vec<Settled>,
}

/// See `exchange::Settlement`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettlementKind {
    /// Stored: do not redeliver.
    Ack,
    /// Not stored: redeliver.
    Nak,
}

/// A delivery, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    #[serde(deserialize_with = "whole_number::read")]
    #[schemars(range(max = MAX_WHOLE))]
    pub sequence: u64,
    /// The token of its delivery.
    pub token: String,
}

/// Whether undelivered messages are left: `GET /v1/deliveries/{recipient}/{queue}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueState {
    /// Whether there is none.
    pub is_drained: bool,
}

/// The feeds of a recipient that have a receipt: `GET /v1/lanes/{recipient}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptedLanes {
    /// Sorted.
    pub feeds: Vec<FeedName>,
}

/// The ids of requests: `GET /v1/requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestIds {
    /// Sorted.
    pub ids: Vec<RequestId>,
}

/// The parties that have a stream: `GET /v1/streams/{stream}/parties`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parties {
    /// Sorted.
    pub parties: Vec<PartyName>,
}

/// The answer of `GET /v1/ping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ping {
    /// The caller, as the gateway authenticated it.
    pub party: PartyName,
    /// The round trip between gateway and exchange, in microseconds.
    pub exchange_us: u64,
}
