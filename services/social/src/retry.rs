//! The back-off of this agent's retries.

use std::time::Duration;

use runtime::backoff::Backoff;

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));

/// Servers elect a leader within seconds, and a replica catches up as fast: waiting longer would only delay the lanes.
const FOR_LEADER: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));

/// Returns the wait for a leader, or for a replica that lags, after so many consecutive failures, with jitter.
#[must_use]
pub fn for_leader(failures: u32) -> Duration {
    FOR_LEADER.delay(failures.max(1), rand::random())
}

/// Returns the wait after so many consecutive failures, with jitter, so that agents do not all retry at once.
#[must_use]
pub fn after(failures: u32) -> Duration {
    with_jitter(failures, rand::random())
}

/// Returns the wait after so many consecutive failures, for a random number from 0 to 1.
#[must_use]
pub fn with_jitter(failures: u32, jitter: f64) -> Duration {
    BACKOFF.delay(failures.max(1), jitter)
}
