//! The frame around every signed message.
//!
//! A MessagePack array of four: the kind (a text that names the schema and its version), the payload (JSON, so that an
//! auditor can read it with any tool), the Ed25519 signature, and the body (empty except for chunks and parts). The
//! digest that the chain links is `SHA-256(kind 0x00 payload)`; the signature covers the same bytes. The payload of a
//! chunk, its manifest, holds the digest of the body. Digest and signature therefore cover the published bytes, and
//! nothing is re-serialised for a check.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::digest::Digest;
use crate::sign::{KeyError, PublicKey, SigningKey};
use crate::unique;
use crate::visible::InvisibleCharacter;

/// A message with its signature, not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Schema and version, for example `slacktide.chunk.v1`.
    pub kind: String,
    /// JSON.
    pub payload: ByteBuf,
    /// Ed25519 over kind and payload, 64 bytes.
    pub signature: ByteBuf,
    /// The bytes that the payload describes by digest; may be empty.
    pub body: ByteBuf,
}

/// An invalid message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not four parts in MessagePack.
    #[error("not a slacktide message: {0}")]
    Frame(String),
    /// Another kind than expected.
    #[error("a message of kind {given:?} where {expected:?} was expected")]
    Kind {
        /// The kind of the message.
        given: String,
        /// The expected kind.
        expected: &'static str,
    },
    /// The payload does not follow its schema.
    #[error("the {kind} payload does not follow its schema: {what}")]
    Payload {
        /// The message's kind.
        kind: &'static str,
        /// The JSON error with its position.
        what: String,
    },
    /// An object in the payload has a duplicate key: readers would disagree about its meaning.
    #[error("the {kind} payload is ambiguous: {what}")]
    DuplicateKey {
        /// The message's kind.
        kind: &'static str,
        /// The JSON error with its position.
        what: String,
    },
    /// Signed by a key that this side does not trust.
    #[error("signed by {key}, which is not a trusted key here: compare it with the other party's sign.pub")]
    Untrusted {
        /// The key named in the payload.
        key: PublicKey,
    },
    /// The signature is invalid.
    #[error(transparent)]
    Signature(#[from] KeyError),
    /// A short text contains an invisible character.
    #[error(transparent)]
    InvisibleCharacter(#[from] InvisibleCharacter),
}

/// A payload that names its own signer.
pub trait Payload: Serialize + for<'de> Deserialize<'de> {
    /// Schema and version.
    const KIND: &'static str;
    /// The key that must have signed it.
    fn signer(&self) -> &PublicKey;

    /// Checks that the short texts contain no invisible character, so that the other party's people read what was
    /// written. Checked before signing; a reader that decides by the message checks it again.
    ///
    /// # Errors
    /// [`InvisibleCharacter`] names the field.
    fn check_texts(&self) -> Result<(), InvisibleCharacter> {
        Ok(())
    }
}

fn preimage(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(kind.len() + 1 + payload.len());
    bytes.extend_from_slice(kind.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Serialises and signs a payload.
    ///
    /// # Errors
    /// [`EnvelopeError::InvisibleCharacter`] when a short text contains an invisible character,
    /// [`EnvelopeError::Payload`] when the payload cannot be written as JSON,
    /// [`EnvelopeError::Signature`] when the key cannot sign.
    pub fn sign<P: Payload>(payload: &P, body: Vec<u8>, key: &SigningKey) -> Result<Self, EnvelopeError> {
        payload.check_texts()?;
        let payload = serde_json::to_vec(payload).map_err(|e| EnvelopeError::Payload {
            kind: P::KIND,
            what: e.to_string(),
        })?;
        let signature = key.sign(&preimage(P::KIND, &payload))?;
        Ok(Self {
            kind: P::KIND.to_owned(),
            payload: ByteBuf::from(payload),
            signature: ByteBuf::from(signature),
            body: ByteBuf::from(body),
        })
    }

    /// Returns the digest that the next message of the chain names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[self.kind.as_bytes(), &[0], &self.payload])
    }

    /// Returns the published bytes.
    ///
    /// # Errors
    /// [`EnvelopeError::Frame`] if a part exceeds 4 GB.
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        rmp_serde::to_vec(self).map_err(|e| EnvelopeError::Frame(e.to_string()))
    }

    /// Reads published bytes and checks the frame only. The signature does not cover the frame, so the frame must be
    /// encoded exactly as [`Envelope::encode`] does: appended or altered bytes are detected.
    ///
    /// # Errors
    /// [`EnvelopeError::Frame`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let frame = |what: String| EnvelopeError::Frame(what);
        let read: Self = rmp_serde::from_slice(bytes).map_err(|e| frame(e.to_string()))?;
        if read.encode()? != bytes {
            return Err(frame("the frame is not in canonical form".to_owned()));
        }
        Ok(read)
    }

    /// Reads the payload without verifying it: enough to keep a message's position in its chain.
    ///
    /// # Errors
    /// [`EnvelopeError::Kind`], [`EnvelopeError::Payload`] or [`EnvelopeError::DuplicateKey`].
    pub fn read<P: Payload>(&self) -> Result<P, EnvelopeError> {
        if self.kind != P::KIND {
            return Err(EnvelopeError::Kind {
                given: self.kind.chars().take(80).collect(),
                expected: P::KIND,
            });
        }
        let payload = |e: serde_json::Error| EnvelopeError::Payload {
            kind: P::KIND,
            what: e.to_string(),
        };
        let read = serde_json::from_slice(&self.payload).map_err(payload)?;
        unique::check_unique_keys(&self.payload).map_err(|e| EnvelopeError::DuplicateKey {
            kind: P::KIND,
            what: e.to_string(),
        })?;
        Ok(read)
    }

    /// Reads the payload and checks that a trusted key signed it.
    ///
    /// # Errors
    /// [`EnvelopeError`] names what differs.
    pub fn verify<P: Payload>(&self, trusted: &[PublicKey]) -> Result<P, EnvelopeError> {
        let payload = self.read::<P>()?;
        let key = payload.signer();
        if !trusted.contains(key) {
            return Err(EnvelopeError::Untrusted { key: key.clone() });
        }
        key.verify(&preimage(&self.kind, &self.payload), &self.signature)?;
        Ok(payload)
    }
}
