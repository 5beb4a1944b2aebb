//! One act more in an audit chain.

use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::{Exchange, Published};
use jiff::Timestamp;
use schemas::audit::AuditEntry;
use schemas::envelope::Envelope;

use crate::epoch::Signatory;

/// What was done, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The person or process that decided.
    pub actor: String,
    /// What was done, for example `gate.pause`.
    pub action: String,
    /// Why, in their words.
    pub reason: String,
    /// Particulars without personal data.
    pub detail: BTreeMap<String, String>,
}

/// Why an act could not be noted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ActError {
    /// The exchange failed; the act may have been noted.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The chain's tail is no audit entry, or sealing failed.
    #[error("the audit chain could not be continued: {0}")]
    Seal(String),
    /// Others wrote to the same chain, again and again.
    #[error("the audit chain is being written to; repeat")]
    Busy,
}

/// How often a lost race is run again.
const RACES: usize = 16;

/// Appends an act to the chain of its writer.
///
/// # Errors
/// [`ActError`].
pub async fn append(exchange: &dyn Exchange, who: &Signatory<'_>, act: &Act) -> Result<(), ActError> {
    let seal = |error: schemas::envelope::EnvelopeError| ActError::Seal(error.to_string());
    for _ in 0..RACES {
        let last = exchange.last_audit(who.party, who.writer).await?;
        let (number, previous, expected) = match &last {
            None => (1, None, 0),
            Some(stored) => {
                let envelope = Envelope::decode(&stored.bytes).map_err(seal)?;
                let entry: AuditEntry = envelope.read().map_err(seal)?;
                (entry.number + 1, Some(envelope.digest()), stored.sequence)
            }
        };
        let entry = AuditEntry {
            party: who.party.clone(),
            writer: who.writer.clone(),
            number,
            previous,
            at: Timestamp::now(),
            actor: act.actor.clone(),
            action: act.action.clone(),
            reason: act.reason.clone(),
            detail: act.detail.clone(),
            key: who.key.public().clone(),
        };
        let bytes = Envelope::seal(&entry, Vec::new(), who.key)
            .and_then(|envelope| envelope.encode())
            .map_err(seal)?;
        let bytes = Bytes::from(bytes);
        let published = exchange.publish_audit(who.party, who.writer, bytes, expected);
        if let Published::Done { .. } = published.await? {
            return Ok(());
        }
    }
    Err(ActError::Busy)
}
