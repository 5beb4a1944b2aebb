//! Messages with rows: a chunk, which is a manifest and its rows, and a part of an answer. This is the one place that signs,
//! verifies and decrypts them.

use crate::body::{self, BodyError, CompressedBody};
use crate::column::RowSchema;
use crate::digest::Digest;
use crate::encryption::body::zero_terminated;
use crate::encryption::{self, DecryptionKeys, EncryptionError, EncryptionPublicKey};
use crate::envelope::{Envelope, EnvelopeError, Payload};
use crate::manifest::{Content, Link, Manifest, Totals};
use crate::origin::OriginMismatch;
use crate::rows::{RowError, RowReader};
use crate::sign::{PublicKey, SigningKey};
use crate::total::Total;
use crate::value::Value;

/// An invalid chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Frame, schema, trust or signature.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Body.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Encryption of the body.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// Rows.
    #[error(transparent)]
    Rows(#[from] RowError),
    /// The manifest contradicts itself or its rows.
    #[error("{what}: the manifest declares {declared}, the rows have {found}")]
    Totals {
        /// Of which total.
        what: String,
        /// In the manifest.
        declared: String,
        /// Counted from the rows.
        found: String,
    },
    /// The manifest names a column that its schema does not have.
    #[error("the manifest's {what} names a column that its schema does not have")]
    Schema {
        /// `key`, `tombstone` or `money`.
        what: &'static str,
    },
    /// The message belongs to another site, bureau or source.
    #[error(transparent)]
    OriginMismatch(#[from] OriginMismatch),
    /// The message is on another subject than its own.
    #[error("a chunk of {given} is on the subject of {expected}")]
    WrongSubject {
        /// The lane in the manifest.
        given: String,
        /// The lane of the subject.
        expected: String,
    },
}

/// The signed half of a message with rows: the manifest of a chunk, or a part of an answer.
pub trait RowMessage: Payload {
    /// Whether the rows must have a key.
    const NEEDS_KEY: bool;
    /// Returns the description of the rows.
    fn content(&self) -> &Content;
    /// Returns the description of the rows, to be changed.
    fn content_mut(&mut self) -> &mut Content;
    /// Returns bytes that identify the message uniquely, without its keys. An encrypted body is bound to them.
    fn binding(&self) -> Vec<u8>;
}

impl RowMessage for Manifest {
    const NEEDS_KEY: bool = true;
    fn content(&self) -> &Content {
        &self.content
    }
    fn content_mut(&mut self) -> &mut Content {
        &mut self.content
    }
    fn binding(&self) -> Vec<u8> {
        let names = ["slacktide.body.v1", self.recipient.as_str(), self.feed.as_str()];
        let mut binding = zero_terminated(&names);
        binding.extend_from_slice(&self.epoch.to_be_bytes());
        binding.extend_from_slice(&self.number.to_be_bytes());
        binding
    }
}

/// A message ready to be published.
#[derive(Debug, Clone)]
pub struct Signed<M> {
    /// Its signed half.
    pub manifest: M,
    /// Its digest, which the next chunk or the reply names.
    pub digest: Digest,
    /// The published bytes.
    pub bytes: Vec<u8>,
}

/// A message whose signature, body and totals are valid.
#[derive(Debug, Clone)]
pub struct Verified<M> {
    /// Signed by a trusted key. Holds the decrypted fields again.
    pub manifest: M,
    /// The message's digest.
    pub digest: Digest,
    /// The packed rows; each of them can be read.
    pub plain: Vec<u8>,
}

/// A message whose signature and published body are valid, decrypted or not.
#[derive(Debug, Clone)]
pub enum Examined<M> {
    /// Rows and totals are valid too.
    Opened(Box<Verified<M>>),
    /// Encrypted to a key that this side does not have: its rows and sums are unknown.
    KeyMissing {
        /// Signed by a trusted key.
        manifest: Box<M>,
        /// The message's digest.
        digest: Digest,
    },
}

/// A chunk ready to be published.
pub type SignedChunk = Signed<Manifest>;
/// A chunk whose signature, body and totals are valid.
pub type VerifiedChunk = Verified<Manifest>;
/// A chunk whose signature and published body are valid, decrypted or not.
pub type ExaminedChunk = Examined<Manifest>;

impl<M: RowMessage> Signed<M> {
    /// Compresses rows, encrypts them if the recipient has a key, and signs. Fills in the `body` of the content.
    ///
    /// # Errors
    /// [`ChunkError`] when the rows are too large, or encryption or signing fails.
    pub fn sign(
        manifest: M,
        plain: &[u8],
        key: &SigningKey,
        to: Option<&EncryptionPublicKey>,
    ) -> Result<Self, ChunkError> {
        Self::sign_compressed(manifest, body::compress(plain)?, key, to)
    }

    /// Encrypts compressed rows if the recipient has a key, and signs. Fills in the `body` of the content.
    ///
    /// # Errors
    /// [`ChunkError`] when encryption or signing fails.
    pub fn sign_compressed(
        mut manifest: M,
        body: CompressedBody,
        key: &SigningKey,
        to: Option<&EncryptionPublicKey>,
    ) -> Result<Self, ChunkError> {
        let CompressedBody { format, mut bytes } = body;
        manifest.content_mut().body = format;
        if let Some(to) = to {
            let binding = manifest.binding();
            bytes = encryption::body::encrypt(manifest.content_mut(), binding, &bytes, to)?;
        }
        let envelope = Envelope::sign(&manifest, bytes, key)?;
        Ok(Self {
            digest: envelope.digest(),
            bytes: envelope.encode()?,
            manifest,
        })
    }
}

impl<M: RowMessage> Verified<M> {
    /// Verifies published bytes (frame, trust, signature, body digest, size, every row, every total) and decrypts the body with
    /// one of these keys.
    ///
    /// # Errors
    /// [`ChunkError`] names the first check that fails; [`ChunkError::missing_key`] detects a message that only lacks a key.
    pub fn open(bytes: &[u8], trusted: &[PublicKey], keys: &DecryptionKeys) -> Result<Self, ChunkError> {
        let envelope = Envelope::decode(bytes)?;
        let manifest: M = envelope.verify(trusted)?;
        body::check(&manifest.content().body, &envelope.body)?;
        Self::decrypt(&envelope, manifest, keys)?.checked()
    }

    /// Reads a message without checking signature and totals; its body must have the declared digest.
    ///
    /// # Errors
    /// [`ChunkError`] names the first check that fails.
    pub fn read(bytes: &[u8], keys: &DecryptionKeys) -> Result<Self, ChunkError> {
        let envelope = Envelope::decode(bytes)?;
        let manifest: M = envelope.read()?;
        body::check(&manifest.content().body, &envelope.body)?;
        Self::decrypt(&envelope, manifest, keys)
    }

    fn decrypt(envelope: &Envelope, mut manifest: M, keys: &DecryptionKeys) -> Result<Self, ChunkError> {
        let binding = manifest.binding();
        let packed = encryption::body::decrypt(manifest.content_mut(), binding, &envelope.body, keys)?;
        let plain = body::unpack(&manifest.content().body, &packed)?;
        Ok(Self {
            digest: envelope.digest(),
            manifest,
            plain,
        })
    }

    fn checked(self) -> Result<Self, ChunkError> {
        let Content { schema, totals, .. } = self.manifest.content();
        if M::NEEDS_KEY && schema.key.is_empty() {
            return Err(ChunkError::Schema { what: "key" });
        }
        check_totals(schema, totals, &self.plain)?;
        Ok(self)
    }

    /// Returns the rows in the order in which they were read.
    #[must_use]
    pub fn rows(&self) -> RowReader<'_> {
        let Content { schema, totals, .. } = self.manifest.content();
        RowReader::new(&self.plain, schema.columns.len(), totals.rows)
    }
}

