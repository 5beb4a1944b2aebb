//! Composition: one lease, one executor per feed, one per lane, one for requests; and the ordered, bounded stop.

mod made_of;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use exchange::Exchange;
use gate::Gate;
use runtime::supervise::describe_end;
use schemas::name::{FeedName, Lane, PartyName, RecipientName, SourceName};
use schemas::origin::Origin;
use schemas::person::PersonKey;
use schemas::sign::{PublicKey, SigningKey};
use source::{FeedDefinition, Source};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::blocklist;
use crate::hold::{self, HoldWatch};
use crate::idle::IdleFeeds;
use crate::lane::{LaneParts, LaneWorker};
use crate::lane_end::LaneEnd;
use crate::lease_keeper::{LeaseKeeper, LeaseWatch};
use crate::mask::LaneMasks;
use crate::notice;
use crate::options::SocialOptions;
use crate::publisher::{FeedParts, Publisher};
use crate::responder::{Answering, Responder};
use crate::seal::SealingKeys;
use crate::status::Board;
use crate::turn::Turns;
use crate::witness::Witness;

pub use view::SocialView;

/// A feed and who it is for.
#[derive(Debug, Clone)]
pub struct FeedPlan {
    /// What is read.
    pub definition: FeedDefinition,
    /// Who it is for.
    pub recipients: Vec<RecipientName>,
}

/// Everything that the agent is made of.
pub struct SocialParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The system of record.
    pub source: Arc<dyn Source>,
    /// Its name: the lease's.
    pub source_name: SourceName,
    /// Where its messages belong.
    pub origin: Origin,
    /// When it may be touched.
    pub gate: Gate,
    /// What is published to whom.
    pub feeds: Vec<FeedPlan>,
    /// Signs chunks and leases.
    pub key: Arc<SigningKey>,
    /// Keys of other publishers of these lanes; our own is always trusted.
    pub trusted_publishers: Vec<PublicKey>,
    /// Keys that sign receipts, by recipient.
    pub trusted_receipts: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// One life of one process; see [`new_instance`].
    pub instance: String,
    /// Host and process, for people.
    pub holder: String,
    /// What an operator may set.
    pub options: SocialOptions,
}

/// A name for this life of this process: 16 hex digits of the operating system's randomness.
#[must_use]
pub fn new_instance() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The agent, ready to run.
pub struct Social {
    parts: SocialParts,
    sealing: SealingKeys,
    holding: Holding,
    witness: Witness,
    party: Option<PartyName>,
    answering: Option<Answering>,
    blocklist: Option<blocklist::Keeper>,
    masks: LaneMasks,
    board: Board,
    lease: LeaseWatch,
    keeper: LeaseKeeper,
}

/// What operators hold, and how persons are told.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The holds; see [`crate::control`].
    pub holds: HoldWatch,
    /// By feed: the column that names a person.
    pub persons: BTreeMap<FeedName, String>,
}

/// Why the agent ended other than by a stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocialError {
    /// Two feeds of one name.
    #[error("feed {0:?} is configured twice; give each feed a name of its own")]
    FeedTwice(String),
    /// A feed for nobody.
    #[error("feed {0:?} has no recipients; name at least one")]
    NoRecipients(String),
    /// A stop was ordered, and what was read was not published within the grace.
    #[error("the grace was over before what was read was published; it is read again at the next start")]
    Unfinished,
    /// A part of the agent ended by itself.
    #[error("a part of the agent ended unexpectedly: {0}; restart it and report this")]
    Ended(String),
}

