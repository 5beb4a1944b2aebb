//! One answer while it is read: what was read of it, and the messages that it becomes.
//!
//! Making a message compresses, seals and signs, which takes milliseconds of CPU for a large one: callers do it
//! off the asynchronous threads.

use std::sync::Arc;

use jiff::Timestamp;
use requests::admission::RowLimit;
use requests::mask::plan::Plan;
use requests::queue::Key;
use schemas::body::BodyForm;
use schemas::chunk::ChunkError;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::load::Load;
use schemas::manifest::Algorithms;
use schemas::part::{self, Part, SealedPart};
use schemas::reply::{Outcome, Reply};
use schemas::seal::SealPublicKey;
use schemas::sign::SigningKey;
use source::QuestionReader;

use super::packer::{Block, Packer};

/// What is known of an answer.
pub struct Answer {
    /// What it answers.
    pub about: About,
    /// Which attempt it is.
    pub attempt: u32,
    /// The question at the source, with what of it is sent; none: it has to be opened (again).
    pub open: Option<Open>,
    /// What was read; none: nothing yet.
    pub packed: Option<Packed>,
    /// Rows of the next quantum.
    pub limit: usize,
    /// Rows in all, at most, and what says so.
    pub most_rows: (u64, RowLimit),
    /// The load of all quanta.
    pub load: Load,
    /// When the first quantum began, and the last one ended.
    pub read: Option<(Timestamp, Timestamp)>,
    /// Milliseconds on the source.
    pub cost_ms: u64,
    /// Read to its end, or as far as is allowed.
    pub ended: Option<Ended>,
    /// Closed and not stored yet, in order.
    pub blocks: Vec<Block>,
    /// The digests of the parts that are stored.
    pub stored: Vec<Digest>,
    /// What is in them.
    pub sums: Sums,
}

/// Which request, and by which rules.
#[derive(Debug, Clone)]
pub struct About {
    /// Which.
    pub key: Key,
    /// The digest of the request as filed.
    pub request: Digest,
    /// When it is no longer wanted.
    pub deadline: Option<Timestamp>,
    /// The digest of the kind's definition for this recipient; none where the kind is not known.
    pub definition: Option<Digest>,
}

/// A question that is open at the source.
pub struct Open {
    /// Reads it.
    pub reader: Box<dyn QuestionReader>,
    /// The columns that are sent, and how.
    pub plan: Plan,
}

/// Rows on their way into parts.
pub struct Packed {
    /// Takes them.
    pub packer: Packer,
    /// The columns that are sent.
    pub schema: Arc<RowSchema>,
    /// The source's columns.
    pub columns: RowSchema,
    /// By which state of the lists the open block was screened.
    pub screened_by: u64,
}

/// Counts of stored parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Rows.
    pub rows: u64,
    /// Rows kept back.
    pub withheld: u64,
    /// Rows that could not be carried.
    pub rejects: u64,
}

/// How reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// There is nothing more.
    All,
    /// There is more, and why it is not read.
    Cut(String),
}

/// What signs, and as whom.
#[derive(Clone)]
pub struct Signer {
    /// This life of this process.
    pub instance: String,
    /// The bureau's key.
    pub key: Arc<SigningKey>,
    /// To whom bodies are sealed; none: in clear.
    pub to: Option<SealPublicKey>,
}

/// Everything that a part is made of.
pub struct Draft {
    about: About,
    attempt: u32,
    number: u32,
    schema: Arc<RowSchema>,
    block: Block,
}

impl Answer {
    /// Nothing read yet.
    #[must_use]
    pub fn new(about: About, attempt: u32, limit: usize, most_rows: (u64, RowLimit)) -> Self {
        Self {
            about,
            attempt,
            open: None,
            packed: None,
            limit,
            most_rows,
            load: Load::default(),
            read: None,
            cost_ms: 0,
            ended: None,
            blocks: Vec::new(),
            stored: Vec::new(),
            sums: Sums::default(),
        }
    }

    /// Rows that were read for it so far, stored or not.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.packed
            .as_ref()
            .map_or(0, |packed| packed.packer.count().rows)
    }

    /// Rows kept back so far.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.packed
            .as_ref()
            .map_or(0, |packed| packed.packer.count().withheld)
    }

    /// The number of the next part.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        u32::try_from(self.stored.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    /// The next part, to be made; none where nothing is closed.
    #[must_use]
    pub fn draft(&self) -> Option<Draft> {
        let (block, packed) = (self.blocks.first()?, self.packed.as_ref()?);
        Some(Draft {
            about: self.about.clone(),
            attempt: self.attempt,
            number: self.next_number(),
            schema: Arc::clone(&packed.schema),
            block: block.clone(),
        })
    }

    /// The first closed block is stored as the next part.
    pub fn is_stored(&mut self, digest: Digest) {
        if self.blocks.is_empty() {
            return;
        }
        let block = self.blocks.remove(0);
        self.sums.rows += block.totals.rows;
        self.sums.withheld += block.totals.withheld;
        self.sums.rejects += block.rejects.len() as u64;
        self.stored.push(digest);
    }

    /// Its outcome, once it is read and all of it is stored.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        let ended = self.ended.as_ref().filter(|_| self.blocks.is_empty())?;
        let (rows, parts) = (self.sums.rows, self.stored.clone());
        Some(match ended {
            Ended::Cut(reason) => Outcome::Partial {
                rows,
                parts,
                reason: reason.clone(),
            },
            // A row that could not be carried is something all the same.
            Ended::All if rows == 0 && self.sums.rejects == 0 => Outcome::Empty,
            Ended::All => Outcome::Answered { rows, parts },
        })
    }
}

impl Draft {
    /// Makes it.
    ///
    /// # Errors
    /// [`ChunkError`] when it is too large, or cannot be sealed or signed.
    pub fn seal(self, signer: &Signer) -> Result<SealedPart, ChunkError> {
        let part = Part {
            id: self.about.key.id,
            recipient: self.about.key.recipient,
            request: self.about.request,
            attempt: self.attempt,
            number: self.number,
            schema: (*self.schema).clone(),
            definition: self.about.definition.unwrap_or(self.about.request),
            totals: self.block.totals,
            load: self.block.load,
            rejects: self.block.rejects,
            body: unpacked(),
            read_from: self.block.read_from,
            read_to: self.block.read_to.max(self.block.read_from),
            instance: signer.instance.clone(),
            algorithms: Algorithms::default(),
            key: signer.key.public().clone(),
        };
        part::seal(part, &self.block.plain, &signer.key, signer.to.as_ref())
    }
}

impl About {
    /// A reply to it that touched no source.
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

/// A reply with the evidence of what was read, whatever came of it.
#[must_use]
pub fn with_evidence(mut reply: Reply, answer: &Answer) -> Reply {
    if !reply.outcome.parts().is_empty() {
        reply.attempt = Some(answer.attempt);
    }
    if let Some((from, to)) = answer.read {
        reply.load = Some(answer.load.clone());
        (reply.read_from, reply.read_to) = (Some(from), Some(to));
    }
    if matches!(
        reply.outcome,
        Outcome::Answered { .. } | Outcome::Partial { .. } | Outcome::Empty
    ) {
        reply.withheld = answer.withheld();
    }
    reply
}

/// Filled in when the part is sealed.
fn unpacked() -> BodyForm {
    BodyForm {
        digest: Digest::of(&[]),
        bytes: 0,
        plain_bytes: 0,
        encoding: String::new(),
        compression: String::new(),
        sealing: None,
    }
}
