//! A chunk: a manifest and its rows, made and opened.

use crate::body::{self, BodyError};
use crate::column::RowSchema;
use crate::digest::Digest;
use crate::envelope::{Envelope, EnvelopeError};
use crate::manifest::{Link, Manifest, Totals};
use crate::origin::Elsewhere;
use crate::rows::{RowError, RowReader};
use crate::seal::{SealError, SealPublicKey, SealRing, parcel};
use crate::sign::{PublicKey, SigningKey};
use crate::total::Total;
use crate::value::Value;

/// What is wrong with a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Frame, schema, trust or signature.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Body.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The seal of its body.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Rows.
    #[error(transparent)]
    Rows(#[from] RowError),
    /// The manifest contradicts itself or its rows.
    #[error("the manifest says {said}, the rows say {found}, of {what}")]
    Totals {
        /// Of which total.
        what: String,
        /// In the manifest.
        said: String,
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
    Elsewhere(#[from] Elsewhere),
    /// The message stands on another subject than its own.
    #[error("a chunk of {given} stands on the subject of {expected}")]
    Misplaced {
        /// The lane in the manifest.
        given: String,
        /// The lane of the subject.
        expected: String,
    },
}

/// A chunk ready to be published.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// What was signed.
    pub manifest: Manifest,
    /// The digest that the next chunk names.
    pub digest: Digest,
    /// The published bytes.
    pub bytes: Vec<u8>,
}

/// Packs, compresses and signs. The manifest's `body` is filled in here.
///
/// # Errors
/// [`ChunkError`] when the rows are too large or the key cannot sign.
pub fn seal(manifest: Manifest, plain: &[u8], key: &SigningKey) -> Result<Sealed, ChunkError> {
    seal_to(manifest, plain, key, None)
}

/// The same with the body sealed to a recipient's key, where there is one.
///
/// # Errors
/// [`ChunkError`] when the rows are too large, or they cannot be sealed or signed.
pub fn seal_to(
    mut manifest: Manifest,
    plain: &[u8],
    key: &SigningKey,
    to: Option<&SealPublicKey>,
) -> Result<Sealed, ChunkError> {
    let (form, mut body) = body::close(plain)?;
    manifest.body = form;
    if let Some(to) = to {
        body = parcel::seal(&mut manifest, &body, to)?;
    }
    let envelope = Envelope::seal(&manifest, body, key)?;
    Ok(Sealed {
        digest: envelope.digest(),
        bytes: envelope.encode()?,
        manifest,
    })
}

/// A chunk whose signature, body and totals hold.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Signed by a trusted key. What was sealed with the body stands in it as if it were not.
    pub manifest: Manifest,
    /// Of the message.
    pub digest: Digest,
    /// The packed rows; every one of them reads.
    pub plain: Vec<u8>,
}

/// Opens published bytes in clear: frame, trust, signature, body digest, size, every row, every total.
///
/// # Errors
/// [`ChunkError`] with the first thing that does not hold.
pub fn open(bytes: &[u8], trusted: &[PublicKey]) -> Result<Verified, ChunkError> {
    open_with(bytes, trusted, &SealRing::default())
}

/// The same, and a sealed body is opened with one of these keys.
///
/// # Errors
/// [`ChunkError`] with the first thing that does not hold; [`ChunkError::waits_for_key`] tells
/// a chunk that only lacks a key here.
pub fn open_with(bytes: &[u8], trusted: &[PublicKey], ring: &SealRing) -> Result<Verified, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let manifest: Manifest = envelope.verify(trusted)?;
    body::check(&manifest.body, &envelope.body)?;
    let opened = unseal(&envelope, manifest, ring)?;
    opened.check_totals()?;
    Ok(opened)
}

/// A chunk whose signature and published body hold, opened or not.
#[derive(Debug, Clone)]
pub enum Examined {
    /// Rows and totals hold as well.
    Opened(Box<Verified>),
    /// It is sealed to a key that is not here: of its rows and sums nothing is known.
    Closed {
        /// Signed by a trusted key.
        manifest: Box<Manifest>,
        /// Of the message.
        digest: Digest,
    },
}