impl VerifiedChunk {
    /// Returns its reference in the chain.
    #[must_use]
    pub fn link(&self) -> Link {
        Link {
            epoch: self.manifest.epoch,
            number: self.manifest.number,
            digest: self.digest,
        }
    }
}

impl<M: RowMessage> Examined<M> {
    /// Checks everything that these keys allow, for an auditor that is not the recipient.
    ///
    /// # Errors
    /// [`ChunkError`] names the first check that fails.
    pub fn open(bytes: &[u8], trusted: &[PublicKey], keys: &DecryptionKeys) -> Result<Self, ChunkError> {
        let envelope = Envelope::decode(bytes)?;
        let manifest: M = envelope.verify(trusted)?;
        let body = &manifest.content().body;
        body::check(body, &envelope.body)?;
        let encryption = body.encryption.as_ref();
        if encryption.is_some_and(|encryption| keys.find(&encryption.recipient_key).is_none()) {
            return Ok(Self::KeyMissing {
                manifest: Box::new(manifest),
                digest: envelope.digest(),
            });
        }
        let opened = Verified::decrypt(&envelope, manifest, keys)?.checked()?;
        Ok(Self::Opened(Box::new(opened)))
    }
}

impl ChunkError {
    /// Returns the missing decryption key, if that is the only error: the chunk is signed and complete, and can be
    /// decrypted once the seed is added.
    #[must_use]
    pub fn missing_key(&self) -> Option<&EncryptionPublicKey> {
        match self {
            Self::Encryption(EncryptionError::KeyMissing { to, .. }) => Some(to),
            _ => None,
        }
    }
}

