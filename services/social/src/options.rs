//! What an operator may set.

use std::time::Duration;

use crate::lease::Timing;
use crate::quantum::Sizing;

/// How feeds are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublisherOptions {
    /// Bounds of a quantum.
    pub sizing: Sizing,
    /// How old an open block may get.
    pub close_after: Duration,
    /// How far apart chunks are at least that are closed only because nothing more is there: a trickle of rows then makes
    /// few chunks. The first one after a pause is closed at once.
    pub collect: Duration,
    /// How long a feed rests when everything within its fence is read; longer where nothing is new for some time and other
    /// feeds rest, too: see [`crate::idle`].
    pub idle_poll: Duration,
    /// Polls per second of all feeds of the source in which nothing is new.
    pub idle_poll_rate: u32,
    /// How long between looks at what only an operator can mend.
    pub recheck: Duration,
    /// How long between looks at the exchange when nothing is in doubt.
    pub check: Duration,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            sizing: Sizing::default(),
            close_after: Duration::from_millis(200),
            collect: Duration::from_secs(2),
            idle_poll: Duration::from_millis(500),
            idle_poll_rate: 20,
            recheck: Duration::from_secs(5),
            check: Duration::from_secs(10),
        }
    }
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocialOptions {
    /// How feeds are read.
    pub publisher: PublisherOptions,
    /// The lease.
    pub lease: Timing,
    /// How long a stop may take before what is left is dropped. Nothing is lost by that: the
    /// exchange holds what was published, and the rest is read again.
    pub grace: Duration,
}

impl Default for SocialOptions {
    fn default() -> Self {
        Self {
            publisher: PublisherOptions::default(),
            lease: Timing::of(Duration::from_secs(3)),
            grace: Duration::from_secs(5),
        }
    }
}
