//! The options that an operator sets.

use std::time::Duration;

use crate::lease::Timing;
use crate::quantum::Sizing;

/// How feeds are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublisherOptions {
    /// The bounds of a quantum.
    pub sizing: Sizing,
    /// The maximum age of an open block.
    pub close_after: Duration,
    /// The minimum interval between chunks that are closed only because no more rows are there, so that a trickle of rows makes
    /// few chunks. The first chunk after a pause is closed at once.
    pub collect: Duration,
    /// How long a feed rests when everything within its fence is read; longer for idle feeds, see [`crate::idle`].
    pub idle_poll: Duration,
    /// Polls per second of all idle feeds of the source.
    pub idle_poll_rate: u32,
    /// The interval for rechecking what only an operator can correct.
    pub recheck: Duration,
    /// The interval for checking the exchange when nothing is in doubt.
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

/// The options of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocialOptions {
    /// How feeds are read.
    pub publisher: PublisherOptions,
    /// The lease.
    pub lease: Timing,
    /// The shutdown timeout, after which unpublished rows are dropped. Nothing is lost: they are read again.
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