impl Social {
    /// Checks the plan; touches nothing.
    ///
    /// # Errors
    /// [`SocialError`] when feeds contradict each other.
    pub fn new(parts: SocialParts) -> Result<Self, SocialError> {
        let mut names = std::collections::BTreeSet::new();
        for feed in &parts.feeds {
            let name = feed.definition.name.to_string();
            if feed.recipients.is_empty() {
                return Err(SocialError::NoRecipients(name));
            }
            if !names.insert(name.clone()) {
                return Err(SocialError::FeedTwice(name));
            }
        }
        let board = Board::default();
        for feed in &parts.feeds {
            // Shown from the start: a feed that was never read is the one to ask about.
            board.feed(&feed.definition.name, |_| {});
        }
        let (keeper, lease) = LeaseKeeper::new(
            Arc::clone(&parts.exchange),
            parts.source_name.clone(),
            parts.instance.clone(),
            parts.holder.clone(),
            Arc::clone(&parts.key),
            parts.options.lease,
        );
        Ok(Self {
            parts,
            sealing: SealingKeys::default(),
            holding: Holding {
                holds: hold::none(),
                persons: BTreeMap::new(),
            },
            witness: Witness::default(),
            party: None,
            answering: None,
            blocklist: None,
            masks: LaneMasks::new(),
            board,
            lease,
            keeper,
        })
    }

    /// The same with bodies sealed to recipients.
    #[must_use]
    pub fn sealing(mut self, keys: SealingKeys) -> Self {
        self.sealing = keys;
        self
    }

    /// The same obeying holds.
    #[must_use]
    pub fn holding(mut self, holding: Holding) -> Self {
        self.holding = holding;
        self
    }

    /// The same naming in each chunk and lease which control record is in force; see [`crate::control`].
    #[must_use]
    pub fn witnessing(mut self, witness: Witness) -> Self {
        self.witness = witness;
        self
    }

    /// The same telling each recipient, in the audit chain of this party, why its lanes stand still.
    #[must_use]
    pub fn telling(mut self, party: PartyName) -> Self {
        self.party = Some(party);
        self
    }

    /// The same answering data requests.
    #[must_use]
    pub fn answering(mut self, answering: Answering) -> Self {
        self.answering = Some(answering);
        self
    }

    /// The same showing some recipients less than all of a row.
    #[must_use]
    pub fn masking(mut self, masks: LaneMasks) -> Self {
        self.masks = masks;
        self
    }

    /// The same keeping back rows of those on the block list. Whoever answers requests is given the same list, in
    /// [`Answering::blocked`].
    #[must_use]
    pub fn blocking(mut self, blocklist: blocklist::Keeper) -> Self {
        self.blocklist = Some(blocklist);
        self
    }

    /// A look at it that outlives the call of [`Social::run`].
    #[must_use]
    pub fn view(&self) -> SocialView {
        SocialView {
            instance: self.parts.instance.clone(),
            gate: self.parts.gate.clone(),
            source: Arc::clone(&self.parts.source),
            lease: self.lease.clone(),
            blocklist: self.blocklist.as_ref().map(blocklist::Keeper::status),
            board: self.board.clone(),
            witness: self.witness.clone(),
        }
    }

