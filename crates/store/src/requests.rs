//! The insurer's side of requests: what its programs ask for, what was filed, and the replies.
//!
//! **Record, then publish.** A request is signed and recorded here, and exactly the recorded bytes are published. So
//! a repetition after a crash, even after midnight, is the same request under the same id. An idempotency key
//! permanently belongs to one request.
//!
//! **The outbox** is a table that the insurer's programs fill (see [`outbox::COLUMNS`]). They need only `INSERT` on
//! it. An invalid row is marked with the reason and does not block the rows after it.
//!
//! **A reply is stored once**, with all parts that it names, in one transaction. The same reply again changes
//! nothing; another reply to the same request is refused as a contradiction.
//!
//! **Rows of answers** are stored in one table for each kind of request, with the request's id and the row's number
//! in its answer. It is created and widened like feeds' tables and follows every change of the kind automatically,
//! because no answer may wait for an operator: a missing column holds NULL, and a column with another type continues
//! under its name, with the old values in an additional column.
//!
//! - [`outbox`] PURE: reads a row of the outbox
//! - [`answer`] PURE: whether a reply is complete, and the tables of its rows

pub mod answer;
pub mod outbox;

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::part::VerifiedPart;
use schemas::reply::Reply;
use schemas::request::{Request, RequestId};

use crate::error::Result;
use crate::port::Store;
use outbox::OutboxRow;

/// A request to publish, or as it was found at the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filing {
    /// The signed request.
    pub request: Request,
    /// The digest that its reply names.
    pub digest: Digest,
    /// The bytes to publish.
    pub bytes: Vec<u8>,
    /// When the exchange stored it, if it was found there; then the record follows it.
    pub exchanged_at: Option<Timestamp>,
    /// The outbox row of the request.
    pub outbox: Option<u64>,
}

/// The outcome of recording a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilingOutcome {
    /// It is recorded and may be published.
    Kept,
    /// The same request is recorded under this id.
    Known(RequestId),
    /// Another request is recorded under its id or its key.
    Contradicts(RequestId),
}

/// A recorded request that is not at the exchange yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpublished {
    /// Its id.
    pub id: RequestId,
    /// The bytes to publish.
    pub bytes: Vec<u8>,
}

/// A delivered, verified reply with the parts that it names.
#[derive(Debug, Clone)]
pub struct ReceivedReply {
    /// The signed reply.
    pub reply: Reply,
    /// Its digest.
    pub digest: Digest,
    /// The published bytes, kept as evidence.
    pub bytes: Vec<u8>,
    /// The opened parts, in order.
    pub parts: Vec<VerifiedPart>,
    /// When the exchange stored it.
    pub exchanged_at: Timestamp,
    /// When it was fetched, by this host's clock.
    pub delivered_at: Timestamp,
}

/// The outcome of storing a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyOutcome {
    /// It is stored with its rows.
    Stored {
        /// Rows in the table.
        rows: u64,
        /// Rows that constraints refused; they are quarantined.
        quarantined: u64,
    },
    /// It was stored before; nothing changed.
    AlreadyStored,
    /// There is no such request: record it as it is at the exchange, and store the reply again.
    Unknown,
    /// It contradicts the request, its own parts or a reply that is stored. Nothing changed.
    Contradicts {
        /// The contradiction.
        reason: String,
    },
}

impl ReplyOutcome {
    /// Creates the outcome of a reply that contradicts.
    pub(crate) fn contradicts(error: &dyn std::error::Error) -> Self {
        Self::Contradicts {
            reason: error.to_string(),
        }
    }
}

/// A reply without a published confirmation: the fields of the confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnconfirmedReply {
    /// The request.
    pub id: RequestId,
    /// The digest of the stored reply.
    pub reply: Digest,
    /// Rows stored.
    pub rows: u64,
    /// Rows in quarantine.
    pub quarantined: u64,
    /// When the reply was fetched, by this host's clock.
    pub delivered_at: Timestamp,
    /// When it was stored, by the database's clock.
    pub stored_at: Timestamp,
}

/// The state of a request, as known at this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestState {
    /// Recorded, not at the exchange yet.
    Kept,
    /// At the exchange, without a reply here.
    Filed,
    /// The exchange refuses it.
    NotFiled,
    /// Its reply is stored.
    Stored,
    /// Its reply is stored and confirmed.
    Confirmed,
}

impl RequestState {
    /// Returns the word for people and tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Filed => "filed",
            Self::NotFiled => "not_filed",
            Self::Stored => "stored",
            Self::Confirmed => "confirmed",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [
            Self::Kept,
            Self::Filed,
            Self::NotFiled,
            Self::Stored,
            Self::Confirmed,
        ]
        .into_iter()
        .find(|state| state.word() == word)
    }
}

