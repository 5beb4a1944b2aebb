//! One act more in an audit chain.

use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::{Exchange, Published, Stored};
use jiff::Timestamp;
use schemas::audit::AuditEntry;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::heads::Mark;
use schemas::unreadable::Unreadable;

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
    /// The entry could not be signed.
    #[error("the audit entry could not be signed: {0}")]
    Seal(String),
    /// Others wrote to the same chain, again and again.
    #[error("the audit chain is being written to; repeat")]
    Busy,
}

/// How often a lost race is run again.
const RACES: usize = 16;

/// The place of a new entry.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    number: u64,
    previous: Option<Digest>,
    skips: Option<Unreadable>,
    expected: u64,
}

/// PURE: the place behind the chain's last message. A message that cannot be read, or that no key of this chain
/// signed, keeps nobody from writing: the new entry names it and is numbered above its sequence. No entry's number is
/// above its own sequence, so the numbers go on rising.
fn place(last: Option<&Stored>, who: &Signatory<'_>) -> Place {
    let Some(stored) = last else {
        return Place {
            number: 1,
            previous: None,
            skips: None,
            expected: 0,
        };
    };
    let expected = stored.sequence;
    match trusted_entry(stored, who) {
        Ok((entry, digest)) => Place {
            number: entry.number + 1,
            previous: Some(digest),
            skips: None,
            expected,
        },
        Err(why) => {
            tracing::warn!(subject = stored.subject, sequence = expected, %why, "the last audit entry cannot be read; the next one names it and goes on");
            Place {
                number: expected.saturating_add(1),
                previous: None,
                skips: Some(Unreadable::of(expected, &stored.bytes)),
                expected,
            }
        }
    }
}

/// Reads the last entry of a chain that keys of this chain signed; none also where the last message is no such entry.
///
/// # Errors
/// The exchange's.
pub async fn last(exchange: &dyn Exchange, who: &Signatory<'_>) -> exchange::Result<Option<Mark>> {
    let last = exchange.last_audit(who.party, who.writer).await?;
    let entry = last.and_then(|stored| trusted_entry(&stored, who).ok());
    Ok(entry.map(|(entry, digest)| Mark {
        number: entry.number,
        digest,
    }))
}

fn trusted_entry(stored: &Stored, who: &Signatory<'_>) -> Result<(AuditEntry, Digest), String> {
    let envelope = Envelope::decode(&stored.bytes).map_err(|error| error.to_string())?;
    let mut trusted = who.trusted.to_vec();
    trusted.push(who.key.public().clone());
    let entry: AuditEntry = envelope.verify(&trusted).map_err(|error| error.to_string())?;
    if (&entry.party, &entry.writer) != (who.party, who.writer) {
        return Err(format!(
            "it belongs to the chain {}.{}",
            entry.party, entry.writer
        ));
    }
    if entry.number > stored.sequence {
        return Err(format!("its number {} is above its sequence", entry.number));
    }
    Ok((entry, envelope.digest()))
}

/// Appends an act to the chain of its writer and returns its place, whatever the chain's last message is.
///
/// # Errors
/// [`ActError`].
pub async fn append(exchange: &dyn Exchange, who: &Signatory<'_>, act: &Act) -> Result<Mark, ActError> {
    let seal = |error: schemas::envelope::EnvelopeError| ActError::Seal(error.to_string());
    for _ in 0..RACES {
        let last = exchange.last_audit(who.party, who.writer).await?;
        let place = place(last.as_ref(), who);
        let entry = AuditEntry {
            party: who.party.clone(),
            writer: who.writer.clone(),
            number: place.number,
            previous: place.previous,
            skips: place.skips,
            at: Timestamp::now(),
            actor: act.actor.clone(),
            action: act.action.clone(),
            reason: act.reason.clone(),
            detail: act.detail.clone(),
            key: who.key.public().clone(),
        };
        let envelope = Envelope::seal(&entry, Vec::new(), who.key).map_err(seal)?;
        let mark = Mark {
            number: entry.number,
            digest: envelope.digest(),
        };
        let bytes = envelope.encode().map_err(seal)?;
        let bytes = Bytes::from(bytes);
        let published = exchange.publish_audit(who.party, who.writer, bytes, place.expected);
        if let Published::Done { .. } = published.await? {
            return Ok(mark);
        }
    }
    Err(ActError::Busy)
}
