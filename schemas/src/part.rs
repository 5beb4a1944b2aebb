//! A part of an answer: rows that were read in one or more quanta, signed and verified like a chunk.
//!
//! Parts of one attempt are numbered 1, 2, 3, …. The final reply names the attempt and the digest of each part; a part that
//! it does not name is not part of the answer. An attempt belongs to the responder that stored its first part; another
//! responder takes the next attempt number.
//!
//! A part shows in clear what a chunk shows: who asked, how many rows, when they were read and under which load. Rows, sums
//! of money and rejects can be encrypted to the recipient.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{self, BodyFormat};
use crate::chunk::{ChunkError, check_totals};
use crate::column::RowSchema;
use crate::digest::Digest;
use crate::encryption::body::{EncryptedBody, zero_terminated};
use crate::encryption::{self, DecryptionKeys, EncryptionPublicKey};
use crate::envelope::{Envelope, Payload};
use crate::load::Load;
use crate::manifest::{Algorithms, Reject, Totals};
use crate::name::RecipientName;
use crate::request::RequestId;
use crate::rows::RowReader;
use crate::sign::{PublicKey, SigningKey};
use crate::subject::Subject;

/// Everything about a part except its rows, signed by the bureau.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// The request.
    pub id: RequestId,
    /// The party that asked.
    pub recipient: RecipientName,
    /// The digest of the request that is answered.
    pub request: Digest,
    /// The attempt that it belongs to, counted from 1.
    pub attempt: u32,
    /// Its number in the attempt: 1, 2, 3, …
    pub number: u32,
    /// The columns of its rows. The schema has the kind's name; the key may be empty.
    pub schema: RowSchema,
    /// The digest of the kind's definition: its SQL, the recipient's columns and masks.
    pub definition: Digest,
    /// Control totals, including withheld rows.
    pub totals: Totals,
    /// The load under which its rows were read.
    pub load: Load,
    /// Source rows that could not be carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Reject>,
    /// The body.
    pub body: BodyFormat,
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
    /// Returns the subject that it is published on.
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

impl EncryptedBody for Part {
    fn binding(&self) -> Vec<u8> {
        let id = self.id.to_string();
        let mut binding = zero_terminated(&["slacktide.part.v1", self.recipient.as_str(), &id]);
        binding.extend_from_slice(&self.request.0);
        binding.extend_from_slice(&self.attempt.to_be_bytes());
        binding.extend_from_slice(&self.number.to_be_bytes());
        binding
    }
    fn body(&mut self) -> &mut BodyFormat {
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
pub struct SignedPart {
    /// The signed payload.
    pub part: Part,
    /// The digest that the reply names.
    pub digest: Digest,
    /// The published bytes.
    pub bytes: Vec<u8>,
}

/// A part whose signature, body and totals are valid.
#[derive(Debug, Clone)]
pub struct VerifiedPart {
    /// Signed by a trusted key. Holds the decrypted fields again.
    pub part: Part,
    /// The digest that the reply names.
    pub digest: Digest,
    /// The packed rows; each of them can be read.
    pub plain: Vec<u8>,
}

/// A part whose signature and published body are valid, decrypted or not.
#[derive(Debug, Clone)]
pub enum ExaminedPart {
    /// Rows and totals are valid too.
    Opened(Box<VerifiedPart>),
    /// Encrypted to a key that this side does not have: its rows and sums are unknown.
    KeyMissing {
        /// Signed by a trusted key.
        part: Box<Part>,
        /// The digest that the reply names.
        digest: Digest,
    },
}

/// Compresses a part, encrypts its body if the recipient has a key, and signs it. Fills in the part's `body`.
///
/// # Errors
/// [`ChunkError`] when the rows are too large, or encryption or signing fails.
pub fn sign(
    mut part: Part,
    plain: &[u8],
    key: &SigningKey,
    to: Option<&EncryptionPublicKey>,
) -> Result<SignedPart, ChunkError> {
    let (format, mut body) = body::compress(plain)?;
    part.body = format;
    if let Some(to) = to {
        body = encryption::body::encrypt(&mut part, &body, to)?;
    }
    let envelope = Envelope::sign(&part, body, key)?;
    Ok(SignedPart {
        digest: envelope.digest(),
        bytes: envelope.encode()?,
        part,
    })
}

/// Verifies published bytes (frame, trust, signature, body digest, size, every row, every total) and decrypts the body.
///
/// # Errors
/// [`ChunkError`] names the first check that fails; [`ChunkError::missing_key`] detects a part that only lacks a key.
pub fn open(bytes: &[u8], trusted: &[PublicKey], keys: &DecryptionKeys) -> Result<VerifiedPart, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let mut part: Part = envelope.verify(trusted)?;
    body::check(&part.body, &envelope.body)?;
    let opened;
    let packed: &[u8] = if part.body.encryption.is_some() {
        opened = encryption::body::decrypt(&mut part, &envelope.body, keys)?;
        &opened
    } else {
        &envelope.body
    };
    let plain = body::unpack(&part.body, packed)?;
    check_totals(&part.schema, &part.totals, &plain)?;
    Ok(VerifiedPart {
        digest: envelope.digest(),
        part,
        plain,
    })
}

/// Checks everything that these keys allow, for an auditor that is not the recipient.
///
/// # Errors
/// [`ChunkError`] names the first check that fails.
pub fn examine(
    bytes: &[u8],
    trusted: &[PublicKey],
    keys: &DecryptionKeys,
) -> Result<ExaminedPart, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let part: Part = envelope.verify(trusted)?;
    let encryption = part.body.encryption.as_ref();
    if encryption.is_some_and(|encryption| keys.find(&encryption.recipient_key).is_none()) {
        body::check(&part.body, &envelope.body)?;
        return Ok(ExaminedPart::KeyMissing {
            part: Box::new(part),
            digest: envelope.digest(),
        });
    }
    open(bytes, trusted, keys).map(|opened| ExaminedPart::Opened(Box::new(opened)))
}

impl VerifiedPart {
    /// Returns the rows in the order in which they were read.
    #[must_use]
    pub fn rows(&self) -> RowReader<'_> {
        RowReader::new(&self.plain, self.part.schema.columns.len(), self.part.totals.rows)
    }
}
