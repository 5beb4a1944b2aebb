//! What each executor is made of, out of what the agent is.

use std::sync::Arc;

use schemas::name::{Lane, RecipientName};
use schemas::person::PersonKey;

use super::{FeedPlan, Holding, SocialParts};
use crate::changed;
use crate::lane::LaneParts;
use crate::lease_keeper::LeaseWatch;
use crate::mask::Masks;
use crate::responder::{Answering, ResponderParts};
use crate::seal::SealingKeys;
use crate::status::Board;
use crate::tail::Trust;
use crate::turn::Turns;
use crate::witness::Witness;

/// A lane's executor.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another part of the agent, given once"
)]
pub(super) fn lane(
    parts: &SocialParts,
    plan: &FeedPlan,
    recipient: &RecipientName,
    sealing: &SealingKeys,
    holding: &Holding,
    masks: Option<&Arc<Masks>>,
    lease: &LeaseWatch,
    board: &Board,
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
        seal: sealing.lane(recipient),
        own: sealing.own.clone(),
        instance: parts.instance.clone(),
        definition: masks.map_or(plan.definition.digest(), |masks| {
            masks.definition(plan.definition.digest())
        }),
        masks: masks.cloned(),
        lease: lease.clone(),
        holds: holding.holds.clone(),
        person: holding.persons.get(&plan.definition.name).cloned(),
        witness: Witness::default(),
        listed: None,
        person_key: None,
        now: changed::Now::of(&plan.definition),
        board: board.clone(),
        recheck: parts.options.publisher.recheck,
        check: parts.options.publisher.check,
    }
}

/// The executor of data requests.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another part of the agent, given once"
)]
pub(super) fn responder(
    parts: &SocialParts,
    answering: Answering,
    persons: &Arc<PersonKey>,
    sealing: &SealingKeys,
    holding: &Holding,
    lease: &LeaseWatch,
    board: &Board,
    turns: &Turns,
) -> ResponderParts {
    ResponderParts {
        answering,
        exchange: Arc::clone(&parts.exchange),
        source: Arc::clone(&parts.source),
        source_name: parts.source_name.clone(),
        origin: parts.origin.clone(),
        gate: parts.gate.clone(),
        turns: turns.clone(),
        lease: lease.clone(),
        lease_age: parts.options.lease.ttl * 2,
        holds: holding.holds.clone(),
        key: Arc::clone(&parts.key),
        trusted: parts.trusted_publishers.clone(),
        persons: Arc::clone(persons),
        sealing: sealing.clone(),
        instance: parts.instance.clone(),
        sizing: parts.options.publisher.sizing,
        board: board.clone(),
    }
}