/// Selects requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this state.
    pub state: Option<RequestState>,
    /// Only this outcome, by its name on the wire.
    pub outcome: Option<String>,
    /// Ids with this prefix.
    pub prefix: String,
    /// Filed at or after this time, by the filer's clock.
    pub since: Option<Timestamp>,
    /// The maximum number of requests, the latest first; `None`: all.
    pub limit: Option<u32>,
}

/// A request as known at this store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSummary {
    /// Its id.
    pub id: RequestId,
    /// Its kind.
    pub kind: String,
    /// The filer's own name for it.
    pub idempotency: Option<String>,
    /// Who filed it.
    pub filed_by: String,
    /// When it was filed, by the filer's clock.
    pub filed_at: Timestamp,
    /// Until when an answer is useful.
    pub deadline: Option<Timestamp>,
    /// The state.
    pub state: RequestState,
    /// When the exchange stored it.
    pub exchanged_at: Option<Timestamp>,
    /// The reply.
    pub reply: Option<ReplySummary>,
    /// Why the exchange refuses it, or the reason of its outcome.
    pub reason: Option<String>,
}

/// A reply without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplySummary {
    /// The outcome's name on the wire.
    pub outcome: String,
    /// The code of a refusal.
    pub code: Option<String>,
    /// Its digest.
    pub digest: Digest,
    /// Rows in the table of its kind.
    pub rows: u64,
    /// Rows in quarantine.
    pub quarantined: u64,
    /// Rows that the bureau withheld.
    pub withheld: u64,
    /// The table of the rows, in SQL, if there are any.
    pub table: Option<String>,
    /// When the reply was fetched, by this host's clock.
    pub delivered_at: Timestamp,
    /// When it was stored, by the database's clock.
    pub stored_at: Timestamp,
    /// When the exchange stored the confirmation.
    pub confirmed_at: Option<Timestamp>,
}

/// An insurer's requests. Each operation is one transaction, or changes nothing when repeated. [`Store::prepare`]
/// creates the tables.
#[async_trait]
pub trait Requests: Store {
    /// Returns unread outbox rows, in the order they were written.
    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>>;

    /// Marks an invalid outbox row with the reason.
    async fn refuse_row(&self, number: u64, reason: &str) -> Result<()>;

    /// Records a request and marks its outbox row.
    async fn file(&self, filing: &Filing) -> Result<FilingOutcome>;

    /// Returns recorded requests that are not at the exchange yet, the oldest first.
    async fn unpublished(&self, recipient: &RecipientName, limit: u32) -> Result<Vec<Unpublished>>;

    /// Records that the exchange has stored a request.
    async fn mark_published(&self, recipient: &RecipientName, id: &RequestId, at: Timestamp) -> Result<()>;

    /// Records that the exchange refuses a request, and why.
    async fn mark_not_filed(&self, recipient: &RecipientName, id: &RequestId, reason: &str) -> Result<()>;

    /// Stores a reply with all its parts in one transaction.
    async fn store_reply(&self, received: &ReceivedReply) -> Result<ReplyOutcome>;

    /// Returns replies without a confirmation, the oldest first.
    async fn unconfirmed_replies(
        &self,
        recipient: &RecipientName,
        limit: u32,
    ) -> Result<Vec<UnconfirmedReply>>;

    /// Records that the confirmation of a reply is at the exchange.
    async fn mark_confirmed(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        reply: &Digest,
        at: Timestamp,
    ) -> Result<()>;

    /// Returns those of the given requests whose replies are not stored.
    async fn unanswered(&self, recipient: &RecipientName, ids: &[RequestId]) -> Result<Vec<RequestId>>;

    /// Returns the selected requests, the latest first.
    async fn list(&self, recipient: &RecipientName, wanted: &RequestFilter) -> Result<Vec<RequestSummary>>;

    /// Counts requests without an outcome. It reads every request, so do not call it every second.
    async fn count_waiting(&self, recipient: &RecipientName) -> Result<WaitingRequests>;
}

/// The number of requests without an outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitingRequests {
    /// Not at the exchange yet.
    pub kept: u64,
    /// At the exchange.
    pub filed: u64,
    /// When the oldest of them was filed, by the filer's clock.
    pub oldest: Option<Timestamp>,
}

/// The reason of an outbox row whose key was used before.
pub(crate) const KEY_TAKEN: &str =
    "another request was filed under this idempotency key: give this one a key of its own";

/// The reason of a second reply.
pub(crate) const ANOTHER_REPLY: &str =
    "another reply to this request is stored: a request has only one reply";

/// The reason of a reply to another request.
pub(crate) const ANOTHER_REQUEST: &str = "the reply names another request than the one that is recorded under its id: compare it with the one at the exchange";

/// The state of a request `q` with its reply `p`, in SQL.
pub(crate) const REQUEST_STATE: &str = "CASE WHEN p.confirmed_at IS NOT NULL THEN 'confirmed' WHEN p.digest IS NOT NULL THEN 'stored' \
     WHEN q.exchanged_at IS NOT NULL THEN 'filed' WHEN q.reason IS NOT NULL THEN 'not_filed' ELSE 'kept' END";
