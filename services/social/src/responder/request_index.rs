//! PURE: indexes requests without an outcome, and the history that quotas need.
//!
//! Messages are added in stream order: replies first, then requests, then cancels and approvals, round by round
//! ([`RequestIndex::end_round`]). Only this module verifies their signatures. It keeps pending requests and one day of counts
//! for each recipient.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use exchange::{Stored, TraceParent};
use jiff::Timestamp;
use requests::queue::RequestKey;
use requests::quota::{History, StreamPosition};
use requests::refusal::Refusal;
use schemas::approval::Approval;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::name::{OfficerName, RecipientName};
use schemas::origin::{Origin, OriginMismatch};
use schemas::refusal::RefusalCode;
use schemas::reply::{Outcome, Reply};
use schemas::request::{Cancel, Request};
use schemas::sign::PublicKey;
use schemas::subject::Subject;

use super::request_state::{Processing, ProgressMessage};

/// The keys and the origin that are trusted.
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    /// Keys for requests and cancels, by recipient.
    pub requests: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// The origin that requests must have.
    pub here: Origin,
    /// Keys for approvals, by officer.
    pub officers: BTreeMap<OfficerName, Vec<PublicKey>>,
}

/// A request without an outcome.
#[derive(Debug)]
pub struct PendingRequest {
    /// Its position in the stream.
    pub position: StreamPosition,
    /// The digest of the envelope, or of the raw bytes if they are not an envelope.
    pub digest: Digest,
    /// The verified request, or why it is refused.
    pub request: Result<Box<Request>, Refusal>,
    /// Whether its recipient cancelled it.
    pub cancelled: bool,
    /// The officers' decisions.
    pub approvals: Vec<Approval>,
    /// What this process did for it so far.
    pub processing: Processing,
    /// The trace of its filing.
    pub trace: Option<TraceParent>,
}

/// Requests without an outcome, by key.
#[derive(Debug, Default)]
pub struct RequestIndex {
    trusted: Trusted,
    entries: BTreeMap<RequestKey, PendingRequest>,
    histories: BTreeMap<RecipientName, History>,
    /// Outcomes read in this round whose requests were not read yet.
    replied: HashMap<RequestKey, Replied>,
    /// Cancels and approvals of unknown requests: those of this round, and those of the previous one.
    early: [Vec<(RequestKey, Note)>; 2],
    changed: BTreeSet<RequestKey>,
    removed: Vec<RequestKey>,
}

#[derive(Debug, Clone, Copy)]
struct Replied {
    at: Timestamp,
    rows: u64,
    counts: bool,
}

#[derive(Debug)]
enum Note {
    Cancel(Digest),
    Approval(Box<Approval>),
}

impl RequestIndex {
    /// Creates an empty index.
    #[must_use]
    pub fn new(trusted: Trusted) -> Self {
        Self {
            trusted,
            ..Self::default()
        }
    }

    /// Adds an outcome.
    pub fn add_reply(&mut self, stored: &Stored) {
        let Ok(Subject::Reply(recipient, id)) = stored.subject.parse() else {
            return;
        };
        // Not verified: the first outcome is final, even if untrusted. Only its row count is used.
        let read = Envelope::decode(&stored.bytes).and_then(|envelope| envelope.read::<Reply>());
        let (rows, counts) = read.map_or((0, true), |reply| disclosed_rows(&reply.outcome));
        let replied = Replied {
            at: stored.stored_at,
            rows,
            counts,
        };
        self.insert_reply(RequestKey { recipient, id }, replied);
    }

    /// Adds an outcome that was read.
    pub fn insert_outcome(&mut self, key: RequestKey, at: Timestamp, outcome: &Outcome) {
        let (rows, counts) = disclosed_rows(outcome);
        self.insert_reply(key, Replied { at, rows, counts });
    }

    fn insert_reply(&mut self, key: RequestKey, replied: Replied) {
        match self.entries.remove(&key) {
            Some(entry) => {
                self.close(&key.recipient, entry.position, replied);
                self.changed.remove(&key);
                self.removed.push(key);
            }
            None => {
                self.replied.insert(key, replied);
            }
        }
    }

