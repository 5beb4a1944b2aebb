//! What this process did for a request so far. Lost with the process, and with the lease: all of it is
//! either in the streams or does not matter.

use jiff::Timestamp;
use schemas::progress::Waiting;
use tokio::time::Instant;

/// One request's.
#[derive(Debug, Default)]
pub struct Standing {
    /// What it waits for; none: not judged yet.
    pub waiting: Option<Waiting>,
    /// Its answer has begun: the quota was asked.
    pub begun: bool,
    /// Its outcome is on its way, or stored and not read back yet.
    pub closed: bool,
    /// Its answer is with the poster.
    pub posting: bool,
    /// How often its answer failed.
    pub failures: u32,
    /// Not before this moment is it tried again.
    pub rests_until: Option<Instant>,
    /// It was there before the last look: it waits indeed, and is worth telling.
    pub is_old: bool,
    /// Its place and forecast, when they were reckoned last.
    pub place: Option<u64>,
    /// See `place`.
    pub forecast: Option<Timestamp>,
    /// What was told last; none: nothing, as far as this process knows.
    pub told: Option<super::telling::Told>,
    /// Something is being told.
    pub telling: bool,
}
