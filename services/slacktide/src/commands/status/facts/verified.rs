//! Reads signed messages from the exchange and verifies them with the viewer's trusted keys.

use std::collections::BTreeMap;

use exchange::{AuditExchange, FeedExchange, Stored};
use jiff::Timestamp;
use schemas::audit::AuditEntry;
use schemas::control::{self, Control, Order};
use schemas::envelope::{Envelope, EnvelopeError, Payload};
use schemas::manifest::Manifest;
use schemas::name::{PartyName, RecipientName};
use schemas::receipt::Receipt;
use schemas::sign::PublicKey;

use super::lane::{ChunkFacts, LaneFacts, ReceiptFacts};
use super::side::Facts;
use super::viewer::Keys;

use crate::exchange_client::ExchangeClient;

/// Reads the orders in force of the own party.
pub(super) async fn read_orders(
    exchange: &ExchangeClient,
    party: &PartyName,
    keys: &Keys,
    facts: &mut Facts,
) {
    match social::control_head::read(exchange, party, &keys.orders).await {
        Ok(head) => {
            facts.orders_error = head.unreadable_message();
            if let Some((record, _)) = &head.record {
                facts.orders = in_force(record, facts.at);
            }
        }
        Err(error) => facts.orders_error = Some(error.to_string()),
    }
    let page = facts.agent.page.as_ref();
    let orders = page.and_then(|page| page.get("orders"));
    if orders.and_then(|orders| orders.get("state")?.as_str()) == Some("behind") {
        let reason = orders.and_then(|orders| orders.get("reason")?.as_str());
        facts.orders_error = reason.map(str::to_owned).or(facts.orders_error.take());
    }
}

fn in_force(record: &Control, now: Timestamp) -> Vec<Order> {
    control::orders_in_force(record, now).cloned().collect()
}

/// Reads, by feed, why the bureau's lanes to this recipient are not moving.
pub(super) async fn read_bureau_notices(
    exchange: &ExchangeClient,
    bureau: &PartyName,
    recipient: &RecipientName,
    keys: &Keys,
) -> BTreeMap<String, String> {
    let Some(writer) = social::notice::writer(recipient) else {
        return BTreeMap::new();
    };
    let Ok(Some(stored)) = exchange.last_audit(bureau, &writer).await else {
        return BTreeMap::new();
    };
    let entry = read::<AuditEntry>(&stored, &keys.chunks);
    match entry {
        Ok(entry) if entry.action == social::notice::ACTION => entry.detail,
        _ => BTreeMap::new(),
    }
}

/// Decodes a payload, and verifies it if keys are given.
fn read<P: Payload>(stored: &Stored, keys: &[PublicKey]) -> Result<P, EnvelopeError> {
    let envelope = Envelope::decode(&stored.bytes)?;
    if keys.is_empty() {
        envelope.read()
    } else {
        envelope.verify(keys)
    }
}

/// Reads the last receipt, then the last chunk of a lane. In this order the receipt is never shown ahead of
/// the chunk.
pub(super) async fn read_lane(exchange: &ExchangeClient, facts: &mut LaneFacts, keys: &Keys) {
    let lane = facts.lane();
    let mut errors = Vec::new();
    match exchange.last_receipt(&lane).await {
        Ok(None) => {}
        Ok(Some(stored)) => match read::<Receipt>(&stored, &keys.receipts) {
            Ok(receipt) => facts.receipt = Some(ReceiptFacts::of(receipt, stored.stored_at)),
            Err(why) => errors.push(format!("the last receipt cannot be verified: {why}")),
        },
        Err(error) => errors.push(error.to_string()),
    }
    match exchange.last_chunk(&lane).await {
        Ok(None) => {}
        Ok(Some(stored)) => match read::<Manifest>(&stored, &keys.chunks) {
            Ok(manifest) => facts.chunk = Some(ChunkFacts::of(manifest, stored.stored_at)),
            Err(why) => errors.push(format!("the last chunk cannot be verified: {why}")),
        },
        Err(error) => errors.push(error.to_string()),
    }
    facts.error = (!errors.is_empty()).then(|| errors.join("; "));
}
