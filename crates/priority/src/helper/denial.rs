//! A no, for the asker and for the log.

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    /// What the asker reads.
    pub(super) answer: String,
    /// What the log has: it may name what the asker must not learn.
    pub(super) reason: String,
}

impl Denial {
    /// The same, with what was done about it.
    pub(super) fn and(self, done: &str) -> Self {
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
