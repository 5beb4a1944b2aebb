//! Facts from the exchange that carry no verified signature.

use exchange::port::Stream;
use exchange::{AuditExchange, LeaseExchange};
use jiff::Timestamp;
use nats::topology::Admin;
use schemas::envelope::Envelope;
use schemas::lease::Lease;
use schemas::name::{PartyName, SourceName};
use serde_json::Value;

use super::side::LeaseFacts;

use crate::exchange_client::ExchangeClient;

/// Returns the usage of the fullest stream of chunks, in percent.
pub(super) async fn fullness(exchange: &ExchangeClient) -> Option<u64> {
    // A gateway does not show it.
    let admin = Admin::new(exchange.nats()?.clone());
    let mut fullest = None;
    for party in exchange.parties(Stream::Data).await.ok()? {
        fullest = fullest.max(used(&admin, &party).await);
    }
    fullest
}

async fn used(admin: &Admin, party: &PartyName) -> Option<u64> {
    let subject = format!("STREAM.INFO.DATA_{party}");
    let info = admin.api(&subject, &Value::Null).await.ok()?;
    let bytes = info.get("state")?.get("bytes")?.as_u64()?;
    let max_bytes = info
        .get("config")?
        .get("max_bytes")?
        .as_u64()
        .filter(|bytes| *bytes > 0)?;
    Some(bytes.saturating_mul(100) / max_bytes)
}

/// Reads the lease of the source.
pub(super) async fn lease(
    exchange: &ExchangeClient,
    source: &SourceName,
    now: Timestamp,
) -> Option<LeaseFacts> {
    let stored = exchange.lease(source).await.ok()??;
    let lease: Lease = Envelope::decode(&stored.bytes).ok()?.read().ok()?;
    Some(LeaseFacts {
        holder: lease.holder,
        released: lease.released,
        age_s: now.duration_since(stored.stored_at).as_secs().max(0),
        ttl_ms: lease.ttl_ms,
    })
}
