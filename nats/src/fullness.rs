//! How full the streams are that a party publishes to.

use exchange::Result;
use exchange::port::Stream;
use serde::{Deserialize, Serialize};

use bytes::Bytes;

use crate::connect::JetStream;
use crate::refusal::Refusal;
use crate::topology::Role;
use crate::topology::rights::published_streams;
use crate::wire::read;

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

#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    state: State,
    #[serde(default)]
    config: Config,
    error: Option<Refusal>,
}

#[derive(Debug, Default, Deserialize)]
struct State {
    #[serde(default)]
    bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    max_bytes: i64,
}

impl JetStream {
    /// Asks how full each stream is that this connection's party publishes in. A stream without a limit is left out.
    ///
    /// # Errors
    /// Those of the exchange's operations.
    pub async fn fullness(&self, role: Role) -> Result<Vec<Fullness>> {
        let mut all = Vec::new();
        let recipients = match role {
            Role::Bureau => self.wire.parties(Stream::Data).await?,
            _ => Vec::new(),
        };
        for stream in published_streams(role, &self.wire.options.user, recipients.iter()) {
            let question = self.wire.api(&format!("STREAM.INFO.{stream}"));
            let info: Info = read(&question, &self.wire.ask(&question, None, Bytes::new()).await?)?;
            if let Some(refusal) = info.error {
                return Err(refusal.error(&question));
            }
            if let Ok(max_bytes @ 1..) = u64::try_from(info.config.max_bytes) {
                all.push(Fullness {
                    stream,
                    bytes: info.state.bytes,
                    max_bytes,
                });
            }
        }
        Ok(all)
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
