//! A refusal, for the requester and for the log.

use priority::cgroup::CgroupError;

use crate::peer::PeerError;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    /// The reply to the requester.
    pub(crate) answer: String,
    /// The reason for the log: it may contain facts that the requester must not learn.
    pub(crate) reason: String,
}

impl Denial {
    /// Appends the action that was taken.
    pub(crate) fn with_action(self, done: &str) -> Self {
        Self {
            answer: format!("{}; {done}", self.answer),
            reason: format!("{}; {done}", self.reason),
        }
    }
}

/// The requester may learn the reason.
impl From<CgroupError> for Denial {
    fn from(error: CgroupError) -> Self {
        error.to_string().into()
    }
}

impl From<PeerError> for Denial {
    fn from(error: PeerError) -> Self {
        error.to_string().into()
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
