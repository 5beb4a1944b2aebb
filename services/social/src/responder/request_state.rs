//! The state of one request at the bureau. It is lost with the process and with the lease: the streams hold everything that
//! matters.
//!
//! [`super::request_step`] is the only module that changes it. [`super::request_table`] keeps the states of all requests.

use jiff::Timestamp;
use requests::queue::QueuedRequest;
use schemas::digest::Digest;
use schemas::progress::Waiting;
use schemas::reply::Outcome;
use tokio::time::Instant;

use super::progress_throttle::SentProgress;

/// The state of a request without an outcome.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RequestState {
    /// It waits for its first decision, for officers, or for the end of a hold or of its deadline. Set when the request is
    /// read from its stream, by a decision, and between the end of a quantum and the decision that follows.
    #[default]
    Waiting,
    /// It is admitted and has this entry in the queue. Set by a decision.
    Queued(Box<QueuedRequest>),
    /// One quantum is being read for it. Set by a permit, together with a decision.
    Reading,
    /// One message is being stored. Set by a final decision, by the end of a quantum with closed blocks, and by the
    /// acknowledgement of the message before it.
    Publishing(Publication),
    /// Nothing is done for it until a time. Set by a failed attempt, by a statement that timed out and by a used quota.
    Backoff {
        /// When the rules are evaluated again.
        until: Instant,
    },
    /// Its outcome is stored, by this process or another, and was not read back yet. Set by the exchange's response to a
    /// reply.
    Closed,
}

/// A message that is being stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The message.
    pub message: Message,
    /// How often it was sent without an acknowledgement.
    pub tries: u32,
    /// The back-off that follows when all closed blocks are stored, if any.
    pub resume_at: Option<Instant>,
}

/// A message about a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The first closed block, as a part.
    Part {
        /// Its attempt.
        attempt: u32,
        /// Its number in the attempt.
        number: u32,
    },
    /// The outcome.
    Reply {
        /// The outcome.
        outcome: Outcome,
        /// The attempt whose parts the outcome names.
        attempt: Option<u32>,
        /// The digest of the kind's definition; `None` if the kind is unknown.
        definition: Option<Digest>,
        /// The exchange's time before which it is not stored.
        not_before: Option<Timestamp>,
    },
}

/// What was read and stored in one attempt at an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// The digest of the kind's definition.
    pub definition: Digest,
    /// Rows read, stored or not.
    pub rows: u64,
    /// Closed blocks that are not stored yet.
    pub blocks: usize,
    /// The digests of the stored parts, in order.
    pub stored: Vec<Digest>,
    /// The totals of the stored parts.
    pub totals: PartTotals,
    /// How reading ended, if it has.
    pub ended: Option<ReadEnd>,
}

/// Counts of stored parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartTotals {
    /// Rows.
    pub rows: u64,
    /// Withheld rows.
    pub withheld: u64,
    /// Rows that could not be carried.
    pub rejects: u64,
}

/// How reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadEnd {
    /// Everything was read.
    Complete,
    /// There is more, which is not read for this reason.
    Truncated(String),
}

/// What this process did for a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Processing {
    /// The current state.
    pub state: RequestState,
    /// The current attempt; `None` before the first quantum and after a failure. The quota is checked while there is none.
    pub attempt: Option<Attempt>,
    /// The number of failed attempts.
    pub failures: u32,
    /// What the recipient is shown.
    pub progress: RequestProgress,
}

/// What the recipient of a request is shown before its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestProgress {
    /// What the request waits for; `None` before the first decision.
    pub waiting: Option<Waiting>,
    /// Its queue position, as last computed.
    pub place: Option<u64>,
    /// The forecast of its answer, as last computed.
    pub forecast: Option<Timestamp>,
    /// The last message that this process knows of.
    pub last: Option<SentProgress>,
    /// Whether a message may be written now.
    pub message: ProgressMessage,
}

/// Whether a progress message of a request may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressMessage {
    /// The request is new and may be answered at once, so *taken* and *answering* are not worth a message. Set when it is read
    /// from its stream.
    #[default]
    New,
    /// A message may be written. Set by the poll after the first one, and when a message was written.
    Idle,
    /// A message is being written.
    Writing,
}

impl RequestState {
    /// Returns whether its outcome is stored or is being stored.
    #[must_use]
    pub fn has_outcome(&self) -> bool {
        let is_reply = |publication: &Publication| matches!(publication.message, Message::Reply { .. });
        match self {
            Self::Publishing(publication) => is_reply(publication),
            Self::Closed => true,
            Self::Waiting | Self::Queued(_) | Self::Reading | Self::Backoff { .. } => false,
        }
    }

    /// Returns whether the rules decide what is next. While a quantum is read or a message is stored, the end of that decides.
    #[must_use]
    pub fn takes_decision(&self) -> bool {
        matches!(self, Self::Waiting | Self::Queued(_) | Self::Backoff { .. })
    }
}

impl Attempt {
    /// Creates an attempt in which nothing was read.
    #[must_use]
    pub fn new(number: u32, definition: Digest) -> Self {
        Self {
            number,
            definition,
            rows: 0,
            blocks: 0,
            stored: Vec::new(),
            totals: PartTotals::default(),
            ended: None,
        }
    }

    /// Returns the number of the next part.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        u32::try_from(self.stored.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    /// Returns the outcome, once everything is read and stored.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        let ended = self.ended.as_ref().filter(|_| self.blocks == 0)?;
        let (rows, parts) = (self.totals.rows, self.stored.clone());
        Some(match ended {
            ReadEnd::Truncated(reason) => Outcome::Partial {
                rows,
                parts,
                reason: reason.clone(),
            },
            // Rejected rows make an answer non-empty.
            ReadEnd::Complete if rows == 0 && self.totals.rejects == 0 => Outcome::Empty,
            ReadEnd::Complete => Outcome::Answered { rows, parts },
        })
    }

    /// Returns the progress of the answer.
    #[must_use]
    pub fn progress(&self) -> Waiting {
        Waiting::Answering {
            attempt: self.number,
            parts: self.next_number() - 1,
            rows: self.totals.rows,
        }
    }
}