/// Reads the manifest and the digest of a message without verifying anything, so that the chain can go on around a
/// message that cannot be opened.
#[must_use]
pub fn read_untrusted(bytes: &[u8]) -> Option<(Manifest, Digest)> {
    let envelope = Envelope::decode(bytes).ok()?;
    let manifest = envelope.read().ok()?;
    Some((manifest, envelope.digest()))
}

/// Reads every row and compares the control totals with it.
fn check_totals(schema: &RowSchema, totals: &Totals, plain: &[u8]) -> Result<(), ChunkError> {
    if schema.key_indices().is_none() {
        return Err(ChunkError::Schema { what: "key" });
    }
    let tombstone = schema.tombstone_index();
    if schema.tombstone.is_some() && tombstone.is_none() {
        return Err(ChunkError::Schema { what: "tombstone" });
    }
    let mut money = totals
        .money
        .keys()
        .map(|name| schema.index_of(name).map(|index| (name, index, Total::default())))
        .collect::<Option<Vec<_>>>()
        .ok_or(ChunkError::Schema { what: "money" })?;
    let mut reader = RowReader::new(plain, schema.columns.len(), totals.rows);
    let (mut row, mut deleted) = (Vec::new(), 0_u64);
    while reader.next_into(&mut row)? {
        for (_, index, total) in &mut money {
            total.add(row.get(*index).copied().unwrap_or(Value::Null));
        }
        if tombstone
            .and_then(|index| row.get(index))
            .is_some_and(Value::is_tombstone)
        {
            deleted += 1;
        }
    }
    let differ = |what: &str, declared: &str, found: String| ChunkError::Totals {
        what: what.to_owned(),
        declared: declared.to_owned(),
        found,
    };
    if deleted != totals.deleted {
        return Err(differ(
            "deleted rows",
            &totals.deleted.to_string(),
            deleted.to_string(),
        ));
    }
    for (name, _, total) in money {
        let declared = totals.money.get(name).map_or("", String::as_str);
        if total.to_string() != declared {
            return Err(differ(name, declared, total.to_string()));
        }
    }
    Ok(())
}