    /// Adds a request.
    pub fn add_request(&mut self, stored: &Stored) {
        let Ok(Subject::Request(recipient, id)) = stored.subject.parse() else {
            return;
        };
        let key = RequestKey { recipient, id };
        if self.entries.contains_key(&key) {
            return;
        }
        let position = StreamPosition {
            sequence: stored.sequence,
            stored_at: stored.stored_at,
        };
        let trusted = self.trusted.requests.get(&key.recipient);
        let (digest, request) = read_request(stored, trusted.map_or(&[], Vec::as_slice), &self.trusted.here);
        self.insert_request(key.clone(), position, digest, request);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.trace = stored.trace;
        }
    }

    /// Adds a request that was verified, or is refused.
    pub fn insert_request(
        &mut self,
        key: RequestKey,
        position: StreamPosition,
        digest: Digest,
        request: Result<Box<Request>, Refusal>,
    ) {
        if self.entries.contains_key(&key) {
            return;
        }
        self.histories
            .entry(key.recipient.clone())
            .or_default()
            .add_request(position);
        if let Some(replied) = self.replied.remove(&key) {
            self.close(&key.recipient, position, replied);
            return;
        }
        let entry = PendingRequest {
            position,
            digest,
            request,
            cancelled: false,
            approvals: Vec::new(),
            processing: Processing::default(),
            trace: None,
        };
        self.changed.insert(key.clone());
        self.entries.insert(key, entry);
    }

    /// Adds a cancel.
    pub fn add_cancel(&mut self, stored: &Stored) {
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
                self.insert_cancel(RequestKey { recipient, id }, cancel.request);
            }
            Ok(_) => {
                tracing::warn!(%recipient, %id, "cancel does not match its subject, ignored")
            }
            Err(error) => {
                tracing::warn!(%recipient, %id, %error, "cancel is not trusted, ignored")
            }
        }
    }

    /// Adds an officer's decision.
    pub fn add_approval(&mut self, stored: &Stored) {
        let Ok(Subject::Approval(recipient, id, officer)) = stored.subject.parse() else {
            return;
        };
        let trusted = self.trusted.officers.get(&officer).map_or(&[][..], Vec::as_slice);
        match verified::<Approval>(stored, trusted) {
            Ok(approval)
                if approval.id == id && approval.recipient == recipient && approval.officer == officer =>
            {
                self.insert_approval(RequestKey { recipient, id }, approval);
            }
            Ok(_) => {
                tracing::warn!(%recipient, %id, %officer, "approval does not match its subject, ignored");
            }
            Err(error) => {
                tracing::warn!(%recipient, %id, %officer, %error, "approval is not trusted, ignored");
            }
        }
    }

    /// Adds a verified cancel of the request with this digest.
    pub fn insert_cancel(&mut self, key: RequestKey, request: Digest) {
        self.add_note(key, Note::Cancel(request));
    }

    /// Adds a verified decision of an officer.
    pub fn insert_approval(&mut self, key: RequestKey, approval: Approval) {
        self.add_note(key, Note::Approval(Box::new(approval)));
    }

    fn add_note(&mut self, key: RequestKey, note: Note) {
        let Some(entry) = self.entries.get_mut(&key) else {
            self.early[0].push((key, note));
            return;
        };
        match note {
            Note::Cancel(request) if request == entry.digest => entry.cancelled = true,
            Note::Cancel(_) => return,
            Note::Approval(approval) => {
                if entry
                    .approvals
                    .iter()
                    .any(|known| known.officer == approval.officer)
                {
                    return;
                }
                entry.approvals.push(*approval);
            }
        }
        self.changed.insert(key);
    }

    /// Ends a round, in which every stream was read to its end. Applies the cancels and approvals of requests that arrived
    /// meanwhile. Drops those of no request after two rounds: that request has its outcome or is gone from the exchange.
    pub fn end_round(&mut self, now: Timestamp) {
        let waited = std::mem::take(&mut self.early[1]);
        self.early.swap(0, 1);
        let again = std::mem::take(&mut self.early[1]);
        for (key, note) in waited {
            if self.entries.contains_key(&key) {
                self.add_note(key, note);
            }
        }
        for (key, note) in again {
            if self.entries.contains_key(&key) {
                self.add_note(key, note);
            } else {
                self.early[1].push((key, note));
            }
        }
        self.replied.clear();
        for history in self.histories.values_mut() {
            history.prune(now);
        }
    }

    /// Counts an outcome of this process for the quota before it is read back.
    pub fn record_own_outcome(&mut self, key: &RequestKey, at: Timestamp, outcome: &Outcome) {
        if let Some(entry) = self.entries.get(key) {
            let (rows, counts) = disclosed_rows(outcome);
            let position = entry.position;
            self.close(&key.recipient, position, Replied { at, rows, counts });
        }
    }

    fn close(&mut self, recipient: &RecipientName, position: StreamPosition, replied: Replied) {
        let history = self.histories.entry(recipient.clone()).or_default();
        history.add_outcome(position, replied.at, replied.rows, replied.counts);
    }

    /// Returns requests that are new or have a new cancel or approval since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<RequestKey> {
        std::mem::take(&mut self.changed)
    }

    /// Returns requests that received an outcome since the last call.
    pub fn take_removed(&mut self) -> Vec<RequestKey> {
        std::mem::take(&mut self.removed)
    }

    /// Returns a request without an outcome.
    #[must_use]
    pub fn get(&self, key: &RequestKey) -> Option<&PendingRequest> {
        self.entries.get(key)
    }

    /// Returns what this process did for a request.
    pub fn processing_mut(&mut self, key: &RequestKey) -> Option<&mut Processing> {
        self.entries.get_mut(key).map(|entry| &mut entry.processing)
    }

    /// Returns the number of requests without an outcome.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no request is without an outcome.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Marks all current requests as seen by an earlier poll.
    pub fn mark_polled(&mut self) {
        for entry in self.entries.values_mut() {
            let message = &mut entry.processing.progress.message;
            if *message == ProgressMessage::New {
                *message = ProgressMessage::Idle;
            }
        }
    }

    /// Clears all queue positions and forecasts.
    pub fn clear_queue_positions(&mut self) {
        for entry in self.entries.values_mut() {
            let progress = &mut entry.processing.progress;
            (progress.place, progress.forecast) = (None, None);
        }
    }

    /// Iterates over the requests of one recipient without an outcome, by id.
    pub fn requests_of<'a>(
        &'a self,
        recipient: &'a RecipientName,
    ) -> impl Iterator<Item = (&'a RequestKey, &'a PendingRequest)> {
        self.entries
            .iter()
            .filter(move |(key, _)| key.recipient == *recipient)
    }

    /// Iterates over the requests without an outcome, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&RequestKey, &PendingRequest)> {
        self.entries.iter()
    }

    /// Returns what a recipient requested and received.
    #[must_use]
    pub fn history(&self, recipient: &RecipientName) -> Option<&History> {
        self.histories.get(recipient)
    }
}

