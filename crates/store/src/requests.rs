//! The insurer's side of requests: what its programs ask for, what was filed, and what came back.
//!
//! **Keep, then publish.** A request is signed and kept here before it goes to the exchange, and
//! goes there byte by byte as it is kept. So a filing that is repeated after a crash, even after
//! midnight, is the same request under the same id; an idempotency key is one request for ever.
//!
//! **The outbox** is a table that the insurer's own programs fill ([`outbox::COLUMNS`] tells its
//! columns). They need `INSERT` on it and nothing else. A row that makes no valid request is
//! marked with its reason, and the rows behind it go on.
//!
//! **A reply is stored once.** With all parts that it names, in one transaction. The same reply
//! again changes nothing; another one for the same request is refused as a contradiction.
//!
//! **Answers' rows** go to one table for each kind of request, with the request's id and each
//! row's place in its answer. It is made and widened as feeds' tables are, and follows every
//! change of the kind by itself, for no answer may wait for an operator: a column that does not
//! come any more holds NULL, and one of another type goes on under its name, with the old values
//! in a column beside it.
//!
//! - [`outbox`] PURE: what a row of the outbox asks for
//! - [`answer`] PURE: whether a reply is whole, and the tables that its rows go to

pub mod answer;
pub mod outbox;

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::part::OpenedPart;
use schemas::reply::Reply;
use schemas::request::{Request, RequestId};

use crate::error::Result;
use crate::port::Store;
use outbox::OutboxRow;

/// A request on its way to the exchange, or as it was found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filing {
    /// What was signed.
    pub request: Request,
    /// The digest that its reply names.
    pub digest: Digest,
    /// The bytes to publish.
    pub bytes: Vec<u8>,
    /// When the exchange stored it, where it was found there: what stands here follows it then.
    pub exchanged_at: Option<Timestamp>,
    /// The row of the outbox that asked for it.
    pub outbox: Option<u64>,
}

/// What became of a filing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filed {
    /// It is kept, and may be published.
    Kept,
    /// The same was asked for before: under this id.
    Known(RequestId),
    /// Something else was asked for before under its id or its key.
    Contradicts(RequestId),
}

/// A request that is kept and not at the exchange yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpublished {
    /// Its id.
    pub id: RequestId,
    /// The bytes to publish.
    pub bytes: Vec<u8>,
}

/// A reply as it arrived, verified, with the parts that it names.
#[derive(Debug, Clone)]
pub struct Answered {
    /// What was signed.
    pub reply: Reply,
    /// Its digest.
    pub digest: Digest,
    /// The published bytes: kept as evidence.
    pub bytes: Vec<u8>,
    /// The parts, in order, opened.
    pub parts: Vec<OpenedPart>,
    /// When the exchange stored it.
    pub exchanged_at: Timestamp,
    /// When it was fetched, by the receiver's clock.
    pub delivered_at: Timestamp,
}

/// What became of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// It is stored, with its rows.
    Stored {
        /// Rows of it that are in the table.
        rows: u64,
        /// Rows of it that constraints refused; they are kept aside.
        quarantined: u64,
    },
    /// It was stored before; nothing changed.
    Already,
    /// There is no such request here: file it as the exchange has it, and store the reply again.
    Unknown,
    /// It contradicts the request, its own parts or a reply that is stored. Nothing changed.
    Contradicts {
        /// In which way.
        reason: String,
    },
}

/// A reply whose confirmation has not been published: all that the confirmation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The request.
    pub id: RequestId,
    /// The digest of the stored reply.
    pub reply: Digest,
    /// Rows that are stored.
    pub rows: u64,
    /// Rows that are kept aside.
    pub quarantined: u64,
    /// When the reply was fetched, by the receiver's clock.
    pub delivered_at: Timestamp,
    /// When it was stored, by the database's clock.
    pub stored_at: Timestamp,
}

/// How far a request is, as far as it is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Kept, not at the exchange yet.
    Kept,
    /// At the exchange, without a reply here.
    Filed,
    /// The exchange does not take it.
    NotFiled,
    /// Its reply is stored.
    Stored,
    /// And the bureau has been told.
    Confirmed,
}

impl Standing {
    /// The word for people and tables.
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
        .find(|standing| standing.word() == word)
    }
}

/// Which requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of one kind only.
    pub kind: Option<String>,
    /// Of one standing only.
    pub standing: Option<Standing>,
    /// Of one outcome only, by its name on the wire.
    pub outcome: Option<String>,
    /// Ids that begin so.
    pub prefix: String,
    /// Filed at this time or later, by the filer's clock.
    pub since: Option<Timestamp>,
    /// At most so many, the latest; none: all.
    pub most: Option<u32>,
}

