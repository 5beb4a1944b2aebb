//! The clock, as a value: what decides never looks at one by itself.
//!
//! Two times are kept side by side. The monotonic one measures holds, ages and durations. The
//! wall clock stamps the evidence. Where the two drift apart between samples, the clock was
//! set or the machine was suspended, and a reading from before tells nothing about now.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// One moment, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since the start of the clock; never goes back while the machine is sane.
    pub mono: Duration,
    /// By the wall clock.
    pub wall: Timestamp,
}

impl Moment {
    /// The moment this much later on both clocks.
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

/// Tells moments. Its monotonic side follows the runtime's timer, so tests may pause it.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    wall: Wall,
}

#[derive(Debug, Clone)]
enum Wall {
    System,
    /// Follows the monotonic side from a base; the offset in milliseconds is set by the test.
    Simulated {
        base: Timestamp,
        offset_ms: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The system's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self {
            origin: Instant::now(),
            wall: Wall::System,
        }
    }

    /// A wall clock that follows the runtime's timer, for tests in paused time.
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

    /// Sets a simulated wall clock forward or back, as an operator or a suspended machine does;
    /// nothing on the system's clock.
    pub fn jump(&self, by_ms: i64) {
        if let Wall::Simulated { offset_ms, .. } = &self.wall {
            offset_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// Now.
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

    /// The runtime's instant of a monotonic time of this clock.
    #[must_use]
    pub fn instant(&self, mono: Duration) -> Instant {
        self.origin + mono
    }
}
