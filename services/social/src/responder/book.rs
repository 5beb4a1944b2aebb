//! PURE: what the streams say about requests without an outcome, and what quotas need of the others.
//!
//! Told message by message, in the order of each stream: first replies, then requests, then what was said
//! about them, round by round ([`Book::end_round`]). Signatures are checked here and nowhere else. What is
//! kept is small: requests that wait, and a day of numbers for each recipient.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use exchange::Stored;
use jiff::Timestamp;
use requests::queue::Key;
use requests::quota::{History, Place};
use requests::refusal::Refusal;
use schemas::approval::Approval;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::name::{OfficerName, RecipientName};
use schemas::origin::{Elsewhere, Origin};
use schemas::refusal::RefusalCode;
use schemas::reply::{Outcome, Reply};
use schemas::request::{Cancel, Request};
use schemas::sign::PublicKey;
use schemas::subject::Subject;

use super::standing::Standing;

/// Whose words count.
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    /// For requests and cancels, by recipient.
    pub requests: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Where requests have to belong.
    pub here: Origin,
    /// For approvals, by officer.
    pub officers: BTreeMap<OfficerName, Vec<PublicKey>>,
}

/// A request without an outcome.
#[derive(Debug)]
pub struct Entry {
    /// Where it stands in the stream.
    pub place: Place,
    /// The digest of the bytes as filed; of whatever was filed, where that is no message.
    pub digest: Digest,
    /// What was signed, or why nobody can go by it.
    pub request: Result<Box<Request>, Refusal>,
    /// Whether its recipient cancelled it.
    pub cancelled: bool,
    /// What officers said.
    pub approvals: Vec<Approval>,
    /// What this process did for it so far.
    pub standing: Standing,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Book {
    trusted: Trusted,
    entries: BTreeMap<Key, Entry>,
    histories: BTreeMap<RecipientName, History>,
    /// Outcomes read in this round whose requests were not read yet.
    replied: HashMap<Key, Replied>,
    /// Words about requests that are not known: those of this round, and of the one before.
    early: [Vec<(Key, Word)>; 2],
    changed: BTreeSet<Key>,
    removed: Vec<Key>,
}

#[derive(Debug, Clone, Copy)]
struct Replied {
    at: Timestamp,
    rows: u64,
    counts: bool,
}

#[derive(Debug)]
enum Word {
    Cancel(Digest),
    Approval(Box<Approval>),
}

impl Book {
    /// An empty one.
    #[must_use]
    pub fn new(trusted: Trusted) -> Self {
        Self {
            trusted,
            ..Self::default()
        }
    }

    /// An outcome.
    pub fn reply(&mut self, stored: &Stored) {
        let Ok(Subject::Reply(recipient, id)) = stored.subject.parse() else {
            return;
        };
        // Whoever wrote it: there is one for ever. Only its rows are of interest.
        let read = Envelope::decode(&stored.bytes).and_then(|envelope| envelope.read::<Reply>());
        let (rows, counts) = read.map_or((0, true), |reply| told(&reply.outcome));
        let replied = Replied {
            at: stored.stored_at,
            rows,
            counts,
        };
        let key = Key { recipient, id };
        match self.entries.remove(&key) {
            Some(entry) => {
                self.close(&key.recipient, entry.place, replied);
                self.changed.remove(&key);
                self.removed.push(key);
            }
            None => {
                self.replied.insert(key, replied);
            }
        }
    }

    /// A request.
    pub fn request(&mut self, stored: &Stored) {
        let Ok(Subject::Request(recipient, id)) = stored.subject.parse() else {
            return;
        };
        let key = Key { recipient, id };
        if self.entries.contains_key(&key) {
            return;
        }
        let place = Place {
            sequence: stored.sequence,
            stored_at: stored.stored_at,
        };
        self.histories
            .entry(key.recipient.clone())
            .or_default()
            .filed(place);
        if let Some(replied) = self.replied.remove(&key) {
            self.close(&key.recipient, place, replied);
            return;
        }
        let trusted = self.trusted.requests.get(&key.recipient);
        let (digest, request) = read_request(stored, trusted.map_or(&[], Vec::as_slice), &self.trusted.here);
        let entry = Entry {
            place,
            digest,
            request,
            cancelled: false,
            approvals: Vec::new(),
            standing: Standing::default(),
        };
        self.changed.insert(key.clone());
        self.entries.insert(key, entry);
    }

    /// A wish to cancel.
    pub fn cancel(&mut self, stored: &Stored) {
        let Ok(Subject::Cancel(recipient, id)) = stored.subject.parse() else {
            return;
        };
        let trusted = self
            .trusted
            .requests
            .get(&recipient)
            .map_or(&[][..], Vec::as_slice);
        match verified::<Cancel>(stored, trusted) {
            Ok(cancel) if cancel.id == id && cancel.recipient == recipient => {
                self.word(Key { recipient, id }, Word::Cancel(cancel.request));
            }
            Ok(_) => {
                tracing::warn!(%recipient, %id, "a cancel names another request than its subject; passed over")
            }
            Err(error) => {
                tracing::warn!(%recipient, %id, %error, "a cancel that cannot be trusted; passed over")
            }
        }
    }

    /// What an officer decided.
    pub fn approval(&mut self, stored: &Stored) {
        let Ok(Subject::Approval(recipient, id, officer)) = stored.subject.parse() else {
            return;
        };
        let trusted = self.trusted.officers.get(&officer).map_or(&[][..], Vec::as_slice);
        match verified::<Approval>(stored, trusted) {
            Ok(said) if said.id == id && said.recipient == recipient && said.officer == officer => {
                self.word(Key { recipient, id }, Word::Approval(Box::new(said)));
            }
            Ok(_) => {
                tracing::warn!(%recipient, %id, %officer, "an approval says otherwise than its subject; passed over");
            }
            Err(error) => {
                tracing::warn!(%recipient, %id, %officer, %error, "an approval that cannot be trusted; passed over");
            }
        }
    }

