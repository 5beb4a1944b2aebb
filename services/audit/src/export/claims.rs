//! PURE: what a message claims of itself, unverified: its signer and its place in its chain. The manifest of an export lists them,
//! and the verification compares them with what it verified.

use exchange::port::Stream;
use schemas::envelope::Envelope;
use schemas::heads::RecordRef;
use schemas::manifest::Link;
use schemas::sign::PublicKey;
use serde::Deserialize;
use verification::StreamId;
use verification::findings::KeyUses;
use verification::heads::KeptHeads;

/// The heads and the use of keys so far.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The heads.
    pub heads: KeptHeads,
    /// The use of keys.
    pub keys: KeyUses,
}

#[derive(Deserialize)]
struct Claim {
    key: Option<PublicKey>,
    content: Option<Rows>,
    epoch: Option<u32>,
    number: Option<u64>,
    to: Option<u64>,
}

/// The rows of a chunk or part name the signer.
#[derive(Deserialize)]
struct Rows {
    key: PublicKey,
}

impl Claims {
    /// Adds a message. An unreadable one claims nothing.
    pub fn add(&mut self, stream: &StreamId, message: &exchange::Stored) {
        let Ok(envelope) = Envelope::decode(&message.bytes) else {
            return;
        };
        let Ok(claim) = serde_json::from_slice::<Claim>(&envelope.payload) else {
            return;
        };
        let signer = claim.content.map(|rows| rows.key).or(claim.key);
        if let Some(signer) = signer {
            self.keys
                .add(&signer, stream, message.sequence, message.stored_at);
        }
        let lane = message.subject.split_once('.').map(|(_, lane)| lane.to_owned());
        let digest = envelope.digest();
        match (stream.stream, lane, claim.epoch, claim.number, claim.to) {
            (Stream::Data, Some(lane), Some(epoch), Some(number), _) => {
                self.heads.chunks.insert(
                    lane,
                    Link {
                        epoch,
                        number,
                        digest,
                    },
                );
            }
            (Stream::Receipts, Some(lane), Some(epoch), _, Some(to)) => {
                self.heads.receipts.insert(lane, (epoch, to));
            }
            (Stream::Audit, _, _, Some(number), _) => {
                let mark = RecordRef { number, digest };
                self.heads.entries.insert(message.subject.clone(), mark);
            }
            (Stream::Control, _, _, Some(number), _) => {
                let mark = RecordRef { number, digest };
                self.heads.orders.insert(message.subject.clone(), mark);
            }
            _ => {}
        }
    }
}
