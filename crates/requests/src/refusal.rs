//! The refusal of a request.

use jiff::Timestamp;
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome;

/// Why a request is not answered, by policy. The reason is sent to the recipient and contains no requested or stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code, for programs.
    pub code: RefusalCode,
    /// The cause and remedy, for people.
    pub reason: String,
    /// The earliest time to file the same request again, if time alone helps.
    pub retry_at: Option<Timestamp>,
}

impl Refusal {
    /// Creates a permanent refusal.
    #[must_use]
    pub fn new(code: RefusalCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            retry_at: None,
        }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            code: refusal.code,
            reason: refusal.reason,
            retry_at: refusal.retry_at,
        }
    }
}