    fn word(&mut self, key: Key, word: Word) {
        let Some(entry) = self.entries.get_mut(&key) else {
            self.early[0].push((key, word));
            return;
        };
        match word {
            Word::Cancel(request) if request == entry.digest => entry.cancelled = true,
            Word::Cancel(_) => return,
            Word::Approval(said) => {
                if entry.approvals.iter().any(|known| known.officer == said.officer) {
                    return;
                }
                entry.approvals.push(*said);
            }
        }
        self.changed.insert(key);
    }

    /// Every stream was read to its end. What was said about a request that came in between is said again;
    /// what is about none is forgotten: it has its outcome, or is gone from the exchange.
    pub fn end_round(&mut self, now: Timestamp) {
        let waited = std::mem::take(&mut self.early[1]);
        self.early.swap(0, 1);
        let again = std::mem::take(&mut self.early[1]);
        for (key, word) in waited {
            if self.entries.contains_key(&key) {
                self.word(key, word);
            }
        }
        for (key, word) in again {
            if self.entries.contains_key(&key) {
                self.word(key, word);
            } else {
                self.early[1].push((key, word));
            }
        }
        self.replied.clear();
        for history in self.histories.values_mut() {
            history.forget(now);
        }
    }

    /// An outcome of our own, before it is read back: the quota is reckoned with it at once.
    pub fn answered(&mut self, key: &Key, at: Timestamp, outcome: &Outcome) {
        if let Some(entry) = self.entries.get(key) {
            let (rows, counts) = told(outcome);
            let place = entry.place;
            self.close(&key.recipient, place, Replied { at, rows, counts });
        }
    }

    fn close(&mut self, recipient: &RecipientName, place: Place, replied: Replied) {
        let history = self.histories.entry(recipient.clone()).or_default();
        history.closed(place, replied.at, replied.rows, replied.counts);
    }

    /// Requests that are new, or about which something new was said, since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.changed)
    }

    /// Requests that have an outcome by now, since the last call.
    pub fn take_removed(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.removed)
    }

    /// A request without an outcome.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// What this process did for one.
    pub fn standing(&mut self, key: &Key) -> Option<&mut Standing> {
        self.entries.get_mut(key).map(|entry| &mut entry.standing)
    }

    /// Requests without an outcome.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those that are there now were there before the next look.
    pub fn grow_old(&mut self) {
        for entry in self.entries.values_mut() {
            entry.standing.is_old = true;
        }
    }

    /// Forgets all places and forecasts.
    pub fn clear_places(&mut self) {
        for entry in self.entries.values_mut() {
            (entry.standing.place, entry.standing.forecast) = (None, None);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// What a recipient asked and received.
    #[must_use]
    pub fn history(&self, recipient: &RecipientName) -> Option<&History> {
        self.histories.get(recipient)
    }
}

/// Rows that an outcome discloses, and whether the request counts for the hour.
fn told(outcome: &Outcome) -> (u64, bool) {
    let is_quota = matches!(
        outcome,
        Outcome::Refused {
            code: RefusalCode::Quota,
            ..
        }
    );
    (outcome.rows(), !is_quota)
}

fn verified<P: schemas::envelope::Payload>(
    stored: &Stored,
    trusted: &[PublicKey],
) -> Result<P, EnvelopeError> {
    let payload: P = Envelope::decode(&stored.bytes)?.verify(trusted)?;
    payload.check_texts()?;
    Ok(payload)
}

fn read_request(
    stored: &Stored,
    trusted: &[PublicKey],
    here: &Origin,
) -> (Digest, Result<Box<Request>, Refusal>) {
    let envelope = match Envelope::decode(&stored.bytes) {
        Ok(envelope) => envelope,
        Err(error) => return (Digest::of(&[&stored.bytes]), Err(refusal(&error))),
    };
    let request = envelope
        .verify::<Request>(trusted)
        .map_err(|error| refusal(&error));
    let admitted = request.and_then(|request| {
        // The three names are short and of letters, so they may be repeated.
        let elsewhere = |error: Elsewhere| Refusal::new(RefusalCode::NotTrusted, error.to_string());
        here.admit(request.origin.as_ref()).map_err(elsewhere)?;
        Ok(Box::new(request))
    });
    (envelope.digest(), admitted)
}

/// Without the error's own words: they may repeat what was filed.
fn refusal(error: &EnvelopeError) -> Refusal {
    match error {
        EnvelopeError::Frame(_) | EnvelopeError::Kind { .. } | EnvelopeError::Payload { .. } => Refusal::new(
            RefusalCode::Malformed,
            "it cannot be read as a request; file it with the product's own tools",
        ),
        EnvelopeError::Repeated { .. } => Refusal::new(
            RefusalCode::Malformed,
            "an object in it holds a key twice; file it with each argument once",
        ),
        EnvelopeError::Invisible(error) => Refusal::new(RefusalCode::Malformed, error.to_string()),
        EnvelopeError::Untrusted { .. } | EnvelopeError::Signature(_) => Refusal::new(
            RefusalCode::NotTrusted,
            "it is not signed by a key that the bureau trusts for you; give the bureau your sign.pub",
        ),
    }
}

#[cfg(test)]
mod tests;
