//! The frame around every signed message.
//!
//! A MessagePack array of four: the kind (a text that names the schema and its version), the
//! payload (JSON, so that an auditor reads it with any tool), the Ed25519 signature, and the
//! body (empty but for chunks). The digest that the chain links is
//! `SHA-256(kind 0x00 payload)`; the signature covers the same bytes. The payload of a chunk,
//! its manifest, holds the digest of the body, so both cover everything published, as
//! published: nothing is ever re-serialised to be checked.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::digest::Digest;
use crate::sign::{KeyError, PublicKey, SigningKey};
use crate::unique;
use crate::visible::Invisible;

/// A message with its signature, not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Schema and version, for example `slacktide.chunk.v1`.
    pub kind: String,
    /// JSON.
    pub payload: ByteBuf,
    /// Ed25519 over kind and payload, 64 bytes.
    pub signature: ByteBuf,
    /// What the payload describes by digest; empty where there is none.
    pub body: ByteBuf,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not four parts in MessagePack.
    #[error("not a slacktide message: {0}")]
    Frame(String),
    /// Another kind than expected here.
    #[error("a message of kind {given:?} where {expected:?} was expected")]
    Kind {
        /// What came.
        given: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The payload does not follow its schema.
    #[error("the {kind} payload does not follow its schema: {what}")]
    Payload {
        /// The message's kind.
        kind: &'static str,
        /// Where and in which way.
        what: String,
    },
    /// An object in the payload holds a key twice: readers would disagree about what it means.
    #[error("the {kind} payload cannot be read in one way only: {what}")]
    Repeated {
        /// The message's kind.
        kind: &'static str,
        /// Where.
        what: String,
    },
    /// Signed by a key that is not trusted here.
    #[error("signed by {key}, which is not a trusted key here: compare it with the other party's sign.pub")]
    Untrusted {
        /// The key named in the payload.
        key: PublicKey,
    },
    /// The signature does not fit.
    #[error(transparent)]
    Signature(#[from] KeyError),
    /// A short text holds a character that cannot be seen.
    #[error(transparent)]
    Invisible(#[from] Invisible),
}

/// A payload that names its own signer.
pub trait Payload: Serialize + for<'de> Deserialize<'de> {
    /// Schema and version.
    const KIND: &'static str;
    /// The key that must have signed it.
    fn signer(&self) -> &PublicKey;

    /// Checks that every character of the short texts can be seen, so that the other party's people read what was
    /// written. Checked before signing; whoever decides by the message checks it again.
    ///
    /// # Errors
    /// [`Invisible`] names the field.
    fn check_texts(&self) -> Result<(), Invisible> {
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
    /// Serialises and signs.
    ///
    /// # Errors
    /// [`EnvelopeError::Invisible`] when a short text holds what nobody can see,
    /// [`EnvelopeError::Payload`] when the payload cannot be written as JSON,
    /// [`EnvelopeError::Signature`] when the key cannot sign.
    pub fn seal<P: Payload>(payload: &P, body: Vec<u8>, key: &SigningKey) -> Result<Self, EnvelopeError> {
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

    /// The digest that the next message of the chain names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[self.kind.as_bytes(), &[0], &self.payload])
    }

    /// The published bytes.
    ///
    /// # Errors
    /// [`EnvelopeError::Frame`] should a part be over 4 GB.
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        rmp_serde::to_vec(self).map_err(|e| EnvelopeError::Frame(e.to_string()))
    }

    /// Reads published bytes; checks the frame only. The signature does not cover the frame
    /// itself, so it must be written in the one way that [`Envelope::encode`] writes it: nothing
    /// can be hung on behind, and no byte of it altered, without being found.
    ///
    /// # Errors
    /// [`EnvelopeError::Frame`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let frame = |what: String| EnvelopeError::Frame(what);
        let read: Self = rmp_serde::from_slice(bytes).map_err(|e| frame(e.to_string()))?;
        if read.encode()? != bytes {
            return Err(frame(
                "its frame is not written as every publisher writes it".to_owned(),
            ));
        }
        Ok(read)
    }

    /// Reads the payload without trusting it: enough to keep a message's place in its chain.
    ///
    /// # Errors
    /// [`EnvelopeError::Kind`], [`EnvelopeError::Payload`] or [`EnvelopeError::Repeated`].
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
        unique::check(&self.payload).map_err(|e| EnvelopeError::Repeated {
            kind: P::KIND,
            what: e.to_string(),
        })?;
        Ok(read)
    }

    /// Reads the payload and checks that a trusted key signed it.
    ///
    /// # Errors
    /// [`EnvelopeError`], each with what differs.
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
