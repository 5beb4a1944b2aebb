//! Wires the dependencies of each task from those of the agent.

use std::sync::Arc;

use schemas::name::{Lane, RecipientName};
use schemas::person::PersonKey;

use super::{FeedPlan, HoldConfig, SocialParts};
use crate::definition_diff;
use crate::gate_queue::GateQueue;
use crate::lane::LaneParts;
use crate::lease_keeper::LeaseWatch;
use crate::mask::Masks;
use crate::record_tracker::RecordTracker;
use crate::responder::{AnswerConfig, ResponderParts};
use crate::signed_chunk::EncryptionKeys;
use crate::status::StatusRegistry;
use crate::tail::Trust;

/// Returns the dependencies of a lane's worker.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another part of the agent, given once"
)]
pub(super) fn lane(
    parts: &SocialParts,
    plan: &FeedPlan,
    recipient: &RecipientName,
    encryption: &EncryptionKeys,
    holding: &HoldConfig,
    masks: Option<&Arc<Masks>>,
    lease: &LeaseWatch,
    registry: &StatusRegistry,
) -> LaneParts {
    let mut chunks = parts.trusted_publishers.clone();
    chunks.push(parts.key.public().clone());
    let receipts = parts.trusted_receipts.get(recipient).cloned().unwrap_or_default();
    LaneParts {
        lane: Lane {
            recipient: recipient.clone(),
            feed: plan.definition.name.clone(),
        },
        exchange: Arc::clone(&parts.exchange),
        key: Arc::clone(&parts.key),
        trust: Trust {
            chunks,
            receipts,
            here: parts.origin.clone(),
        },
        encryption: encryption.lane(recipient),
        own: encryption.own.clone(),
        instance: parts.instance.clone(),
        definition: masks.map_or(plan.definition.digest(), |masks| {
            masks.definition(plan.definition.digest())
        }),
        masks: masks.cloned(),
        lease: lease.clone(),
        holds: holding.holds.clone(),
        person: holding.persons.get(&plan.definition.name).cloned(),
        record_tracker: RecordTracker::default(),
        listed: None,
        person_key: None,
        now: definition_diff::CurrentDefinition::of(&plan.definition),
        registry: registry.clone(),
        recheck: parts.options.publisher.recheck,
        check: parts.options.publisher.check,
    }
}

/// Returns the dependencies of the responder.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another part of the agent, given once"
)]
pub(super) fn responder(
    parts: &SocialParts,
    answering: AnswerConfig,
    persons: &Arc<PersonKey>,
    encryption: &EncryptionKeys,
    holding: &HoldConfig,
    lease: &LeaseWatch,
    registry: &StatusRegistry,
    gate_queue: &GateQueue,
) -> ResponderParts {
    ResponderParts {
        answering,
        exchange: Arc::clone(&parts.exchange),
        source: Arc::clone(&parts.source),
        source_name: parts.source_name.clone(),
        origin: parts.origin.clone(),
        gate: parts.gate.clone(),
        gate_queue: gate_queue.clone(),
        lease: lease.clone(),
        lease_age: parts.options.lease.ttl * 2,
        holds: holding.holds.clone(),
        key: Arc::clone(&parts.key),
        trusted: parts.trusted_publishers.clone(),
        persons: Arc::clone(persons),
        encryption: encryption.clone(),
        instance: parts.instance.clone(),
        sizing: parts.options.publisher.sizing,
        registry: registry.clone(),
    }
}
