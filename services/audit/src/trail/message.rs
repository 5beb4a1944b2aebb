//! Opens a message for a trail. What is not valid is shown with its fault, because leaving it out would hide it.

use exchange::Stored;
use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::sign::PublicKey;
use schemas::stream::Stream;
use verification::examine::{Content, Examined, examine};
use verification::{Message, Place, StreamId, Trust};

/// A message of a trail.
#[derive(Debug)]
pub struct TrailMessage {
    /// Its stream.
    pub stream: StreamId,
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// The digest that other messages name; `None` if it cannot be read.
    pub digest: Option<Digest>,
    /// The key that it names as its signer.
    pub key: Option<PublicKey>,
    /// Whether a trusted key signed it, at a time at which the key was valid, and its body is that of the signature.
    pub is_verified: bool,
    /// Why it is not; `None` also if no key is trusted for its stream.
    pub fault: Option<String>,
    /// What it holds, also if it is not verified; `None` if it cannot be read.
    pub content: Option<Content>,
}

impl TrailMessage {
    /// Opens a message.
    #[must_use]
    pub fn open(trust: &Trust, stream: &StreamId, stored: &Stored) -> Self {
        let message = Message {
            stream,
            subject: &stored.subject,
            sequence: stored.sequence,
            stored_at: stored.stored_at,
            bytes: &stored.bytes,
            place: Place::default(),
        };
        let (examined, fault) = match examine(trust, &message) {
            Ok(examined) => (Some(examined), None),
            Err(violation) => (claimed(stream.stream, &stored.bytes), Some(violation.to_string())),
        };
        let is_verified = fault.is_none();
        let (digest, key, content) = match examined {
            Some(examined) => (
                Some(examined.digest),
                Some(examined.signer),
                Some(examined.content),
            ),
            None => (None, None, None),
        };
        Self {
            stream: stream.clone(),
            subject: stored.subject.clone(),
            sequence: stored.sequence,
            stored_at: stored.stored_at,
            digest,
            key,
            is_verified,
            fault: fault.filter(|_| !trust.keys(stream.stream).is_empty()),
            content,
        }
    }
}

/// Returns what a message claims that is not valid.
fn claimed(stream: Stream, bytes: &[u8]) -> Option<Examined> {
    match stream {
        Stream::Data => claim(bytes, |manifest| Content::Chunk(manifest, false)),
        Stream::Parts => claim(bytes, |part| Content::Part(part, false)),
        Stream::Receipts => claim(bytes, Content::Receipt),
        Stream::Requests => claim(bytes, Content::Request),
        Stream::Cancels => claim(bytes, Content::Cancel),
        Stream::Approvals => claim(bytes, Content::Approval),
        Stream::Progress => claim(bytes, Content::Progress),
        Stream::Replies => claim(bytes, Content::Reply),
        Stream::Confirms => claim(bytes, Content::Confirm),
        Stream::Audit => claim(bytes, Content::Entry),
        Stream::Control => claim(bytes, Content::Order),
    }
}

fn claim<P: Payload>(bytes: &[u8], content: impl FnOnce(Box<P>) -> Content) -> Option<Examined> {
    let envelope = Envelope::decode(bytes).ok()?;
    let payload: P = envelope.read().ok()?;
    Some(Examined {
        digest: envelope.digest(),
        signer: payload.signer().clone(),
        content: content(Box::new(payload)),
    })
}
