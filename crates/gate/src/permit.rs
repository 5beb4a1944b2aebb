//! What a worker holds while it touches the source.
//!
//! A permit is for one quantum. It is revoked for good when the gate shuts, even if the gate
//! opens again a moment later: the worker stops, gives it back, and asks for another.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use schemas::load::Load;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::limits::Limits;
use crate::shut::ShutFlag;
use crate::tally::GateStatus;
use crate::turnstile::{Pass, Turnstile};
use crate::verdict::Verdict;

/// The gate, to its users. Copies are the same gate.
#[derive(Clone)]
pub struct Gate {
    pub(crate) turnstile: Arc<Turnstile>,
}

impl Gate {
    /// A gate that is shut until verdicts come.
    pub(crate) fn shut(clock: Clock, limits: Option<&Limits>) -> Self {
        let limits = limits.map(Limits::evidence).unwrap_or_default();
        Self { turnstile: Arc::new(Turnstile::new(clock, limits)) }
    }

    /// Waits until the gate is open, then lets one quantum through. Dropping the future while
    /// it waits leaves nothing behind, so it may be raced against a stop.
    pub async fn permit(&self) -> Permit {
        let mut verdicts = self.subscribe();
        loop {
            verdicts.mark_unchanged();
            if let Some(permit) = self.try_permit() {
                return permit;
            }
            // The sender lives as long as this gate, so this cannot fail and spin.
            if verdicts.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Lets one quantum through if the gate is open now.
    #[must_use]
    pub fn try_permit(&self) -> Option<Permit> {
        let pass = self.turnstile.enter()?;
        Some(Permit { turnstile: Arc::clone(&self.turnstile), pass })
    }

    /// What the gate says now. An open verdict that is too old reads as shut.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.turnstile.verdict()
    }

    /// Every verdict from now on, one per sample.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Verdict> {
        self.turnstile.verdicts.subscribe()
    }

    /// Completes when no revoked permit is out: all work that a shut interrupted has stopped.
    pub async fn yielded(&self) {
        let mut revoked = self.turnstile.revoked.subscribe();
        // The sender lives as long as this gate.
        let _ = revoked.wait_for(|count| *count == 0).await;
    }

    /// The handle for a database driver's trace.
    #[must_use]
    pub fn shut_flag(&self) -> ShutFlag {
        self.turnstile.shut.clone()
    }

    /// The gate at a glance.
    #[must_use]
    pub fn status(&self) -> GateStatus {
        self.turnstile.status()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("verdict", &self.verdict()).finish_non_exhaustive()
    }
}

/// Leave to do one quantum. Given back by dropping it, when the work on the source has ended.
#[must_use = "work on the source is permitted while the permit lives"]
pub struct Permit {
    turnstile: Arc<Turnstile>,
    pass: Pass,
}

impl Permit {
    /// Whether the gate has shut since: stop now. One atomic load.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.turnstile.generation.load(Ordering::SeqCst) != self.pass.generation
    }

    /// Completes when the permit is revoked; for cancelling a statement in flight.
    pub async fn revoked(&self) {
        let mut verdicts = self.turnstile.verdicts.subscribe();
        while !self.is_revoked() {
            if verdicts.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The limits, and the samples and verdicts in force from the grant until now, each once.
    /// Join those of several quanta with [`merge`](crate::journal::merge).
    #[must_use]
    pub fn load_evidence(&self) -> Load {
        self.turnstile.evidence(self.pass.mark)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.turnstile.leave(&self.pass);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("is_revoked", &self.is_revoked()).finish_non_exhaustive()
    }
}
