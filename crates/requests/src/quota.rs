//! The quota of a recipient: rows per day, requests per hour, open requests.
//!
//! All three depend on the streams alone, so two responders, and one after a restart, decide the same. Requests per hour and open
//! requests count what was stored before the request and never after it: once a request has passed, no later one can displace it.
//! A day and an hour are the last 24 hours and the last 60 minutes: a limit that resets at midnight would allow twice as much
//! around it.
//!
//! A refusal contains the time to retry. It is the first at which the same request passes if no other is filed, because clients
//! ignore a wait of many hours.

mod history;

use jiff::Timestamp;
use schemas::refusal::RefusalCode;
use serde::{Deserialize, Serialize};

pub use history::History;

use crate::refusal::Refusal;

/// The limits of one recipient. An unset limit does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Rows in answers within 24 hours.
    #[serde(default)]
    pub rows_a_day: Option<u64>,
    /// Requests stored within 60 minutes, without those refused for a quota.
    #[serde(default)]
    pub requests_an_hour: Option<u32>,
    /// Requests without an outcome.
    #[serde(default)]
    pub open_requests: Option<u32>,
}

/// The position of a request in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPosition {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
}

/// The retry delay for open requests, because one may be answered at any time.
const OPEN_RETRY_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

impl Quota {
    /// Returns how many rows are left for an answer, or `None` if they are not limited.
    ///
    /// # Errors
    /// The refusal, with the time to retry.
    pub fn evaluate(
        &self,
        history: &History,
        request: StreamPosition,
        now: Timestamp,
    ) -> Result<Option<u64>, Refusal> {
        if let Some(most) = self.requests_an_hour
            && let Some(retry) = history.hourly_retry_at(request, most)
        {
            return Err(refuse(
                &format!("the quota of {most} requests per hour is used up"),
                retry.max(now),
            ));
        }
        if let Some(most) = self.open_requests
            && history.has_open_before(request.sequence, most)
        {
            let why = format!("the quota of {most} open requests is used up: wait for an outcome");
            return Err(refuse(&why, now.saturating_add(OPEN_RETRY_AFTER).unwrap_or(now)));
        }
        let Some(most) = self.rows_a_day else {
            return Ok(None);
        };
        match history.remaining_rows(most, now) {
            Ok(left) => Ok(Some(left)),
            Err(retry) => Err(refuse(
                &format!("the quota of {most} rows per 24 hours is used up"),
                retry,
            )),
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
