//! The clock as a value: decisions take the time as an argument.
//!
//! The monotonic clock measures holds, ages and durations. The wall clock stamps the evidence. If the two drift apart
//! between samples, the clock was set or the machine was suspended, and an earlier reading is no longer meaningful.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Time since the clock was created; never goes backwards.
    pub mono: Duration,
    /// By the wall clock.
    pub wall: Timestamp,
}

impl Moment {
    /// Returns the moment this much later on both clocks.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        let wall = SignedDuration::try_from(by)
            .ok()
            .and_then(|by| self.wall.checked_add(by).ok())
            .unwrap_or(Timestamp::MAX);
        Self {
            mono: self.mono.saturating_add(by),
            wall,
        }
    }
}

/// Reads both clocks. The monotonic one follows the runtime's timer, so tests may pause it.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    wall: Wall,
}

#[derive(Debug, Clone)]
enum Wall {
    System,
    /// Follows the monotonic clock from a base; a test sets the offset in milliseconds.
    Simulated {
        base: Timestamp,
        offset_ms: Arc<AtomicI64>,
    },
}

impl Clock {
    /// Returns the system's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self {
            origin: Instant::now(),
            wall: Wall::System,
        }
    }

    /// Returns a wall clock that follows the runtime's timer, for tests in paused time.
    #[must_use]
    pub fn simulated(base: Timestamp) -> Self {
        Self {
            origin: Instant::now(),
            wall: Wall::Simulated {
                base,
                offset_ms: Arc::default(),
            },
        }
    }

    /// Moves a simulated wall clock, as an operator or a suspend does. No effect on the system's clock.
    pub fn jump(&self, by_ms: i64) {
        if let Wall::Simulated { offset_ms, .. } = &self.wall {
            offset_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// Returns the current moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        let mono = self.origin.elapsed();
        let wall = match &self.wall {
            Wall::System => Timestamp::now(),
            Wall::Simulated { base, offset_ms } => {
                let offset = SignedDuration::from_millis(offset_ms.load(Ordering::Relaxed));
                let base = base.checked_add(offset).unwrap_or(*base);
                Moment {
                    mono: Duration::ZERO,
                    wall: base,
                }
                .later(mono)
                .wall
            }
        };
        Moment { mono, wall }
    }

    /// Converts a monotonic time of this clock to the runtime's instant.
    #[must_use]
    pub fn instant(&self, mono: Duration) -> Instant {
        self.origin + mono
    }
}
