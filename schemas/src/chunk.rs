//! A chunk: a manifest and its rows. Signs, verifies and decrypts them.

use crate::body::{self, BodyError};
use crate::column::RowSchema;
use crate::digest::Digest;
use crate::encryption::{self, DecryptionKeys, EncryptionError, EncryptionPublicKey};
use crate::envelope::{Envelope, EnvelopeError};
use crate::manifest::{Link, Manifest, Totals};
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

/// A chunk ready to be published.
#[derive(Debug, Clone)]
pub struct SignedChunk {
    /// The signed manifest.
    pub manifest: Manifest,
    /// The digest that the next chunk names.
    pub digest: Digest,
    /// The published bytes.
    pub bytes: Vec<u8>,
}

/// Compresses and signs a chunk in clear. Fills in the manifest's `body`.
///
/// # Errors
/// [`ChunkError`] when the rows are too large or the key cannot sign.
pub fn sign(manifest: Manifest, plain: &[u8], key: &SigningKey) -> Result<SignedChunk, ChunkError> {
    sign_for(manifest, plain, key, None)
}

/// Compresses a chunk, encrypts its body if the recipient has a key, and signs it.
///
/// # Errors
/// [`ChunkError`] when the rows are too large, or encryption or signing fails.
pub fn sign_for(
    mut manifest: Manifest,
    plain: &[u8],
    key: &SigningKey,
    to: Option<&EncryptionPublicKey>,
) -> Result<SignedChunk, ChunkError> {
    let (format, mut body) = body::compress(plain)?;
    manifest.body = format;
    if let Some(to) = to {
        body = encryption::body::encrypt(&mut manifest, &body, to)?;
    }
    let envelope = Envelope::sign(&manifest, body, key)?;
    Ok(SignedChunk {
        digest: envelope.digest(),
        bytes: envelope.encode()?,
        manifest,
    })
}

/// A chunk whose signature, body and totals are valid.
#[derive(Debug, Clone)]
pub struct VerifiedChunk {
    /// Signed by a trusted key. Holds the decrypted fields again.
    pub manifest: Manifest,
    /// The message's digest.
    pub digest: Digest,
    /// The packed rows; each of them can be read.
    pub plain: Vec<u8>,
}

/// Verifies a chunk in clear: frame, trust, signature, body digest, size, every row, every total.
///
/// # Errors
/// [`ChunkError`] names the first check that fails.
pub fn open(bytes: &[u8], trusted: &[PublicKey]) -> Result<VerifiedChunk, ChunkError> {
    open_with(bytes, trusted, &DecryptionKeys::default())
}

/// Verifies a chunk and decrypts its body with one of these keys.
///
/// # Errors
/// [`ChunkError`] names the first check that fails; [`ChunkError::missing_key`] detects a chunk that only lacks a key.
pub fn open_with(
    bytes: &[u8],
    trusted: &[PublicKey],
    keys: &DecryptionKeys,
) -> Result<VerifiedChunk, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let manifest: Manifest = envelope.verify(trusted)?;
    body::check(&manifest.body, &envelope.body)?;
    let opened = decrypt_and_unpack(&envelope, manifest, keys)?;
    opened.check_totals()?;
    Ok(opened)
}

/// A chunk whose signature and published body are valid, decrypted or not.
#[derive(Debug, Clone)]
pub enum ExaminedChunk {
    /// Rows and totals are valid too.
    Opened(Box<VerifiedChunk>),
    /// Encrypted to a key that this side does not have: its rows and sums are unknown.
    KeyMissing {
        /// Signed by a trusted key.
        manifest: Box<Manifest>,
        /// The message's digest.
        digest: Digest,
    },
}

/// Checks everything that these keys allow, for an auditor that is not the recipient.
///
/// # Errors
/// [`ChunkError`] names the first check that fails.
pub fn examine(
    bytes: &[u8],
    trusted: &[PublicKey],
    keys: &DecryptionKeys,
) -> Result<ExaminedChunk, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let manifest: Manifest = envelope.verify(trusted)?;
    body::check(&manifest.body, &envelope.body)?;
    let encryption = manifest.body.encryption.as_ref();
    if encryption.is_some_and(|encryption| keys.find(&encryption.recipient_key).is_none()) {
        return Ok(ExaminedChunk::KeyMissing {
            manifest: Box::new(manifest),
            digest: envelope.digest(),
        });
    }
    let opened = decrypt_and_unpack(&envelope, manifest, keys)?;
    opened.check_totals()?;
    Ok(ExaminedChunk::Opened(Box::new(opened)))
}

/// Reads a chunk without checking signature and totals; its body must have the manifest's digest.
///
/// # Errors
/// [`ChunkError`] names the first check that fails.
pub fn read(bytes: &[u8], keys: &DecryptionKeys) -> Result<VerifiedChunk, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let manifest: Manifest = envelope.read()?;
    body::check(&manifest.body, &envelope.body)?;
    decrypt_and_unpack(&envelope, manifest, keys)
}

fn decrypt_and_unpack(
    envelope: &Envelope,
    mut manifest: Manifest,
    keys: &DecryptionKeys,
) -> Result<VerifiedChunk, ChunkError> {
    let opened;
    let packed: &[u8] = if manifest.body.encryption.is_some() {
        opened = encryption::body::decrypt(&mut manifest, &envelope.body, keys)?;
        &opened
    } else {
        &envelope.body
    };
    let plain = body::unpack(&manifest.body, packed)?;
    Ok(VerifiedChunk {
        digest: envelope.digest(),
        manifest,
        plain,
    })
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

    /// Returns the rows in the order in which they were read.
    #[must_use]
    pub fn rows(&self) -> RowReader<'_> {
        RowReader::new(
            &self.plain,
            self.manifest.schema.columns.len(),
            self.manifest.totals.rows,
        )
    }

    fn check_totals(&self) -> Result<(), ChunkError> {
        let Manifest { schema, totals, .. } = &self.manifest;
        if schema.key.is_empty() {
            return Err(ChunkError::Schema { what: "key" });
        }
        check_totals(schema, totals, &self.plain)
    }
}

/// Reads every row and compares the control totals with it.
pub(crate) fn check_totals(schema: &RowSchema, totals: &Totals, plain: &[u8]) -> Result<(), ChunkError> {
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
