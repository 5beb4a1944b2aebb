//! How long to wait before trying again: the one back-off of this agent.

use std::time::Duration;

use runtime::backoff::Backoff;

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));

/// The wait after so many failures in a row, with jitter, so that agents do not come back all
/// at once.
#[must_use]
pub fn after(failures: u32) -> Duration {
    BACKOFF.delay(failures.max(1), rand::random())
}
