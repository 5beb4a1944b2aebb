//! A part of an answer: rows that were read in one or more quanta, signed and verified like a chunk.
//!
//! Parts of one attempt are numbered 1, 2, 3, …. The final reply names the attempt and the digest of each part; a part that
//! it does not name is not part of the answer. An attempt belongs to the responder that stored its first part; another
//! responder takes the next attempt number.
//!
//! A part shows in clear what a chunk shows: who asked, how many rows, when they were read and under which load. Rows, sums
//! of money and rejects can be encrypted to the recipient.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chunk::{Examined, RowMessage, Signed, Verified};
use crate::digest::Digest;
use crate::encryption::body::zero_terminated;
use crate::envelope::Payload;
use crate::manifest::Content;
use crate::name::RecipientName;
use crate::request::RequestId;
use crate::sign::PublicKey;
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
    /// Its rows.
    pub content: Content,
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
        &self.content.key
    }
}

impl RowMessage for Part {
    // An answer is a list, so its rows need no key.
    const NEEDS_KEY: bool = false;
    fn content(&self) -> &Content {
        &self.content
    }
    fn content_mut(&mut self) -> &mut Content {
        &mut self.content
    }
    fn binding(&self) -> Vec<u8> {
        let id = self.id.to_string();
        let mut binding = zero_terminated(&["slacktide.part.v1", self.recipient.as_str(), &id]);
        binding.extend_from_slice(&self.request.0);
        binding.extend_from_slice(&self.attempt.to_be_bytes());
        binding.extend_from_slice(&self.number.to_be_bytes());
        binding
    }
}

/// A part ready to be published; the reply names its digest.
pub type SignedPart = Signed<Part>;
/// A part whose signature, body and totals are valid.
pub type VerifiedPart = Verified<Part>;
/// A part whose signature and published body are valid, decrypted or not.
pub type ExaminedPart = Examined<Part>;
