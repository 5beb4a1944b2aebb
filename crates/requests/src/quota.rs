//! How much a recipient may ask: rows a day, requests an hour, open requests.
//!
//! All three are judged from the streams alone, so that two responders, and one after a restart, come to
//! the same answer. Requests an hour and open requests look at what was stored before the request and
//! never after it: once a request has passed, no later one can push it out. A day and an hour are the
//! last 24 hours and the last 60 minutes, not the calendar's: a limit that falls back at midnight lets
//! twice as much through around it.
//!
//! A refusal says when to try again. (Trap: a time of hours is ignored by clients. So the moment is the
//! first at which the same request passes if nothing else is asked, which is rarely a whole day.)

mod history;

use jiff::Timestamp;
use schemas::refusal::RefusalCode;
use serde::{Deserialize, Serialize};

pub use history::History;

use crate::refusal::Refusal;

/// The limits of one recipient; what is not said is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Rows in answers within 24 hours.
    #[serde(default)]
    pub rows_a_day: Option<u64>,
    /// Requests stored within 60 minutes, those refused for a quota not counted.
    #[serde(default)]
    pub requests_an_hour: Option<u32>,
    /// Requests without an outcome.
    #[serde(default)]
    pub open_requests: Option<u32>,
}

/// One request, as a quota sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
}

/// An open place may become free at any time, so a client may look again soon.
const LOOK_AGAIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

impl Quota {
    /// How many rows are left for an answer; none where they are not limited.
    ///
    /// # Errors
    /// The refusal, with the moment to try again.
    pub fn judge(&self, history: &History, request: Place, now: Timestamp) -> Result<Option<u64>, Refusal> {
        if let Some(most) = self.requests_an_hour
            && let Some(retry) = history.hour_full(request, most)
        {
            return Err(refuse(
                &format!("{most} requests an hour are used up"),
                retry.max(now),
            ));
        }
        if let Some(most) = self.open_requests
            && history.open_before(request.sequence, most)
        {
            let why = format!("{most} requests without an outcome are open already: wait for some of them");
            return Err(refuse(&why, now.saturating_add(LOOK_AGAIN).unwrap_or(now)));
        }
        let Some(most) = self.rows_a_day else {
            return Ok(None);
        };
        match history.day_full(most, now) {
            Ok(left) => Ok(Some(left)),
            Err(retry) => Err(refuse(&format!("{most} rows in 24 hours are used up"), retry)),
        }
    }
}

fn refuse(what: &str, retry_at: Timestamp) -> Refusal {
    Refusal {
        code: RefusalCode::Quota,
        reason: format!("{what}; file the request again from {retry_at:.0} on"),
        retry_at: Some(retry_at),
    }
}

#[cfg(test)]
mod tests;
