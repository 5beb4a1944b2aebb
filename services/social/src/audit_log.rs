//! Appends events to audit chains.

use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::{AuditExchange, Published, Stored};
use jiff::Timestamp;
use schemas::audit::AuditEntry;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::heads::RecordRef;
use schemas::name::PartyName;
use schemas::sign::{PublicKey, SigningKey};
use schemas::unreadable::Unreadable;

/// The signer of openings and audit entries.
pub struct AuditSigner<'a> {
    /// Signs opening and audit entry.
    pub key: &'a SigningKey,
    /// Keys of other writers of the same audit chain.
    pub trusted: &'a [PublicKey],
    /// Identifies this run of the process.
    pub instance: &'a str,
    /// The party.
    pub party: &'a PartyName,
    /// The writer of the audit chain.
    pub writer: &'a PartyName,
}

/// An event for an audit chain: what was done, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// The person or process that decided.
    pub actor: String,
    /// What was done, for example `gate.pause`.
    pub action: String,
    /// Why, in their words.
    pub reason: String,
    /// Details without personal data.
    pub detail: BTreeMap<String, String>,
}

/// Why an event could not be appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditLogError {
    /// The exchange failed; the event may have been appended.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The entry could not be signed.
    #[error("cannot sign the audit entry: {0}")]
    Signing(String),
    /// Other writers won every attempt.
    #[error("the audit chain is being written to by others; try again")]
    Busy,
}

/// How often a lost attempt is run again.
const MAX_ATTEMPTS: usize = 16;

/// The position of a new entry in its chain.
#[derive(Debug, PartialEq, Eq)]
struct EntryPosition {
    number: u64,
    previous: Option<Digest>,
    skips: Option<Unreadable>,
    expected: u64,
}

/// PURE: returns the position after the chain's last message. An unreadable message, or one that no key of this chain signed,
/// does not block the chain: the new entry names it and takes a number above its sequence. No entry's number exceeds its own
/// sequence, so the numbers keep rising.
fn entry_position(last: Option<&Stored>, signer: &AuditSigner<'_>) -> EntryPosition {
    let Some(stored) = last else {
        return EntryPosition {
            number: 1,
            previous: None,
            skips: None,
            expected: 0,
        };
    };
    let expected = stored.sequence;
    match trusted_entry(stored, signer) {
        Ok((entry, digest)) => EntryPosition {
            number: entry.number + 1,
            previous: Some(digest),
            skips: None,
            expected,
        },
        Err(why) => {
            tracing::warn!(subject = stored.subject, sequence = expected, %why, "last audit entry is unreadable, the next entry names it and continues");
            EntryPosition {
                number: expected.saturating_add(1),
                previous: None,
                skips: Some(Unreadable::of(expected, &stored.bytes)),
                expected,
            }
        }
    }
}

/// Returns the last entry of a chain; `None` also if the last message is not an entry signed by a key of this chain.
///
/// # Errors
/// The exchange's.
pub async fn last(
    exchange: &dyn AuditExchange,
    signer: &AuditSigner<'_>,
) -> exchange::Result<Option<RecordRef>> {
    let last = exchange.last_audit(signer.party, signer.writer).await?;
    let entry = last.and_then(|stored| trusted_entry(&stored, signer).ok());
    Ok(entry.map(|(entry, digest)| RecordRef {
        number: entry.number,
        digest,
    }))
}

/// Why a message is not an entry of the signer's chain.
#[derive(Debug, thiserror::Error)]
enum UntrustedEntry {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("it belongs to the chain {party}.{writer}")]
    OtherChain { party: PartyName, writer: PartyName },
    #[error("its number {0} is above its sequence")]
    NumberAboveSequence(u64),
}

fn trusted_entry(stored: &Stored, signer: &AuditSigner<'_>) -> Result<(AuditEntry, Digest), UntrustedEntry> {
    let envelope = Envelope::decode(&stored.bytes)?;
    let mut trusted = signer.trusted.to_vec();
    trusted.push(signer.key.public().clone());
    let entry: AuditEntry = envelope.verify(&trusted)?;
    if (&entry.party, &entry.writer) != (signer.party, signer.writer) {
        return Err(UntrustedEntry::OtherChain {
            party: entry.party,
            writer: entry.writer,
        });
    }
    if entry.number > stored.sequence {
        return Err(UntrustedEntry::NumberAboveSequence(entry.number));
    }
    Ok((entry, envelope.digest()))
}

/// Appends an event to its writer's chain and returns the entry's mark.
///
/// # Errors
/// [`AuditLogError`].
pub async fn append(
    exchange: &dyn AuditExchange,
    signer: &AuditSigner<'_>,
    event: &AuditEvent,
) -> Result<RecordRef, AuditLogError> {
    let signing = |error: EnvelopeError| AuditLogError::Signing(error.to_string());
    for _ in 0..MAX_ATTEMPTS {
        let last = exchange.last_audit(signer.party, signer.writer).await?;
        let position = entry_position(last.as_ref(), signer);
        let entry = AuditEntry {
            party: signer.party.clone(),
            writer: signer.writer.clone(),
            number: position.number,
            previous: position.previous,
            skips: position.skips,
            at: Timestamp::now(),
            actor: event.actor.clone(),
            action: event.action.clone(),
            reason: event.reason.clone(),
            detail: event.detail.clone(),
            key: signer.key.public().clone(),
        };
        let envelope = Envelope::sign(&entry, Vec::new(), signer.key).map_err(signing)?;
        let mark = RecordRef {
            number: entry.number,
            digest: envelope.digest(),
        };
        let bytes = envelope.encode().map_err(signing)?;
        let bytes = Bytes::from(bytes);
        let published = exchange.publish_audit(signer.party, signer.writer, bytes, position.expected);
        if let Published::Done { .. } = published.await? {
            return Ok(mark);
        }
    }
    Err(AuditLogError::Busy)
}
