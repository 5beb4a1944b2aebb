//! A part of an answer: rows that were read in one or more quanta, made and opened like a chunk.
//!
//! Parts of one attempt count 1, 2, 3, …, and the final reply names the attempt and the digest of
//! each part: until then, and for ever if it names others, a part is no answer. An attempt belongs
//! to whoever stored its first part; another responder then takes the next number.
//!
//! What a part shows in clear is what a chunk shows: who asked, how many rows, when they were read
//! and under which load. Rows, sums of money and rejects can be sealed to the recipient.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{self, BodyForm};
use crate::chunk::{ChunkError, check_totals};
use crate::column::RowSchema;
use crate::digest::Digest;
use crate::envelope::{Envelope, Payload};
use crate::load::Load;
use crate::manifest::{Algorithms, Reject, Totals};
use crate::name::RecipientName;
use crate::request::RequestId;
use crate::rows::RowReader;
use crate::seal::parcel::{self, Carrier, named};
use crate::seal::{SealPublicKey, SealRing};
use crate::sign::{PublicKey, SigningKey};
use crate::subject::Subject;

/// Everything about a part but its rows, signed by the bureau.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// The request.
    pub id: RequestId,
    /// The party that asked.
    pub recipient: RecipientName,
    /// The digest of the request that is answered.
    pub request: Digest,
    /// Which attempt to answer it belongs to, counted from 1.
    pub attempt: u32,
    /// Its place in the attempt: 1, 2, 3, …
    pub number: u32,
    /// The columns of its rows. Its name is the kind's; the key may be empty.
    pub schema: RowSchema,
    /// The digest of the kind's definition: its SQL, the recipient's columns and masks.
    pub definition: Digest,
    /// Control totals; rows that were withheld among them.
    pub totals: Totals,
    /// The load under which its rows were read.
    pub load: Load,
    /// Source rows that could not be carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Reject>,
    /// The body.
    pub body: BodyForm,
    /// When its first quantum began to read, by the responder's clock.
    #[schemars(with = "String")]
    pub read_from: Timestamp,
    /// When its last quantum ended, by the responder's clock.
    #[schemars(with = "String")]
    pub read_to: Timestamp,
    /// The responder's process.
    pub instance: String,
    /// The algorithms in use, named so that others can join.
    pub algorithms: Algorithms,
    /// The key that signed.
    pub key: PublicKey,
}

impl Part {
    /// Where it is published.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::Part(self.recipient.clone(), self.id.clone(), self.attempt, self.number)
    }
}

impl Payload for Part {
    const KIND: &'static str = "slacktide.part.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}

impl Carrier for Part {
    fn place(&self) -> Vec<u8> {
        let id = self.id.to_string();
        let mut place = named(&["slacktide.part.v1", self.recipient.as_str(), &id]);
        place.extend_from_slice(&self.request.0);
        place.extend_from_slice(&self.attempt.to_be_bytes());
        place.extend_from_slice(&self.number.to_be_bytes());
        place
    }
    fn body(&mut self) -> &mut BodyForm {
        &mut self.body
    }
    fn totals(&mut self) -> &mut Totals {
        &mut self.totals
    }
    fn rejects(&mut self) -> &mut Vec<Reject> {
        &mut self.rejects
    }
}

/// A part ready to be published.
#[derive(Debug, Clone)]
pub struct SealedPart {
    /// What was signed.
    pub part: Part,
    /// The digest that the reply names.
    pub digest: Digest,
    /// The published bytes.
    pub bytes: Vec<u8>,
}

/// A part whose signature, body and totals hold.
#[derive(Debug, Clone)]
pub struct OpenedPart {
    /// Signed by a trusted key. What was sealed with the body stands in it as if it were not.
    pub part: Part,
    /// The digest that the reply names.
    pub digest: Digest,
    /// The packed rows; every one of them reads.
    pub plain: Vec<u8>,
}

/// A part whose signature and published body hold, opened or not.
#[derive(Debug, Clone)]
pub enum ExaminedPart {
    /// Rows and totals hold as well.
    Opened(Box<OpenedPart>),
    /// It is sealed to a key that is not here: of its rows and sums nothing is known.
    Closed {
        /// Signed by a trusted key.
        part: Box<Part>,
        /// The digest that the reply names.
        digest: Digest,
    },
}

/// Packs, compresses, seals to a recipient's key where there is one, and signs. The part's `body`
/// is filled in here.
///
/// # Errors
/// [`ChunkError`] when the rows are too large, or they cannot be sealed or signed.
pub fn seal(
    mut part: Part,
    plain: &[u8],
    key: &SigningKey,
    to: Option<&SealPublicKey>,
) -> Result<SealedPart, ChunkError> {
    let (form, mut body) = body::close(plain)?;
    part.body = form;
    if let Some(to) = to {
        body = parcel::seal(&mut part, &body, to)?;
    }
    let envelope = Envelope::seal(&part, body, key)?;
    Ok(SealedPart {
        digest: envelope.digest(),
        bytes: envelope.encode()?,
        part,
    })
}

/// Opens published bytes: frame, trust, signature, body digest, seal, size, every row, every total.
///
/// # Errors
/// [`ChunkError`] with the first thing that does not hold; [`ChunkError::waits_for_key`] tells
/// a part that only lacks a key here.
pub fn open(bytes: &[u8], trusted: &[PublicKey], ring: &SealRing) -> Result<OpenedPart, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let mut part: Part = envelope.verify(trusted)?;
    body::check(&part.body, &envelope.body)?;
    let opened;
    let packed: &[u8] = if part.body.sealing.is_some() {
        opened = parcel::open(&mut part, &envelope.body, ring)?;
        &opened
    } else {
        &envelope.body
    };
    let plain = body::unpack(&part.body, packed)?;
    check_totals(&part.schema, &part.totals, &plain)?;
    Ok(OpenedPart {
        digest: envelope.digest(),
        part,
        plain,
    })
}

/// Checks what can be checked with these keys. For those who audit without being the recipient.
///
/// # Errors
/// [`ChunkError`] with the first thing that does not hold.
pub fn examine(bytes: &[u8], trusted: &[PublicKey], ring: &SealRing) -> Result<ExaminedPart, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let part: Part = envelope.verify(trusted)?;
    let sealing = part.body.sealing.as_ref();
    if sealing.is_some_and(|sealing| ring.find(&sealing.recipient_key).is_none()) {
        body::check(&part.body, &envelope.body)?;
        return Ok(ExaminedPart::Closed {
            part: Box::new(part),
            digest: envelope.digest(),
        });
    }
    open(bytes, trusted, ring).map(|opened| ExaminedPart::Opened(Box::new(opened)))
}

impl OpenedPart {
    /// Its rows, in the order they were read.
    #[must_use]
    pub fn rows(&self) -> RowReader<'_> {
        RowReader::new(&self.plain, self.part.schema.columns.len(), self.part.totals.rows)
    }
}
