//! Composes and runs the agent: one lease, one task per feed, one per lane, one for requests, and an ordered, bounded stop.

mod tasks;
mod view;
mod wiring;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use exchange::Exchange;
use gate::Gate;
use schemas::name::{FeedName, PartyName, RecipientName, SourceName};
use schemas::origin::Origin;
use schemas::person::PersonKey;
use schemas::sign::{PublicKey, SigningKey};
use source::{FeedDefinition, Source};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::blocklist;
use crate::conditions::Conditions;
use crate::gate_queue::GateQueue;
use crate::hold::{self, HoldWatch};
use crate::idle::IdleFeeds;
use crate::lane::{LaneHandle, LaneWorker};
use crate::lease_keeper::{LeaseKeeper, LeaseWatch};
use crate::mask::LaneMasks;
use crate::notice;
use crate::options::SocialOptions;
use crate::publisher::Publisher;
use crate::record_tracker::RecordTracker;
use crate::responder::{AnswerConfig, Responder};
use crate::signed_chunk::EncryptionKeys;
use crate::status::StatusRegistry;

use tasks::Tasks;
use wiring::Wiring;

pub use view::SocialView;

/// A feed and its recipients.
#[derive(Debug, Clone)]
pub struct FeedPlan {
    /// The feed.
    pub definition: FeedDefinition,
    /// The recipients.
    pub recipients: Vec<RecipientName>,
}

/// The dependencies of the agent.
pub struct SocialParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The system of record.
    pub source: Arc<dyn Source>,
    /// The name of the source, which is also the lease's.
    pub source_name: SourceName,
    /// The origin of its messages.
    pub origin: Origin,
    /// Permits work on the source.
    pub gate: Gate,
    /// The feeds.
    pub feeds: Vec<FeedPlan>,
    /// Signs chunks and leases.
    pub key: Arc<SigningKey>,
    /// Keys of other publishers of these lanes; this agent's key is always trusted.
    pub trusted_publishers: Vec<PublicKey>,
    /// Keys that sign receipts, by recipient.
    pub trusted_receipts: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Identifies this run of the process; see [`new_instance`].
    pub instance: String,
    /// Host and process, for display.
    pub holder: String,
    /// The options.
    pub options: SocialOptions,
}

/// Returns a name for this run of the process: 16 random hex digits.
#[must_use]
pub fn new_instance() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The agent, ready to run.
pub struct Social {
    parts: SocialParts,
    encryption: EncryptionKeys,
    holding: HoldConfig,
    record_tracker: RecordTracker,
    party: Option<PartyName>,
    answering: Option<AnswerConfig>,
    blocklist: Option<blocklist::Keeper>,
    masks: LaneMasks,
    registry: StatusRegistry,
    conditions: Conditions,
    lease: LeaseWatch,
    keeper: LeaseKeeper,
}

/// The holds, and the columns that name persons.
#[derive(Debug, Clone)]
pub struct HoldConfig {
    /// The holds; see [`crate::control`].
    pub holds: HoldWatch,
    /// By feed: the column that names a person.
    pub persons: BTreeMap<FeedName, String>,
}

/// Why the agent ended without a regular stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocialError {
    /// Two feeds have the same name.
    #[error("feed {0:?} is configured twice; give each feed a name of its own")]
    DuplicateFeed(String),
    /// A feed has no recipients.
    #[error("feed {0:?} has no recipients; name at least one")]
    NoRecipients(String),
    /// The shutdown timed out before everything that was read was published.
    #[error("shutdown timed out; unpublished rows are read again at the next start")]
    Unfinished,
    /// A task of the agent ended unexpectedly.
    #[error("a task of the agent ended unexpectedly: {0}; restart the agent and report this")]
    Ended(String),
}