/// Checks what can be checked with these keys. For those who audit without being the recipient.
///
/// # Errors
/// [`ChunkError`] with the first thing that does not hold.
pub fn examine(bytes: &[u8], trusted: &[PublicKey], ring: &SealRing) -> Result<Examined, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let manifest: Manifest = envelope.verify(trusted)?;
    body::check(&manifest.body, &envelope.body)?;
    let sealing = manifest.body.sealing.as_ref();
    if sealing.is_some_and(|sealing| ring.find(&sealing.recipient_key).is_none()) {
        return Ok(Examined::Closed {
            manifest: Box::new(manifest),
            digest: envelope.digest(),
        });
    }
    let opened = unseal(&envelope, manifest, ring)?;
    opened.check_totals()?;
    Ok(Examined::Opened(Box::new(opened)))
}

/// Reads a chunk whose signature and totals nobody asks for; its body must still be the manifest's.
///
/// # Errors
/// [`ChunkError`] with the first thing that does not hold.
pub fn read(bytes: &[u8], ring: &SealRing) -> Result<Verified, ChunkError> {
    let envelope = Envelope::decode(bytes)?;
    let manifest: Manifest = envelope.read()?;
    body::check(&manifest.body, &envelope.body)?;
    unseal(&envelope, manifest, ring)
}

fn unseal(envelope: &Envelope, mut manifest: Manifest, ring: &SealRing) -> Result<Verified, ChunkError> {
    let opened;
    let packed: &[u8] = if manifest.body.sealing.is_some() {
        opened = parcel::open(&mut manifest, &envelope.body, ring)?;
        &opened
    } else {
        &envelope.body
    };
    let plain = body::unpack(&manifest.body, packed)?;
    Ok(Verified {
        digest: envelope.digest(),
        manifest,
        plain,
    })
}

impl ChunkError {
    /// The key that is missing, when that is all that is wrong: the chunk is good, signed and
    /// whole, and waits for the seed.
    #[must_use]
    pub fn waits_for_key(&self) -> Option<&SealPublicKey> {
        match self {
            Self::Seal(SealError::OtherKey { to, .. }) => Some(to),
            _ => None,
        }
    }
}

/// What can be known of a message that cannot be opened: its place, so that the chain goes on
/// around it. Nothing of it is trusted.
#[must_use]
pub fn place(bytes: &[u8]) -> Option<(Manifest, Digest)> {
    let envelope = Envelope::decode(bytes).ok()?;
    let manifest = envelope.read().ok()?;
    Some((manifest, envelope.digest()))
}

impl Verified {
    /// Its name in the chain.
    #[must_use]
    pub fn link(&self) -> Link {
        Link {
            epoch: self.manifest.epoch,
            number: self.manifest.number,
            digest: self.digest,
        }
    }

    /// Its rows, in the order they were read.
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

/// Reads every row and counts again what the totals say of them.
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
        .map(|name| schema.index_of(name).map(|place| (name, place, Total::default())))
        .collect::<Option<Vec<_>>>()
        .ok_or(ChunkError::Schema { what: "money" })?;
    let mut reader = RowReader::new(plain, schema.columns.len(), totals.rows);
    let (mut row, mut deleted) = (Vec::new(), 0_u64);
    while reader.next_into(&mut row)? {
        for (_, place, total) in &mut money {
            total.add(row.get(*place).copied().unwrap_or(Value::Null));
        }
        if tombstone
            .and_then(|place| row.get(place))
            .is_some_and(Value::is_tombstone)
        {
            deleted += 1;
        }
    }
    let differ = |what: &str, said: &str, found: String| ChunkError::Totals {
        what: what.to_owned(),
        said: said.to_owned(),
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
        let said = totals.money.get(name).map_or("", String::as_str);
        if total.to_string() != said {
            return Err(differ(name, said, total.to_string()));
        }
    }
    Ok(())
}
