//! A refusal as its reply will say it.

use jiff::Timestamp;
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome;

/// Why a request is not answered, by policy. Its reason goes to the recipient and holds no value of
/// theirs and none of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: what is wrong and what to do.
    pub reason: String,
    /// From when on the same question may be asked again, where time alone helps.
    pub retry_at: Option<Timestamp>,
}

impl Refusal {
    /// One that time does not heal.
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
