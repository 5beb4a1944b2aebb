//! How full a stream is.

use serde::Serialize;

/// The share of a limit from which on an operator has to act, in percent.
pub const ALARM_PERCENT: u64 = 70;

/// A stream, and how much of its limit is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fullness {
    /// The name of the stream.
    pub stream: String,
    /// The bytes in it.
    pub bytes: u64,
    /// The bytes that it takes at most.
    pub max_bytes: u64,
}

impl Fullness {
    /// The used part of the limit.
    #[must_use]
    pub fn percent(&self) -> u64 {
        self.bytes
            .saturating_mul(100)
            .checked_div(self.max_bytes)
            .unwrap_or(0)
    }

    /// The same from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sizes below 2^53 are exact")]
    pub fn ratio(&self) -> f64 {
        if self.max_bytes == 0 {
            return 0.0;
        }
        self.bytes as f64 / self.max_bytes as f64
    }

    /// Returns whether an operator has to act.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        self.percent() >= ALARM_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_at_seventy_percent_is_alarming() {
        let of = |bytes| Fullness {
            stream: "DATA_insurer-a".into(),
            bytes,
            max_bytes: 1_000,
        };
        assert!(!of(699).is_alarming() && of(700).is_alarming());
        assert_eq!(of(1_000).percent(), 100);
    }
}
