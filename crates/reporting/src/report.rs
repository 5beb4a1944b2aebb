//! The signed bytes of a report.

use bytes::Bytes;
use exchange::Stored;
use jiff::Timestamp;
use schemas::envelope::Envelope;
use schemas::status_report::{HistoryBucket, StatusReport};
use schemas::subject::Subject;
use schemas::visible::{Escape, escape};
use serde_json::Value;

use crate::parts::ReporterParts;

/// The largest report, below the limit of the stream.
pub(crate) const MAX_BYTES: usize = 500_000;

/// Returns the bytes of a report. A report that would be too large has no history.
///
/// # Errors
/// Why there is none: the page is too large, or the key cannot sign.
pub(crate) fn signed(
    parts: &ReporterParts,
    page: &Value,
    history: Vec<HistoryBucket>,
    next_within_s: u32,
    at: Timestamp,
) -> Result<Bytes, String> {
    // The same bytes as on the agent's own page.
    let page = escape(&page.to_string(), Escape::Json).into_owned();
    let mut report = StatusReport {
        party: parts.party.clone(),
        writer: parts.writer.clone(),
        role: parts.role,
        instance: parts.instance.clone(),
        at,
        next_within_s,
        page,
        history,
        key: parts.key.public().clone(),
    };
    let mut bytes = encode(&report, parts)?;
    if bytes.len() > MAX_BYTES {
        report.history.clear();
        bytes = encode(&report, parts)?;
    }
    if bytes.len() > MAX_BYTES {
        return Err(format!(
            "the status has {} bytes, and a report may have {MAX_BYTES}; read it at the agent's own page",
            bytes.len()
        ));
    }
    Ok(bytes.into())
}

fn encode(report: &StatusReport, parts: &ReporterParts) -> Result<Vec<u8>, String> {
    let signed = Envelope::sign(report, Vec::new(), &parts.key).and_then(|envelope| envelope.encode());
    signed.map_err(|error| format!("the status cannot be signed: {error}"))
}

/// Returns the history of this agent's last report, if its own key signed it.
pub(crate) fn earlier_history(parts: &ReporterParts, all: &[Stored]) -> Vec<HistoryBucket> {
    let subject = Subject::Status(parts.party.clone(), parts.writer.clone()).to_string();
    let own = all.iter().find(|stored| stored.subject == subject);
    let trusted = [parts.key.public().clone()];
    let report = own.and_then(|stored| {
        let envelope = Envelope::decode(&stored.bytes).ok()?;
        envelope.verify::<StatusReport>(&trusted).ok()
    });
    report.map(|report| report.history).unwrap_or_default()
}
