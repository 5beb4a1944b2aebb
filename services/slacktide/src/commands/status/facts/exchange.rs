//! What the exchange itself tells: nothing of it is believed for a signature's sake.

use exchange::Exchange;
use jiff::Timestamp;
use nats::JetStream;
use nats::topology::Admin;
use schemas::envelope::Envelope;
use schemas::lease::Lease;
use schemas::name::SourceName;
use serde_json::Value;

use super::known::LeaseFacts;

/// How full the stream of chunks is, in percent.
pub(super) async fn fullness(exchange: &JetStream) -> Option<u64> {
    let admin = Admin::new(exchange.clone());
    let info = admin.api("STREAM.INFO.DATA", &Value::Null).await.ok()?;
    let bytes = info.get("state")?.get("bytes")?.as_u64()?;
    let most = info
        .get("config")?
        .get("max_bytes")?
        .as_u64()
        .filter(|most| *most > 0)?;
    Some(bytes.saturating_mul(100) / most)
}

/// Who may read the source.
pub(super) async fn lease(exchange: &JetStream, source: &SourceName, now: Timestamp) -> Option<LeaseFacts> {
    let stored = exchange.lease(source).await.ok()??;
    let lease: Lease = Envelope::decode(&stored.bytes).ok()?.read().ok()?;
    Some(LeaseFacts {
        holder: lease.holder,
        released: lease.released,
        age_s: now.duration_since(stored.stored_at).as_secs().max(0),
        ttl_ms: lease.ttl_ms,
    })
}