/// A request as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: RequestId,
    /// Its kind.
    pub kind: String,
    /// The filer's own name for it.
    pub idempotency: Option<String>,
    /// Who filed it.
    pub filed_by: String,
    /// When, by the filer's clock.
    pub filed_at: Timestamp,
    /// Until when an answer is wanted.
    pub deadline: Option<Timestamp>,
    /// How far it is.
    pub standing: Standing,
    /// When the exchange stored it.
    pub exchanged_at: Option<Timestamp>,
    /// What became of it.
    pub reply: Option<Told>,
    /// Why the exchange does not take it, or why its outcome is what it is.
    pub reason: Option<String>,
}

/// The reply to a request, without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The outcome's name on the wire.
    pub outcome: String,
    /// The code of a refusal.
    pub code: Option<String>,
    /// Its digest.
    pub digest: Digest,
    /// Rows that are in the table of its kind.
    pub rows: u64,
    /// Rows that are kept aside.
    pub quarantined: u64,
    /// Rows that the bureau kept back.
    pub withheld: u64,
    /// The table that holds the rows, in SQL, where there are any.
    pub table: Option<String>,
    /// When the reply was fetched, by the receiver's clock.
    pub delivered_at: Timestamp,
    /// When it was stored, by the database's clock.
    pub stored_at: Timestamp,
    /// When the exchange stored the confirmation.
    pub confirmed_at: Option<Timestamp>,
}

/// An insurer's requests. Each verb is one transaction, or changes nothing when repeated.
/// [`Store::prepare`] makes the tables.
#[async_trait]
pub trait Requests: Store {
    /// Rows of the outbox that nothing has become of yet, in the order they were written.
    async fn outbox(&self, most: u32) -> Result<Vec<OutboxRow>>;

    /// Marks a row of the outbox that makes no valid request.
    async fn unfit(&self, number: u64, reason: &str) -> Result<()>;

    /// Keeps a request, and marks the row of the outbox that asked for it.
    async fn file(&self, filing: &Filing) -> Result<Filed>;

    /// Requests that are kept and not at the exchange yet, the oldest first.
    async fn unpublished(&self, recipient: &RecipientName, most: u32) -> Result<Vec<Unpublished>>;

    /// Notes that the exchange has stored a request.
    async fn published(&self, recipient: &RecipientName, id: &RequestId, at: Timestamp) -> Result<()>;

    /// Notes that the exchange does not take a request, and why.
    async fn not_filed(&self, recipient: &RecipientName, id: &RequestId, reason: &str) -> Result<()>;

    /// Stores a reply with all its parts in one transaction.
    async fn store_reply(&self, answered: &Answered) -> Result<Became>;

    /// Replies whose confirmations are due, the oldest first.
    async fn due(&self, recipient: &RecipientName, most: u32) -> Result<Vec<Due>>;

    /// Notes that the confirmation of a reply is at the exchange.
    async fn confirmed(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        reply: &Digest,
        at: Timestamp,
    ) -> Result<()>;

    /// Those of these requests whose replies are not stored.
    async fn unanswered(&self, recipient: &RecipientName, ids: &[RequestId]) -> Result<Vec<RequestId>>;

    /// What is known, the latest first.
    async fn listed(&self, recipient: &RecipientName, wanted: &Wanted) -> Result<Vec<Listed>>;

    /// How many have no outcome here. It looks at every request: not to be asked each second.
    async fn waiting(&self, recipient: &RecipientName) -> Result<WaitingRequests>;
}

/// The requests without an outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitingRequests {
    /// Not at the exchange yet.
    pub kept: u64,
    /// At the exchange.
    pub filed: u64,
    /// When the oldest of them was filed, by the filer's clock.
    pub oldest: Option<Timestamp>,
}

/// What stands in the outbox behind a row whose key was used before.
pub(crate) const KEY_TAKEN: &str =
    "another request was filed under this idempotency key: give this one a key of its own";

/// Why a second reply is not stored.
pub(crate) const ANOTHER_REPLY: &str = "another reply to this request is stored: there is one for ever";

/// Why a reply is not stored.
pub(crate) const ANOTHER_REQUEST: &str = "the reply names another request than the one that is kept under its id: compare it with the one at the exchange";

/// How far a request `q` with its reply `p` is, in SQL.
pub(crate) const STANDING: &str = "CASE WHEN p.confirmed_at IS NOT NULL THEN 'confirmed' WHEN p.digest IS NOT NULL THEN 'stored' \
     WHEN q.exchanged_at IS NOT NULL THEN 'filed' WHEN q.reason IS NOT NULL THEN 'not_filed' ELSE 'kept' END";
