//! The lanes at the exchange: the last chunk and the last receipt of each, verified with the configured keys.

use std::collections::BTreeSet;
use std::time::Duration;

use exchange::port::Stream;
use exchange::{Exchange, Stored};
use jiff::Timestamp;
use schemas::envelope::{Envelope, Payload};
use schemas::manifest::Manifest;
use schemas::name::{Lane, PartyName, RecipientName};
use schemas::receipt::Receipt;
use schemas::sign::PublicKey;

use super::report::Signature;
use super::trust::Trust;
use crate::site::PartyRole;

/// The time for all reads of one collection.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The lanes that a party may read, at one time.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    /// When they were read.
    pub at: Timestamp,
    /// The lanes, sorted by name.
    pub lanes: Vec<LaneFacts>,
    /// Why some could not be read.
    pub error: Option<String>,
}

/// One lane.
#[derive(Debug, Clone)]
pub struct LaneFacts {
    /// The lane.
    pub lane: Lane,
    /// The last chunk.
    pub chunk: Option<Position>,
    /// The last receipt.
    pub receipt: Option<Position>,
}

/// The position of a chunk or a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Whether it was verified. The numbers of a refused message are 0.
    pub signature: Signature,
    /// The epoch.
    pub epoch: u32,
    /// The chunk's number, or the last number that the receipt covers.
    pub number: u64,
    /// Rows of the chunk, or of all chunks so far.
    pub rows: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// Why the receiver stopped the lane.
    pub stopped: Option<String>,
}

impl LaneFacts {
    /// Returns the chunks without a receipt, as `slacktide status` counts them; `None` without a readable chunk.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        let chunk = self.chunk.as_ref().filter(|chunk| chunk.is_readable())?;
        let receipt = match &self.receipt {
            None => return Some(chunk.number),
            Some(receipt) if !receipt.is_readable() => return None,
            Some(receipt) => receipt,
        };
        Some(match receipt.epoch.cmp(&chunk.epoch) {
            std::cmp::Ordering::Equal => chunk.number.saturating_sub(receipt.number),
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Less => chunk.number,
        })
    }
}

impl Position {
    /// Returns whether its numbers are there.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        !matches!(self.signature, Signature::Refused(_))
    }
}

/// Reads the lanes that a party may read.
pub(crate) async fn collect(
    party: &PartyName,
    role: PartyRole,
    exchange: &dyn Exchange,
    trust: &Trust,
    now: fn() -> Timestamp,
) -> Lanes {
    let mut lanes = Lanes::default();
    let read = async {
        let (found, error) = find(party, role, exchange).await;
        lanes.error = error;
        for lane in found {
            match read_lane(lane, exchange, trust).await {
                Ok(lane) => lanes.lanes.push(lane),
                Err(error) => lanes.error = Some(error.to_string()),
            }
        }
    };
    if tokio::time::timeout(TIMEOUT, read).await.is_err() {
        lanes.error = Some(format!(
            "the exchange did not answer within {} s",
            TIMEOUT.as_secs()
        ));
    }
    lanes.at = now();
    lanes
}

/// Returns the lanes of all recipients that the party may read.
async fn find(
    party: &PartyName,
    role: PartyRole,
    exchange: &dyn Exchange,
) -> (BTreeSet<Lane>, Option<String>) {
    let parties = match role {
        PartyRole::Recipient => Ok(vec![party.clone()]),
        PartyRole::Auditor => exchange.parties(Stream::Data).await,
        PartyRole::Bureau => exchange.parties(Stream::Requests).await,
    };
    let parties = match parties {
        Ok(parties) => parties,
        Err(error) => return (BTreeSet::new(), Some(error.to_string())),
    };
    let (mut lanes, mut error) = (BTreeSet::new(), None);
    let recipients = parties
        .iter()
        .filter_map(|party| RecipientName::new(party.as_str()).ok());
    for recipient in recipients {
        match exchange.lanes(&recipient).await {
            Ok(found) => lanes.extend(found),
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    (lanes, error)
}

async fn read_lane(lane: Lane, exchange: &dyn Exchange, trust: &Trust) -> exchange::Result<LaneFacts> {
    let chunk = exchange.last_chunk(&lane).await?;
    let receipt = exchange.last_receipt(&lane).await?;
    let recipient = PartyName::new(lane.recipient.as_str()).ok();
    let receivers = recipient.map_or(&[][..], |recipient| trust.keys(&recipient));
    let chunk = chunk.map(|stored| {
        let read = read::<Manifest>(&stored, trust.bureau_keys(), |manifest| manifest.lane() == lane);
        position(&stored, read, |manifest| {
            (
                manifest.epoch,
                manifest.number,
                manifest.content.totals.rows,
                None,
            )
        })
    });
    let receipt = receipt.map(|stored| {
        let read = read::<Receipt>(&stored, receivers, |receipt| receipt.lane() == lane);
        position(&stored, read, |receipt| {
            (receipt.epoch, receipt.to, receipt.rows, receipt.stopped)
        })
    });
    Ok(LaneFacts { lane, chunk, receipt })
}

/// PURE: reads a signed message of a lane.
fn read<P: Payload>(
    stored: &Stored,
    keys: &[PublicKey],
    is_of_lane: impl Fn(&P) -> bool,
) -> Result<(Signature, P), String> {
    let envelope = Envelope::decode(&stored.bytes).map_err(|error| error.to_string())?;
    let (signature, read) = if keys.is_empty() {
        (Signature::NoKey, envelope.read::<P>())
    } else {
        (Signature::Verified, envelope.verify::<P>(keys))
    };
    let read = read.map_err(|error| error.to_string())?;
    if is_of_lane(&read) {
        Ok((signature, read))
    } else {
        Err("the message is of another lane".to_owned())
    }
}

fn position<P>(
    stored: &Stored,
    read: Result<(Signature, P), String>,
    numbers: impl Fn(P) -> (u32, u64, u64, Option<String>),
) -> Position {
    let (signature, (epoch, number, rows, stopped)) = match read {
        Ok((signature, read)) => (signature, numbers(read)),
        Err(why) => (Signature::Refused(why), (0, 0, 0, None)),
    };
    Position {
        signature,
        epoch,
        number,
        rows,
        stored_at: stored.stored_at,
        stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(epoch: u32, number: u64) -> Option<Position> {
        Some(Position {
            signature: Signature::Verified,
            epoch,
            number,
            rows: 0,
            stored_at: Timestamp::UNIX_EPOCH,
            stopped: None,
        })
    }

    #[test]
    fn lag_counts_chunks_without_a_receipt() {
        let lane = |chunk, receipt| LaneFacts {
            lane: Lane {
                recipient: "insurer-a".parse().unwrap(),
                feed: "claims".parse().unwrap(),
            },
            chunk,
            receipt,
        };
        assert_eq!(lane(None, None).lag(), None);
        assert_eq!(lane(position(1, 7), None).lag(), Some(7));
        assert_eq!(lane(position(1, 7), position(1, 5)).lag(), Some(2));
        assert_eq!(lane(position(2, 3), position(1, 9)).lag(), Some(3));
        assert_eq!(lane(position(1, 7), position(2, 1)).lag(), Some(0));
        let mut refused = position(1, 7);
        refused.as_mut().unwrap().signature = Signature::Refused("x".to_owned());
        assert_eq!(
            lane(position(1, 7), refused).lag(),
            None,
            "what is not verified is not known"
        );
    }
}
