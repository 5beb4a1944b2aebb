//! PURE: why nothing of a lane is stored until an operator acts.

use std::fmt;

use schemas::name::Lane;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// Why nothing of a lane is stored until an operator acts. Contains names and no value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The text for the sender: it names nothing of this side's database.
    pub shared: String,
    /// The cause.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::Refused, refusal.what, refusal.remedy)
    }
}

impl Error {
    /// Returns the refusal that blocks the lane until an operator acts; `None` if a retry may help, for example after
    /// a grant.
    pub(crate) fn refusal(&self, lane: &Lane) -> Option<Refusal> {
        (self.kind == ErrorKind::Refused).then(|| Refusal {
            shared: format!(
                "feed {}: the receiver's tables do not fit it, or are not configured for it",
                lane.feed
            ),
            what: self.what.clone(),
            remedy: self.remedy.clone(),
        })
    }

    /// The target does not fit the lane, so the lane stops.
    pub(crate) fn of_lane(lane: &Lane, what: impl fmt::Display, remedy: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, format!("lane {lane}: {what}"), remedy)
    }
}
