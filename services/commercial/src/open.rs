//! Opens a delivery. This costs CPU: callers run it on blocking threads while the store is busy with the previous
//! batch.

use exchange::Delivery;
use schemas::chunk::{self, ChunkError};
use schemas::encryption::DecryptionKeys;
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::sign::PublicKey;
use schemas::subject::Subject;
use store::Arrival;
use store::port::Unreadable;

/// The result of opening a delivery.
#[derive(Debug)]
pub enum Opened {
    /// A chunk of this lane with a valid signature, body and totals.
    Chunk(Lane, Box<Arrival>),
    /// A valid, signed chunk of this lane, encrypted to a key that is missing here. It waits at the exchange for the
    /// key.
    Closed(Lane, String),
    /// A message on a lane's subject that is not a chunk. It is kept under the chunk number that it claims.
    Unreadable(Box<Unreadable>),
    /// A message on a subject of no lane. It cannot be kept.
    Foreign(String),
}

/// Opens a delivery, with one of these keys if it is encrypted.
#[must_use]
pub fn open(
    delivery: &Delivery,
    trusted: &[PublicKey],
    here: &Origin,
    decryption_keys: &DecryptionKeys,
) -> Opened {
    let lane = match delivery.subject.parse::<Subject>() {
        Ok(Subject::Data(lane)) => lane,
        Ok(_) => return Opened::Foreign(format!("{} holds no chunks", delivery.subject)),
        Err(error) => return Opened::Foreign(error.to_string()),
    };
    let opened = chunk::VerifiedChunk::open(&delivery.bytes, trusted, decryption_keys).and_then(|chunk| {
        let given = chunk.manifest.lane();
        if given != lane {
            return Err(ChunkError::WrongSubject {
                given: given.to_string(),
                expected: lane.to_string(),
            });
        }
        here.admit(chunk.manifest.origin.as_ref())?;
        Ok(chunk)
    });
    match opened.map_err(|error| closed_elsewhere(error, &delivery.bytes, &lane, here)) {
        Ok(chunk) => {
            let arrival = Arrival {
                chunk,
                sequence: delivery.sequence,
                exchanged_at: delivery.stored_at,
            };
            Opened::Chunk(lane, Box::new(arrival))
        }
        Err(error) if error.missing_key().is_some() => Opened::Closed(lane, error.to_string()),
        Err(error) => Opened::Unreadable(Box::new(Unreadable {
            claims: chunk::read_untrusted(&delivery.bytes)
                .filter(|(manifest, _)| manifest.lane() == lane)
                .map(Box::new),
            lane,
            sequence: delivery.sequence,
            exchanged_at: delivery.stored_at,
            reason: error.to_string(),
            bytes: delivery.bytes.clone(),
        })),
    }
}

/// Checks whether a chunk with a missing key belongs to another recipient or site. Such a chunk must not block this
/// site's lane.
fn closed_elsewhere(error: ChunkError, bytes: &[u8], lane: &Lane, here: &Origin) -> ChunkError {
    if error.missing_key().is_none() {
        return error;
    }
    let Some((manifest, _)) = chunk::read_untrusted(bytes) else {
        return error;
    };
    let given = manifest.lane();
    if given != *lane {
        return ChunkError::WrongSubject {
            given: given.to_string(),
            expected: lane.to_string(),
        };
    }
    match here.admit(manifest.origin.as_ref()) {
        Err(elsewhere) => elsewhere.into(),
        Ok(()) => error,
    }
}
