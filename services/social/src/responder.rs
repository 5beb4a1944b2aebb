//! Answers data requests: each exactly once, only while the core has slack.
//!
//! Modules marked PURE decide; the others act:
//!
//! - [`answer_config`]: rules, keys and lists from the configuration
//! - [`stream_follower`] reads new messages of the streams, [`request_index`] PURE keeps requests without an outcome,
//!   [`clock`] PURE estimates the exchange's time
//! - one request: [`plan`] PURE evaluates the current [`rule_set`], [`request_step`] PURE decides what follows an event in each
//!   [`request_state`]; [`progress_throttle`] PURE decides when a progress message is worth sending
//! - all requests: [`request_table`] PURE keeps their states, with the queue and the times at which they change
//! - [`request_query()`] PURE builds the query for the source, [`check_columns()`] PURE compares its columns with the kind,
//!   [`answer_batcher`] PURE fills blocks with rows, [`core_digests`] PURE computes digests of a feed's rows instead, [`answer`] makes messages of blocks, [`reply_publisher`] stores them
//! - [`worker`] runs all of it for one term of the lease; [`stats`] is its status
//!
//! The responder keeps no state of its own: a successor reads the streams and goes on. It cannot know of an answer that a
//! killed process stored in part; the exchange then refuses the first part of the attempt.

pub mod answer;
pub mod answer_batcher;
pub mod answer_config;
pub mod clock;
pub mod column_check;
pub mod core_digests;
pub mod plan;
pub mod progress_throttle;
pub mod reply_publisher;
pub mod request_index;
pub mod request_query;
pub mod request_state;
pub mod request_step;
pub mod request_table;
pub mod rule_set;
pub mod stats;
pub mod stream_follower;
mod trace;
pub mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use gate::Gate;
use requests::forecast::CostEstimator;
use schemas::name::{Lane, PartyName, SourceName};
use schemas::origin::Origin;
use schemas::person::PersonKey;
use schemas::sign::{PublicKey, SigningKey};
use source::Source;
use tokio_util::sync::CancellationToken;

use crate::gate_queue::GateQueue;
use crate::hold::HoldWatch;
use crate::lane::LaneRepairs;
use crate::lease_keeper::LeaseWatch;
use crate::quantum::Sizing;
use crate::record_tracker::RecordTracker;
use crate::signed_chunk::EncryptionKeys;
use crate::status::StatusRegistry;
use worker::RequestWorker;

pub use answer_config::{AnswerConfig, AnswerConfigError, AnswerOptions};
pub use column_check::check_columns;
pub use request_query::request_query;
pub use stats::RequestsStatus;

/// The dependencies of the responder.
pub struct ResponderParts {
    /// Rules, keys and lists.
    pub answering: AnswerConfig,
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The system of record.
    pub source: Arc<dyn Source>,
    /// The name of the source, which is also the lease's.
    pub source_name: SourceName,
    /// The origin that requests must have.
    pub origin: Origin,
    /// Permits work on the source.
    pub gate: Gate,
    /// Shares the gate between requests and feeds.
    pub gate_queue: GateQueue,
    /// The lease.
    pub lease: LeaseWatch,
    /// The maximum age of the record of a held lease.
    pub lease_age: Duration,
    /// The operators' holds.
    pub holds: HoldWatch,
    /// Signs parts and outcomes.
    pub key: Arc<SigningKey>,
    /// Keys of other agents of the bureau.
    pub trusted: Vec<PublicKey>,
    /// Computes the digests of persons.
    pub persons: Arc<PersonKey>,
    /// The keys that bodies are encrypted to.
    pub encryption: EncryptionKeys,
    /// Identifies this run of the process.
    pub instance: String,
    /// Bounds of a quantum.
    pub sizing: Sizing,
    /// Receives the status.
    pub registry: StatusRegistry,
    /// The lanes, for repairs.
    pub repairs: BTreeMap<Lane, LaneRepairs>,
    /// The party in whose audit chain repairs are recorded.
    pub party: Option<PartyName>,
    /// Takes the chain's head for chunks.
    pub record_tracker: RecordTracker,
}

/// Runs a [`RequestWorker`] for each term of the lease.
pub struct Responder {
    parts: Arc<ResponderParts>,
    costs: CostEstimator,
}

impl Responder {
    /// Creates a responder that has read nothing yet.
    #[must_use]
    pub fn new(parts: ResponderParts) -> Self {
        Self {
            parts: Arc::new(parts),
            costs: CostEstimator::default(),
        }
    }

    /// Answers until `stop`. Rows read by then are stored; an answer that is read in part is left to the next holder.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut lease = self.parts.lease.clone();
        while !stop.is_cancelled() {
            self.set_state("waiting for the lease");
            // Queue lengths and errors are for the holder of the lease to report.
            self.parts.registry.requests(RequestsStatus::hand_over);
            let term = tokio::select! { () = stop.cancelled() => break, term = lease.acquired() => term };
            // Another process may have answered in between, so nothing is carried over.
            let mut worker = RequestWorker::new(Arc::clone(&self.parts), std::mem::take(&mut self.costs));
            tokio::select! {
                () = lease.ended(term) => {}
                () = worker.serve(&stop) => {}
            }
            self.costs = worker.into_costs();
        }
        self.set_state("ended");
    }

    fn set_state(&self, text: &str) {
        self.parts
            .registry
            .requests(|status| text.clone_into(&mut status.state));
    }
}

#[cfg(test)]
mod tests;
