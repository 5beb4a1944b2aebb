//! A reader's position in a feed, as text in a URL.
//!
//! `<epoch>.<number>.<sequence>.<digest>`: the last chunk that was read, the sequence at which the exchange has it, and the first
//! 16 hex digits of its digest. The gateway keeps no state: it reads the chunk at this sequence again and compares the digest, so
//! a cursor of another history (an exchange that was restored or replaced) is refused instead of skipping rows.

use std::fmt;
use std::str::FromStr;

use schemas::digest::Digest;

/// The position after one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCursor {
    /// The epoch of the chunk.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// The first 16 hex digits of its digest.
    pub digest: String,
}

/// A text that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cursor is not of the form <epoch>.<number>.<sequence>.<digest>; use the cursor of the last end record"
)]
pub struct BadCursor;

impl FeedCursor {
    /// Returns the cursor after a chunk.
    #[must_use]
    pub fn after(epoch: u32, number: u64, sequence: u64, digest: &Digest) -> Self {
        let mut digest = digest.to_string();
        if let Some((_, hex)) = digest.split_once(':') {
            digest = hex.to_owned();
        }
        digest.truncate(16);
        Self {
            epoch,
            number,
            sequence,
            digest,
        }
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            epoch,
            number,
            sequence,
            digest,
        } = self;
        write!(f, "{epoch}.{number}.{sequence}.{digest}")
    }
}

impl FromStr for FeedCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let parts: Vec<&str> = text.split('.').collect();
        let [epoch, number, sequence, digest] = parts[..] else {
            return Err(BadCursor);
        };
        let is_digest = digest.len() == 16
            && digest
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let cursor = Self {
            epoch: epoch.parse().map_err(|_| BadCursor)?,
            number: number.parse().map_err(|_| BadCursor)?,
            sequence: sequence.parse().map_err(|_| BadCursor)?,
            digest: digest.to_owned(),
        };
        // One spelling for each cursor: no signs, no leading zeros.
        if is_digest && cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(BadCursor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_has_one_spelling() {
        let cursor = FeedCursor::after(2, 17, 99, &Digest::of(&[b"chunk"]));
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        assert_eq!(cursor.digest.len(), 16, "{cursor}");
        let digest = &cursor.digest;
        for text in [
            String::new(),
            format!("2.17.99.{}", digest.to_uppercase() + "x"),
            format!("02.17.99.{digest}"),
            format!("+2.17.99.{digest}"),
            format!("2.17.99.{digest}.1"),
            "2.17.99".to_owned(),
        ] {
            assert_eq!(text.parse::<FeedCursor>(), Err(BadCursor), "{text}");
        }
    }
}