/// Returns the rows that an outcome discloses, and whether the request counts for the hourly quota.
fn disclosed_rows(outcome: &Outcome) -> (u64, bool) {
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
        let elsewhere = |error: OriginMismatch| Refusal::new(RefusalCode::NotTrusted, error.to_string());
        here.admit(request.origin.as_ref()).map_err(elsewhere)?;
        Ok(Box::new(request))
    });
    (envelope.digest(), admitted)
}

/// The error's own text is left out: it may repeat filed content.
fn refusal(error: &EnvelopeError) -> Refusal {
    match error {
        EnvelopeError::Frame(_) | EnvelopeError::Kind { .. } | EnvelopeError::Payload { .. } => Refusal::new(
            RefusalCode::Malformed,
            "it cannot be read as a request; file it with the product's own tools",
        ),
        EnvelopeError::DuplicateKey { .. } => Refusal::new(
            RefusalCode::Malformed,
            "an object in it holds a key twice; file it with each argument once",
        ),
        EnvelopeError::InvisibleCharacter(error) => Refusal::new(RefusalCode::Malformed, error.to_string()),
        EnvelopeError::Untrusted { .. } | EnvelopeError::Signature(_) => Refusal::new(
            RefusalCode::NotTrusted,
            "it is not signed by a key that the bureau trusts for you; give the bureau your sign.pub",
        ),
    }
}

#[cfg(test)]
mod tests;
