//! A delivery becomes an arrival, or something that cannot be opened. Costs CPU: callers run
//! it off the asynchronous threads, while the store is busy with the batch before.

use exchange::Delivery;
use schemas::chunk::{self, ChunkError};
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::seal::SealRing;
use schemas::sign::PublicKey;
use schemas::subject::Subject;
use store::Arrival;
use store::port::Unreadable;

/// What a delivery turned out to be.
#[derive(Debug)]
pub enum Opened {
    /// A chunk of this lane whose signature, body and totals hold.
    Chunk(Lane, Box<Arrival>),
    /// A chunk of this lane, signed and whole, that is sealed to a key that is not here. It waits
    /// at the exchange until the seed is; nothing is wrong with it.
    Closed(Lane, String),
    /// A message on a lane's subject that is none. It is kept, with its place.
    Unreadable(Box<Unreadable>),
    /// A message on a subject that is no lane's; there is no place to keep it.
    Foreign(String),
}

/// Opens a delivery that belongs here, with one of these keys where it is sealed.
#[must_use]
pub fn open(delivery: &Delivery, trusted: &[PublicKey], here: &Origin, seals: &SealRing) -> Opened {
    let lane = match delivery.subject.parse::<Subject>() {
        Ok(Subject::Data(lane)) => lane,
        Ok(_) => return Opened::Foreign(format!("{} holds no chunks", delivery.subject)),
        Err(error) => return Opened::Foreign(error.to_string()),
    };
    let opened = chunk::open_with(&delivery.bytes, trusted, seals).and_then(|chunk| {
        let given = chunk.manifest.lane();
        if given != lane {
            return Err(ChunkError::Misplaced {
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
        Err(error) if error.waits_for_key().is_some() => Opened::Closed(lane, error.to_string()),
        Err(error) => Opened::Unreadable(Box::new(Unreadable {
            claims: chunk::place(&delivery.bytes)
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

/// A chunk that cannot be opened for want of a key may be another recipient's or another site's: it must not have
/// this one wait for that key.
fn closed_elsewhere(error: ChunkError, bytes: &[u8], lane: &Lane, here: &Origin) -> ChunkError {
    if error.waits_for_key().is_none() {
        return error;
    }
    let Some((manifest, _)) = chunk::place(bytes) else {
        return error;
    };
    let given = manifest.lane();
    if given != *lane {
        return ChunkError::Misplaced {
            given: given.to_string(),
            expected: lane.to_string(),
        };
    }
    match here.admit(manifest.origin.as_ref()) {
        Err(elsewhere) => elsewhere.into(),
        Ok(()) => error,
    }
}