    /// Runs until `stop`. Then, in this order and within the grace: reading ends, the chunks
    /// that were read are published, the lease is given back, the connections are closed.
    ///
    /// # Errors
    /// [`SocialError::Ended`] when a part ended by itself, [`SocialError::Unfinished`] when the grace was over first; the
    /// rest was stopped in order.
    pub async fn run(self, stop: CancellationToken) -> Result<(), SocialError> {
        let Self {
            parts,
            sealing,
            holding,
            witness,
            party,
            answering,
            blocklist,
            masks,
            board,
            lease,
            keeper,
        } = self;
        let person_key = PersonKey::of(&parts.key).ok().map(Arc::new);
        let release = CancellationToken::new();
        let mut keepers = JoinSet::new();
        let mut publishers = parts.trusted_publishers.clone();
        publishers.push(parts.key.public().clone());
        let keeper = keeper.witnessing(witness.clone(), publishers);
        keepers.spawn(keeper.run(release.clone()));
        let (mut readers, mut lanes) = (JoinSet::new(), JoinSet::new());
        let reading = stop.child_token();
        let listed = blocklist.as_ref().map(blocklist::Keeper::list);
        if let Some(blocklist) = blocklist {
            readers.spawn(blocklist.run(reading.clone()));
        }
        let share = answering
            .as_ref()
            .map_or(2, |answering| answering.options.feed_share);
        let turns = Turns::new(share);
        let idle = IdleFeeds::default();
        for plan in &parts.feeds {
            let mut ends = Vec::new();
            for recipient in plan.recipients.iter().collect::<std::collections::BTreeSet<_>>() {
                let lane = Lane {
                    recipient: recipient.clone(),
                    feed: plan.definition.name.clone(),
                };
                let masks = masks.get(&lane);
                let (worker, outbox, position) = LaneWorker::new(LaneParts {
                    listed: listed.clone(),
                    witness: witness.clone(),
                    person_key: person_key.clone(),
                    ..made_of::lane(&parts, plan, recipient, &sealing, &holding, masks, &lease, &board)
                });
                lanes.spawn(worker.run());
                ends.push(LaneEnd {
                    lane,
                    position,
                    outbox,
                    masks: masks.cloned(),
                });
            }
            let publisher = Publisher::new(FeedParts {
                definition: plan.definition.clone(),
                source: Arc::clone(&parts.source),
                gate: parts.gate.clone(),
                turns: turns.clone(),
                lease: lease.clone(),
                lanes: ends,
                options: parts.options.publisher,
                idle: idle.clone(),
                board: board.clone(),
            });
            readers.spawn(publisher.run(reading.clone()));
        }
        if let (Some(answering), Some(persons)) = (answering, &person_key) {
            let made = made_of::responder(
                &parts, answering, persons, &sealing, &holding, &lease, &board, &turns,
            );
            readers.spawn(Responder::new(made).run(reading.clone()));
        }
        let mut others = JoinSet::new();
        if let Some(party) = party {
            others.spawn(notice::keep(notice::NoticeParts {
                trusted: parts.trusted_publishers.clone(),
                witness: witness.clone(),
                exchange: Arc::clone(&parts.exchange),
                party,
                key: Arc::clone(&parts.key),
                instance: parts.instance.clone(),
                lease: lease.clone(),
                board: board.clone(),
                lanes: parts
                    .feeds
                    .iter()
                    .flat_map(|plan| {
                        plan.recipients.iter().map(|recipient| Lane {
                            recipient: recipient.clone(),
                            feed: plan.definition.name.clone(),
                        })
                    })
                    .collect(),
            }));
        }
        others.spawn(drop_when_critical(parts.gate.clone(), Arc::clone(&parts.source)));
        // A part that ends while nobody asked for it has panicked: stop the rest in order.
        let mut result = Ok(());
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(end) = readers.join_next() => result = Err(unexpected(end)),
            Some(end) = lanes.join_next() => result = Err(unexpected(end)),
            Some(end) = keepers.join_next() => result = Err(unexpected(end)),
            Some(end) = others.join_next() => result = Err(unexpected(end)),
        }
        others.abort_all();
        reading.cancel();
        let in_order = async {
            while readers.join_next().await.is_some() {}
            while lanes.join_next().await.is_some() {}
        };
        if tokio::time::timeout(parts.options.grace, in_order).await.is_err() {
            tracing::warn!(
                "the grace is over: what was read and not published is dropped and read again at the next start"
            );
            readers.shutdown().await;
            lanes.shutdown().await;
            result = result.and(Err(SocialError::Unfinished));
        }
        release.cancel();
        let _ = tokio::time::timeout(parts.options.grace, keepers.join_next()).await;
        let close = async {
            parts.source.close().await;
            parts.exchange.close().await;
        };
        let _ = tokio::time::timeout(parts.options.grace, close).await;
        tracing::info!("social agent stopped");
        result
    }
}

/// At a critical level even an idle connection is too much for the core: it is dropped, and made
/// again when the gate is open.
async fn drop_when_critical(gate: Gate, source: Arc<dyn Source>) {
    loop {
        gate.is_critical().await;
        gate.yielded().await;
        tracing::warn!("critical level: connections to the source are dropped");
        source.close().await;
        let mut verdicts = gate.subscribe();
        if verdicts.wait_for(|verdict| verdict.lets_work()).await.is_err() {
            return;
        }
    }
}

fn unexpected(end: Result<(), tokio::task::JoinError>) -> SocialError {
    SocialError::Ended(
        end.err()
            .map_or("it returned", |error| describe_end(&error))
            .to_owned(),
    )
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
