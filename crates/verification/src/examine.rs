//! PURE: checks a message on its own: schema and version, trusted key, signature, body, rows and totals.

use schemas::approval::Approval;
use schemas::audit::AuditEntry;
use schemas::chunk::ExaminedChunk;
use schemas::confirm::Confirm;
use schemas::control::Control;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::manifest::{Algorithms, Manifest};
use schemas::part::{ExaminedPart, Part};
use schemas::progress::Progress;
use schemas::receipt::Receipt;
use schemas::reply::Reply;
use schemas::request::{Cancel, Request};
use schemas::sign::PublicKey;
use schemas::stream::Stream;

use crate::message::Message;
use crate::trust::Trust;
use crate::violation::Violation;

/// A message that is valid on its own.
#[derive(Debug)]
pub struct Examined {
    /// The digest that other messages name.
    pub digest: Digest,
    /// The key that signed.
    pub signer: PublicKey,
    /// The signed content.
    pub content: Content,
}

/// The content of a message, by stream.
#[derive(Debug)]
pub enum Content {
    /// A chunk, and whether its rows and totals were checked too.
    Chunk(Box<Manifest>, bool),
    /// A receipt.
    Receipt(Box<Receipt>),
    /// A request.
    Request(Box<Request>),
    /// A cancellation.
    Cancel(Box<Cancel>),
    /// An officer's decision.
    Approval(Box<Approval>),
    /// Progress of a request.
    Progress(Box<Progress>),
    /// A part of an answer, and whether its rows and totals were checked too.
    Part(Box<Part>, bool),
    /// The outcome of a request.
    Reply(Box<Reply>),
    /// A confirmation.
    Confirm(Box<Confirm>),
    /// An audit entry.
    Entry(Box<AuditEntry>),
    /// An operators' record.
    Order(Box<Control>),
}

/// Checks a message on its own. It needs no other message, so several threads may examine at once.
///
/// # Errors
/// The first rule that it breaks.
pub fn examine(trust: &Trust, message: &Message<'_>) -> Result<Examined, Violation> {
    let keys = trust.keys(message.stream.stream);
    let examined = match message.stream.stream {
        Stream::Data => {
            let (manifest, digest, is_opened) =
                match ExaminedChunk::open(message.bytes, keys, &trust.decryption_keys)? {
                    ExaminedChunk::Opened(chunk) => (Box::new(chunk.manifest), chunk.digest, true),
                    ExaminedChunk::KeyMissing { manifest, digest } => (manifest, digest, false),
                };
            check_algorithms(&manifest.content.algorithms)?;
            trust.here.admit(manifest.origin.as_ref())?;
            Examined {
                digest,
                signer: manifest.content.key.clone(),
                content: Content::Chunk(manifest, is_opened),
            }
        }
        Stream::Parts => {
            let (part, digest, is_opened) =
                match ExaminedPart::open(message.bytes, keys, &trust.decryption_keys)? {
                    ExaminedPart::Opened(opened) => (Box::new(opened.manifest), opened.digest, true),
                    ExaminedPart::KeyMissing { manifest, digest } => (manifest, digest, false),
                };
            check_algorithms(&part.content.algorithms)?;
            Examined {
                digest,
                signer: part.content.key.clone(),
                content: Content::Part(part, is_opened),
            }
        }
        Stream::Receipts => {
            let examined = open(message, keys, Content::Receipt)?;
            if let Content::Receipt(receipt) = &examined.content {
                trust.here.admit(receipt.origin.as_ref())?;
            }
            examined
        }
        Stream::Requests => {
            let examined = open(message, keys, Content::Request)?;
            if let Content::Request(request) = &examined.content {
                trust.here.admit(request.origin.as_ref())?;
            }
            examined
        }
        Stream::Cancels => open(message, keys, Content::Cancel)?,
        Stream::Approvals => open(message, keys, Content::Approval)?,
        Stream::Progress => open(message, keys, Content::Progress)?,
        Stream::Replies => open(message, keys, Content::Reply)?,
        Stream::Confirms => open(message, keys, Content::Confirm)?,
        Stream::Audit => open(message, keys, Content::Entry)?,
        Stream::Control => open(message, keys, Content::Order)?,
    };
    trust.check_use(&examined.signer, message.stream, message.stored_at)?;
    Ok(examined)
}

fn open<P: Payload>(
    message: &Message<'_>,
    keys: &[PublicKey],
    content: impl FnOnce(Box<P>) -> Content,
) -> Result<Examined, Violation> {
    let envelope = Envelope::decode(message.bytes)?;
    // The signature does not cover the body: where no digest names it, it must be empty.
    if !envelope.body.is_empty() {
        return Err(Violation::UnsignedBody);
    }
    let payload: P = envelope.verify(keys)?;
    Ok(Examined {
        digest: envelope.digest(),
        signer: payload.signer().clone(),
        content: content(Box::new(payload)),
    })
}

fn check_algorithms(algorithms: &Algorithms) -> Result<(), Violation> {
    if *algorithms == Algorithms::default() {
        return Ok(());
    }
    Err(Violation::Algorithms {
        digest: algorithms.digest.chars().take(80).collect(),
        signature: algorithms.signature.chars().take(80).collect(),
    })
}
