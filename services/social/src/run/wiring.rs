//! The dependencies that the tasks of the agent share, and what each task gets of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::column::RowSchema;
use schemas::name::{Lane, PartyName, RecipientName};
use schemas::person::PersonKey;
use schemas::sign::PublicKey;
use tokio::sync::watch;

use super::{FeedPlan, HoldConfig, SocialParts};
use crate::blocklist::ListWatch;
use crate::conditions::Conditions;
use crate::definition_diff::CurrentDefinition;
use crate::gate_queue::GateQueue;
use crate::idle::IdleFeeds;
use crate::lane::{LaneHandle, LaneParts, LaneRepairs};
use crate::lease_keeper::LeaseWatch;
use crate::mask::LaneMasks;
use crate::notice::NoticeParts;
use crate::publisher::FeedParts;
use crate::record_tracker::RecordTracker;
use crate::responder::{AnswerConfig, ResponderParts};
use crate::signed_chunk::EncryptionKeys;
use crate::status::StatusRegistry;
use crate::tail::Trust;

/// The dependencies of all tasks.
pub(super) struct Wiring {
    pub(super) parts: SocialParts,
    pub(super) encryption: EncryptionKeys,
    pub(super) holding: HoldConfig,
    pub(super) record_tracker: RecordTracker,
    pub(super) masks: LaneMasks,
    pub(super) registry: StatusRegistry,
    pub(super) conditions: Conditions,
    pub(super) lease: LeaseWatch,
    /// The block list, if there is one.
    pub(super) listed: Option<ListWatch>,
    /// Computes the digests of persons; `None` if the signing key cannot.
    pub(super) persons: Option<Arc<PersonKey>>,
    pub(super) gate_queue: GateQueue,
    pub(super) idle: IdleFeeds,
}

impl Wiring {
    /// Returns the keys of all publishers of these lanes, this agent's included.
    pub(super) fn publishers(&self) -> Vec<PublicKey> {
        let mut publishers = self.parts.trusted_publishers.clone();
        publishers.push(self.parts.key.public().clone());
        publishers
    }

    /// Returns the dependencies of a lane's worker. `columns` are those of the feed, once it was opened.
    pub(super) fn lane(
        &self,
        plan: &FeedPlan,
        recipient: &RecipientName,
        columns: &watch::Receiver<Option<RowSchema>>,
    ) -> LaneParts {
        let (parts, lane) = (&self.parts, lane(plan, recipient));
        let masks = self.masks.get(&lane);
        let receipts = parts.trusted_receipts.get(recipient).cloned().unwrap_or_default();
        LaneParts {
            exchange: Arc::clone(&parts.exchange),
            key: Arc::clone(&parts.key),
            trust: Trust {
                chunks: self.publishers(),
                receipts,
                here: parts.origin.clone(),
            },
            encryption: self.encryption.lane(recipient),
            own: self.encryption.own.clone(),
            instance: parts.instance.clone(),
            definition: masks.map_or(plan.definition.digest(), |masks| {
                masks.definition(plan.definition.digest())
            }),
            masks: masks.cloned(),
            lease: self.lease.clone(),
            holds: self.holding.holds.clone(),
            person: self.holding.persons.get(&plan.definition.name).cloned(),
            record_tracker: self.record_tracker.clone(),
            listed: self.listed.clone(),
            person_key: self.persons.clone(),
            now: CurrentDefinition::of(&plan.definition),
            columns: columns.clone(),
            registry: self.registry.clone(),
            conditions: self.conditions.clone(),
            recheck: parts.options.publisher.recheck,
            check: parts.options.publisher.check,
            lane,
        }
    }

    /// Returns the dependencies of a feed's publisher.
    pub(super) fn feed(
        &self,
        plan: &FeedPlan,
        lanes: Vec<LaneHandle>,
        columns: watch::Sender<Option<RowSchema>>,
    ) -> FeedParts {
        FeedParts {
            definition: plan.definition.clone(),
            source: Arc::clone(&self.parts.source),
            gate: self.parts.gate.clone(),
            gate_queue: self.gate_queue.clone(),
            lease: self.lease.clone(),
            lanes,
            options: self.parts.options.publisher,
            idle: self.idle.clone(),
            registry: self.registry.clone(),
            conditions: self.conditions.clone(),
            columns,
        }
    }

    /// Returns the dependencies of the responder.
    pub(super) fn responder(
        &self,
        answering: AnswerConfig,
        persons: &Arc<PersonKey>,
        repairs: BTreeMap<Lane, LaneRepairs>,
        party: Option<PartyName>,
    ) -> ResponderParts {
        let parts = &self.parts;
        ResponderParts {
            answering,
            exchange: Arc::clone(&parts.exchange),
            source: Arc::clone(&parts.source),
            source_name: parts.source_name.clone(),
            origin: parts.origin.clone(),
            gate: parts.gate.clone(),
            gate_queue: self.gate_queue.clone(),
            lease: self.lease.clone(),
            lease_age: parts.options.lease.ttl * 2,
            holds: self.holding.holds.clone(),
            key: Arc::clone(&parts.key),
            trusted: parts.trusted_publishers.clone(),
            persons: Arc::clone(persons),
            encryption: self.encryption.clone(),
            instance: parts.instance.clone(),
            sizing: parts.options.publisher.sizing,
            registry: self.registry.clone(),
            repairs,
            party,
            record_tracker: self.record_tracker.clone(),
        }
    }

    /// Returns the dependencies of the notices to recipients, in the audit chains of this party.
    pub(super) fn notices(&self, party: PartyName) -> NoticeParts {
        let parts = &self.parts;
        let lanes = |plan: &FeedPlan| -> Vec<Lane> {
            plan.recipients
                .iter()
                .map(|recipient| lane(plan, recipient))
                .collect()
        };
        NoticeParts {
            exchange: Arc::clone(&parts.exchange),
            party,
            key: Arc::clone(&parts.key),
            trusted: parts.trusted_publishers.clone(),
            instance: parts.instance.clone(),
            lease: self.lease.clone(),
            record_tracker: self.record_tracker.clone(),
            conditions: self.conditions.clone(),
            lanes: parts.feeds.iter().flat_map(lanes).collect(),
        }
    }
}

/// Returns the lane of a feed for a recipient.
fn lane(plan: &FeedPlan, recipient: &RecipientName) -> Lane {
    Lane {
        recipient: recipient.clone(),
        feed: plan.definition.name.clone(),
    }
}
