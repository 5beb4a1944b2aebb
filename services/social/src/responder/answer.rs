//! The rows of one answer, and the messages made of them. What was stored is in [`super::request_state`].
//!
//! Making a message compresses, encrypts and signs, which takes milliseconds of CPU for a large one: callers do it off the
//! asynchronous threads.

use std::collections::VecDeque;
use std::sync::Arc;

use disclosure::mask::plan::Plan;
use jiff::Timestamp;
use requests::admission::RowLimit;
use requests::queue::RequestKey;
use schemas::chunk::ChunkError;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::encryption::EncryptionPublicKey;
use schemas::load::Load;
use schemas::name::Lane;
use schemas::part::{Part, SignedPart};
use schemas::reply::{Outcome, Reply};
use schemas::sign::SigningKey;
use schemas::source::SourceIdentity;
use source::RequestQueryReader;

use super::answer_batcher::AnswerBatcher;
use super::core_digests::CoreDigests;
use super::request_state::PartTotals;
use super::request_step::is_answer;
use crate::lane::RepairTicket;
use crate::row_batch::RowBatch;

/// What was read in one attempt and is not stored yet.
pub struct Answer {
    /// The request that it answers.
    pub request_ref: RequestRef,
    /// The open query at the source, if any.
    pub query: Option<OpenQuery>,
    /// The rows that were read; `None` before the first quantum.
    pub batch: Option<AnswerRows>,
    /// The digests of a feed's rows, if the request reconciles it.
    pub digests: Option<Box<CoreDigests>>,
    /// The repair that these digests are read for, if any.
    pub repair: Option<OpenRepair>,
    /// The row limit of the next quantum.
    pub limit: usize,
    /// The row limit of the answer, and which rule sets it.
    pub max_rows: (u64, RowLimit),
    /// The load during all quanta.
    pub load: Load,
    /// When the first quantum began and the last one ended.
    pub read: Option<(Timestamp, Timestamp)>,
    /// The source time in milliseconds.
    pub cost_ms: u64,
    /// The rows of parts that are not stored yet, in order.
    pub closed: VecDeque<Arc<RowBatch>>,
}

/// A reference to a request and its kind's definition.
#[derive(Debug, Clone)]
pub struct RequestRef {
    /// The request's key.
    pub key: RequestKey,
    /// The digest of the request as filed.
    pub request: Digest,
    /// The deadline.
    pub deadline: Option<Timestamp>,
    /// The digest of the kind's definition for this recipient; `None` if the kind is unknown.
    pub definition: Option<Digest>,
}

/// A repair of rows, whose rows are being read.
pub struct OpenRepair {
    /// The lane.
    pub lane: Lane,
    /// Hands the rows to the lane.
    pub ticket: RepairTicket,
    /// The columns of the lane's last chunk.
    pub schema: RowSchema,
    /// The definition of the feed that it was read by.
    pub definition: Digest,
    /// The database that the lane was last read from.
    pub lane_source: Option<SourceIdentity>,
    /// The database of the rows, after the last of them.
    pub source: Option<SourceIdentity>,
}

/// A query that is open at the source.
pub struct OpenQuery {
    /// Reads its rows.
    pub reader: Box<dyn RequestQueryReader>,
    /// The columns that are sent, with their masks.
    pub plan: Plan,
}

/// The rows of an answer.
pub struct AnswerRows {
    /// Batches them into parts.
    pub batcher: AnswerBatcher,
    /// The source's columns.
    pub columns: RowSchema,
    /// The version of the rules that filtered the open block.
    pub screened_by: u64,
}

/// Signs parts and outcomes.
#[derive(Clone)]
pub struct Signer {
    /// Identifies this run of the process.
    pub instance: String,
    /// The bureau's key.
    pub key: Arc<SigningKey>,
    /// The key that bodies are encrypted to; `None` for plain bodies.
    pub to: Option<EncryptionPublicKey>,
}

/// A part before signing.
pub struct PartDraft {
    request_ref: RequestRef,
    attempt: u32,
    number: u32,
    rows: Arc<RowBatch>,
}

impl Answer {
    /// Creates an answer of which nothing was read.
    #[must_use]
    pub fn new(request_ref: RequestRef, limit: usize, max_rows: (u64, RowLimit)) -> Self {
        Self {
            request_ref,
            query: None,
            batch: None,
            digests: None,
            repair: None,
            limit,
            max_rows,
            load: Load::default(),
            read: None,
            cost_ms: 0,
            closed: VecDeque::new(),
        }
    }

    /// Returns the rows read so far, stored or not.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.batch
            .as_ref()
            .map_or(0, |batch| batch.batcher.rows.count().rows)
    }

    /// Returns the withheld rows so far.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.batch
            .as_ref()
            .map_or(0, |batch| batch.batcher.rows.count().withheld)
    }

    /// Returns the first closed rows as a part to sign; `None` if there are none.
    #[must_use]
    pub fn draft(&self, attempt: u32, number: u32) -> Option<PartDraft> {
        Some(PartDraft {
            request_ref: self.request_ref.clone(),
            attempt,
            number,
            rows: Arc::clone(self.closed.front()?),
        })
    }
}

impl PartDraft {
    /// Returns the totals of the part.
    #[must_use]
    pub fn totals(&self) -> PartTotals {
        let block = &self.rows.block;
        PartTotals {
            rows: block.totals.rows,
            withheld: block.totals.withheld,
            rejects: block.rejects.len() as u64,
        }
    }

    /// Encrypts and signs the part.
    ///
    /// # Errors
    /// [`ChunkError`] if it is too large, or cannot be encrypted or signed.
    pub fn sign(self, signer: &Signer) -> Result<SignedPart, ChunkError> {
        let part = Part {
            id: self.request_ref.key.id,
            recipient: self.request_ref.key.recipient,
            request: self.request_ref.request,
            attempt: self.attempt,
            number: self.number,
            content: self.rows.content(&signer.instance, signer.key.public()),
        };
        self.rows.sign_message(part, &signer.key, signer.to.as_ref())
    }
}

impl RequestRef {
    /// Makes a reply without source evidence.
    #[must_use]
    pub fn reply(&self, outcome: Outcome, signer: &Signer, at: Timestamp) -> Reply {
        Reply {
            id: self.key.id.clone(),
            recipient: self.key.recipient.clone(),
            request: self.request,
            outcome,
            attempt: None,
            definition: self.definition,
            load: None,
            read_from: None,
            read_to: None,
            withheld: 0,
            instance: signer.instance.clone(),
            at,
            key: signer.key.public().clone(),
        }
    }
}

/// Adds the source evidence of an answer to a reply, for any outcome.
#[must_use]
pub fn with_evidence(mut reply: Reply, answer: &Answer) -> Reply {
    if let Some((from, to)) = answer.read {
        reply.load = Some(answer.load.clone());
        (reply.read_from, reply.read_to) = (Some(from), Some(to));
    }
    if is_answer(&reply.outcome) {
        reply.withheld = answer.withheld();
    }
    reply
}
