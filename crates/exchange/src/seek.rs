//! Finds a chunk of a lane by its place. The exchange knows sequences, not places; both rise together, so a few reads find it.

use schemas::chunk;
use schemas::name::Lane;

use crate::error::Result;
use crate::outcome::Stored;
use crate::port::{Exchange, From, Sequence, Stream};

/// Messages that are no chunks are passed over, so many in a row.
const PASSED_OVER: usize = 64;

/// A chunk that is kept, with the place that it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// The message.
    pub stored: Stored,
}

/// Returns the first chunk of a lane that is kept whose sequence is this or higher.
///
/// # Errors
/// As [`Exchange::read`].
pub async fn first_chunk(exchange: &dyn Exchange, lane: &Lane, from: From) -> Result<Option<Sought>> {
    let (mut from, filter) = (from, format!("data.{lane}"));
    for _ in 0..PASSED_OVER {
        let Some(stored) = exchange.read(Stream::Data, from, &filter, 1).await?.pop() else {
            return Ok(None);
        };
        if let Some((manifest, _)) = chunk::place(&stored.bytes) {
            return Ok(Some(Sought {
                epoch: manifest.epoch,
                number: manifest.number,
                stored,
            }));
        }
        from = From::Sequence(stored.sequence + 1);
    }
    Ok(None)
}

/// Returns the first chunk of a lane that is kept in this place or behind it. Nothing of it is verified.
///
/// # Errors
/// As [`Exchange::read`].
pub async fn seek_chunk(
    exchange: &dyn Exchange,
    lane: &Lane,
    (epoch, number): (u32, u64),
) -> Result<Option<Sought>> {
    let Some(tail) = exchange.last_chunk(lane).await? else {
        return Ok(None);
    };
    let (mut low, mut high): (Sequence, Sequence) = (0, tail.sequence);
    let mut found = None;
    while low <= high {
        let middle = low + (high - low) / 2;
        match first_chunk(exchange, lane, From::Sequence(middle)).await? {
            Some(sought) if (sought.epoch, sought.number) < (epoch, number) => {
                low = sought.stored.sequence + 1;
            }
            sought => {
                found = sought.or(found);
                if middle == 0 {
                    break;
                }
                high = middle - 1;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use schemas::name::{FeedName, RecipientName};

    use super::*;
    use crate::memory::Memory;
    use crate::outcome::Published;

    #[tokio::test]
    async fn seek_in_a_lane_without_chunks_finds_nothing() -> Result<()> {
        let recipient = RecipientName::new("insurer-a").unwrap();
        let exchange = Memory::new(std::slice::from_ref(&recipient));
        let lane = Lane {
            recipient,
            feed: FeedName::new("setl").unwrap(),
        };
        assert_eq!(seek_chunk(&exchange, &lane, (1, 1)).await?, None);
        // What is no chunk is passed over.
        let published = exchange
            .publish_chunk(&lane, Bytes::from_static(b"no chunk"), 0)
            .await?;
        assert!(matches!(published, Published::Done { .. }));
        assert_eq!(seek_chunk(&exchange, &lane, (1, 1)).await?, None);
        Ok(())
    }
}
