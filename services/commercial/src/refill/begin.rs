//! PURE: where a refill begins.

use std::str::FromStr;

use jiff::Timestamp;
use store::LaneReport;
use store::merge::ChunkNumber;

/// Where a refill begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// After the frontier.
    Receipt,
    /// At the first chunk that the exchange keeps.
    Start,
    /// At this chunk.
    Chunk(ChunkNumber),
    /// At the first chunk that the exchange stored at or after this time.
    Time(Timestamp),
}

/// The text names no place where a refill can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give receipt, start, chunk:EPOCH.NUMBER, or time:2026-01-31T22:15:00Z")]
pub struct InvalidFrom;

impl FromStr for From {
    type Err = InvalidFrom;

    fn from_str(text: &str) -> Result<Self, InvalidFrom> {
        let chunk = |rest: &str| {
            let (epoch, number) = rest.split_once('.')?;
            Some(Self::Chunk(ChunkNumber {
                epoch: epoch.parse().ok().filter(|epoch| *epoch > 0)?,
                number: number.parse().ok().filter(|number| *number > 0)?,
            }))
        };
        let read = match (text, text.split_once(':')) {
            ("receipt", _) => Some(Self::Receipt),
            ("start", _) => Some(Self::Start),
            (_, Some(("chunk", rest))) => chunk(rest),
            (_, Some(("time", rest))) => rest.parse().ok().map(Self::Time),
            _ => None,
        };
        read.ok_or(InvalidFrom)
    }
}

/// PURE: returns the first needed chunk; `None` if the exchange must be asked which chunks it keeps.
#[must_use]
pub fn needed(from: From, report: Option<&LaneReport>) -> Option<ChunkNumber> {
    match from {
        From::Receipt => Some(
            report.map_or(ChunkNumber { epoch: 1, number: 1 }, |report| ChunkNumber {
                epoch: report.epoch,
                number: report.to + 1,
            }),
        ),
        From::Chunk(chunk_number) => Some(chunk_number),
        From::Start | From::Time(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u32, number: u64) -> ChunkNumber {
        ChunkNumber { epoch, number }
    }

    #[test]
    fn refill_needs_chunks_after_frontier() {
        let report = store_testing::samples::report(store_testing::samples::lane(), 2, 9);
        assert_eq!(needed(From::Receipt, Some(&report)), Some(at(2, 10)));
        assert_eq!(needed(From::Receipt, None), Some(at(1, 1)));
        assert_eq!(needed(From::Chunk(at(1, 4)), Some(&report)), Some(at(1, 4)));
        assert_eq!(needed(From::Start, Some(&report)), None);
    }

    #[test]
    fn refill_from_is_parsed() {
        assert_eq!("receipt".parse(), Ok(From::Receipt));
        assert_eq!("start".parse(), Ok(From::Start));
        assert_eq!("chunk:2.17".parse(), Ok(From::Chunk(at(2, 17))));
        let time = "2026-01-31T22:15:00Z";
        assert_eq!(
            format!("time:{time}").parse(),
            Ok(From::Time(time.parse().unwrap()))
        );
        for wrong in ["", "chunk:2", "chunk:0.1", "chunk:1.0", "time:yesterday", "2.17"] {
            assert!(wrong.parse::<From>().is_err(), "{wrong:?}");
        }
    }
}