impl Social {
    /// Checks the feeds and creates an agent that does nothing yet.
    ///
    /// # Errors
    /// [`SocialError`] if the feeds are invalid.
    pub fn new(parts: SocialParts) -> Result<Self, SocialError> {
        let mut names = BTreeSet::new();
        for feed in &parts.feeds {
            let name = feed.definition.name.to_string();
            if feed.recipients.is_empty() {
                return Err(SocialError::NoRecipients(name));
            }
            if !names.insert(name.clone()) {
                return Err(SocialError::DuplicateFeed(name));
            }
        }
        let (registry, conditions) = (StatusRegistry::default(), Conditions::default());
        for feed in &parts.feeds {
            // Known from the start, even if it is never read.
            registry.feed(&feed.definition.name, |_| {});
            conditions.feed(&feed.definition.name, |_| {});
        }
        let (keeper, lease) = LeaseKeeper::new(
            Arc::clone(&parts.exchange) as Arc<dyn exchange::LeaseExchange>,
            parts.source_name.clone(),
            parts.instance.clone(),
            parts.holder.clone(),
            Arc::clone(&parts.key),
            parts.options.lease,
        );
        Ok(Self {
            parts,
            encryption: EncryptionKeys::default(),
            holding: HoldConfig {
                holds: hold::none(),
                persons: BTreeMap::new(),
            },
            record_tracker: RecordTracker::default(),
            party: None,
            answering: None,
            blocklist: None,
            masks: LaneMasks::new(),
            registry,
            conditions,
            lease,
            keeper,
        })
    }

    /// Encrypts bodies to recipients.
    #[must_use]
    pub fn with_encryption(mut self, keys: EncryptionKeys) -> Self {
        self.encryption = keys;
        self
    }

    /// Obeys holds.
    #[must_use]
    pub fn with_holds(mut self, holding: HoldConfig) -> Self {
        self.holding = holding;
        self
    }

    /// Names the control record in force in each chunk and lease; see [`crate::control`].
    #[must_use]
    pub fn with_record_tracker(mut self, record_tracker: RecordTracker) -> Self {
        self.record_tracker = record_tracker;
        self
    }

    /// Notifies each recipient, in the audit chains of this party, why its lanes are stopped.
    #[must_use]
    pub fn with_notices(mut self, party: PartyName) -> Self {
        self.party = Some(party);
        self
    }

    /// Answers data requests.
    #[must_use]
    pub fn with_answers(mut self, answering: AnswerConfig) -> Self {
        self.answering = Some(answering);
        self
    }

    /// Masks columns for some recipients.
    #[must_use]
    pub fn with_masks(mut self, masks: LaneMasks) -> Self {
        self.masks = masks;
        self
    }

    /// Withholds rows of persons on the block list. Pass the same list for requests in [`AnswerConfig::blocked`].
    #[must_use]
    pub fn with_blocklist(mut self, blocklist: blocklist::Keeper) -> Self {
        self.blocklist = Some(blocklist);
        self
    }

    /// Returns a view that outlives the call of [`Social::run`].
    #[must_use]
    pub fn view(&self) -> SocialView {
        SocialView {
            instance: self.parts.instance.clone(),
            gate: self.parts.gate.clone(),
            source: Arc::clone(&self.parts.source),
            lease: self.lease.clone(),
            blocklist: self.blocklist.as_ref().map(blocklist::Keeper::status),
            registry: self.registry.clone(),
            conditions: self.conditions.clone(),
            record_tracker: self.record_tracker.clone(),
        }
    }

    /// Runs until `stop`. Then, in this order and within the shutdown timeout: reading ends, the chunks that were read are
    /// published, the lease is released, the connections are closed.
    ///
    /// # Errors
    /// [`SocialError::Ended`] if a task ended unexpectedly, [`SocialError::Unfinished`] if the shutdown timed out. The remaining
    /// tasks are stopped in order.
    pub async fn run(self, stop: CancellationToken) -> Result<(), SocialError> {
        let grace = self.parts.options.grace;
        let (source, exchange) = (Arc::clone(&self.parts.source), Arc::clone(&self.parts.exchange));
        let mut tasks = self.start(stop.child_token());
        let ended = tasks.until_stopped(&stop).await;
        let stopped = tasks.stop(grace).await;
        let close = async {
            source.close().await;
            exchange.close().await;
        };
        let _ = tokio::time::timeout(grace, close).await;
        tracing::info!("social agent stopped");
        ended.and(stopped)
    }

