//! A refusal, for the requester and for the log.

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    /// The reply to the requester.
    pub(super) answer: String,
    /// The reason for the log: it may contain facts that the requester must not learn.
    pub(super) reason: String,
}

impl Denial {
    /// Appends the action that was taken.
    pub(super) fn with_action(self, done: &str) -> Self {
        Self {
            answer: format!("{}; {done}", self.answer),
            reason: format!("{}; {done}", self.reason),
        }
    }
}

impl From<String> for Denial {
    fn from(reason: String) -> Self {
        Self {
            answer: reason.clone(),
            reason,
        }
    }
}
