//! The streams of the exchange, by content.

use std::fmt;

/// A kind of stream. Each party has its own stream of each kind, so that the messages of one party use no storage of another. Each
/// stream has its own sequences and is read for one party at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Chunks.
    Data,
    /// Receipts.
    Receipts,
    /// Data requests.
    Requests,
    /// Cancellations of requests.
    Cancels,
    /// Officers' decisions about requests.
    Approvals,
    /// The latest progress of each request.
    Progress,
    /// Parts of answers.
    Parts,
    /// Outcomes of requests.
    Replies,
    /// The recipients' confirmations that replies are stored.
    Confirms,
    /// Audited actions of people and agents.
    Audit,
    /// Operators' orders.
    Control,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Data,
        Self::Receipts,
        Self::Requests,
        Self::Cancels,
        Self::Approvals,
        Self::Progress,
        Self::Parts,
        Self::Replies,
        Self::Confirms,
        Self::Audit,
        Self::Control,
    ];

    /// Returns the first token of the stream's subjects.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Receipts => "receipt",
            Self::Requests => "request",
            Self::Cancels => "cancel",
            Self::Approvals => "approval",
            Self::Progress => "progress",
            Self::Parts => "part",
            Self::Replies => "reply",
            Self::Confirms => "confirm",
            Self::Audit => "audit",
            Self::Control => "control",
        }
    }

    /// Returns the stream whose subjects begin with this token.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.token() == token)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_token_round_trips() {
        for stream in Stream::ALL {
            assert_eq!(Stream::from_token(stream.token()), Some(stream));
        }
        assert_eq!(Stream::from_token("lease"), None);
    }
}