    /// Starts every task. The readers end with `reading`.
    fn start(self, reading: CancellationToken) -> Tasks {
        let wiring = Wiring {
            gate_queue: GateQueue::new(self.answering.as_ref().map_or(2, |one| one.options.feed_share)),
            idle: IdleFeeds::default(),
            persons: PersonKey::of(&self.parts.key).ok().map(Arc::new),
            listed: self.blocklist.as_ref().map(blocklist::Keeper::list),
            parts: self.parts,
            encryption: self.encryption,
            holding: self.holding,
            record_tracker: self.record_tracker,
            masks: self.masks,
            registry: self.registry,
            conditions: self.conditions,
            lease: self.lease,
        };
        let mut tasks = Tasks {
            reading: reading.clone(),
            ..Tasks::default()
        };
        // The lease: one process at a time reads.
        let tracker = wiring.record_tracker.clone();
        let keeper = self.keeper.with_record_tracker(tracker, wiring.publishers());
        tasks.keepers.spawn(keeper.run(tasks.release.clone()));
        if let Some(blocklist) = self.blocklist {
            tasks.readers.spawn(blocklist.run(reading.clone()));
        }
        let mut repairs = BTreeMap::new();
        // One reader for each feed, and one worker for each of its lanes.
        for plan in &wiring.parts.feeds {
            let (columns, known_columns) = watch::channel(None);
            let mut lanes = Vec::new();
            for recipient in plan.recipients.iter().collect::<BTreeSet<_>>() {
                let parts = wiring.lane(plan, recipient, &known_columns);
                let (lane, masks) = (parts.lane.clone(), parts.masks.clone());
                let (worker, outbox, position) = LaneWorker::new(parts);
                repairs.insert(lane.clone(), worker.repairs());
                tasks.lanes.spawn(worker.run());
                lanes.push(LaneHandle {
                    lane,
                    position,
                    outbox,
                    masks,
                });
            }
            let publisher = Publisher::new(wiring.feed(plan, lanes, columns));
            tasks.readers.spawn(publisher.run(reading.clone()));
        }
        if let (Some(answering), Some(persons)) = (self.answering, &wiring.persons) {
            let responder = Responder::new(wiring.responder(answering, persons, repairs, self.party.clone()));
            tasks.readers.spawn(responder.run(reading));
        }
        if let Some(party) = self.party {
            tasks.others.spawn(notice::keep(wiring.notices(party)));
        }
        let (gate, source) = (wiring.parts.gate, wiring.parts.source);
        tasks.others.spawn(drop_when_critical(gate, source));
        tasks
    }
}

/// Closes the connections at a critical level, when even an idle connection is too much for the core. They are opened again when
/// the gate is open.
async fn drop_when_critical(gate: Gate, source: Arc<dyn Source>) {
    loop {
        gate.until_critical().await;
        gate.until_yielded().await;
        tracing::warn!("critical level, closing the connections to the source");
        source.close().await;
        let mut verdicts = gate.subscribe();
        if verdicts.wait_for(|verdict| verdict.permits_work()).await.is_err() {
            return;
        }
    }
}

/// Runs the agent: [`Social::new`], then [`Social::run`].
///
/// # Errors
/// Those of the two.
pub async fn run(parts: SocialParts, stop: CancellationToken) -> Result<(), SocialError> {
    Social::new(parts)?.run(stop).await
}

#[cfg(test)]
mod tests;
