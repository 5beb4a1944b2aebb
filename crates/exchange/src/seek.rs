//! Finds a chunk of a lane by its epoch and number. The exchange only has sequences, but both increase together, so a binary
//! search finds the chunk. The tests are in `exchange-testing`, which has an exchange in memory.

use schemas::chunk;
use schemas::name::Lane;

use crate::error::Result;
use crate::outcome::Stored;
use crate::port::{Exchange, ReadFrom, Sequence, Stream};

/// Maximum number of consecutive messages to skip that are not chunks.
const MAX_SKIPPED: usize = 64;

/// A stored chunk with the epoch and number that it declares; unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundChunk {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// The message.
    pub stored: Stored,
}

/// Returns the first stored chunk of a lane at this sequence or time, or later.
///
/// # Errors
/// As [`AuditExchange::read`](crate::port::AuditExchange::read).
pub async fn first_chunk(exchange: &dyn Exchange, lane: &Lane, from: ReadFrom) -> Result<Option<FoundChunk>> {
    let (mut from, filter) = (from, format!("data.{lane}"));
    for _ in 0..MAX_SKIPPED {
        let Some(stored) = exchange.read(Stream::Data, from, &filter, 1).await?.pop() else {
            return Ok(None);
        };
        if let Some((manifest, _)) = chunk::read_untrusted(&stored.bytes) {
            return Ok(Some(FoundChunk {
                epoch: manifest.epoch,
                number: manifest.number,
                stored,
            }));
        }
        from = ReadFrom::Sequence(stored.sequence + 1);
    }
    Ok(None)
}

/// Returns the first stored chunk of a lane with this epoch and number or later ones. It is not verified.
///
/// # Errors
/// As [`AuditExchange::read`](crate::port::AuditExchange::read).
pub async fn find_chunk(
    exchange: &dyn Exchange,
    lane: &Lane,
    (epoch, number): (u32, u64),
) -> Result<Option<FoundChunk>> {
    let Some(tail) = exchange.last_chunk(lane).await? else {
        return Ok(None);
    };
    let (mut low, mut high): (Sequence, Sequence) = (0, tail.sequence);
    let mut found = None;
    while low <= high {
        let middle = low + (high - low) / 2;
        match first_chunk(exchange, lane, ReadFrom::Sequence(middle)).await? {
            Some(chunk) if (chunk.epoch, chunk.number) < (epoch, number) => {
                low = chunk.stored.sequence + 1;
            }
            chunk => {
                found = chunk.or(found);
                if middle == 0 {
                    break;
                }
                high = middle - 1;
            }
        }
    }
    Ok(found)
}
