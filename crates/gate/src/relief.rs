//! PURE: exceptions for a core that is never idle.
//!
//! Off unless configured, and always with a name and a reason, because they disturb the business. They apply only if
//! load closed the gate: never to a missing or failing signal, a critical level or a pause.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Moment;
use crate::verdict::{Reason, ReliefKind, ReliefNote};

/// The configured exceptions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reliefs {
    /// A little work after a long time without idleness.
    pub trickle: Option<Trickle>,
    /// Work within fixed times.
    pub windows: Vec<Window>,
}

/// A little work after a long time without idleness.
#[derive(Debug, Clone, PartialEq)]
pub struct Trickle {
    /// Minimum time without idleness.
    pub after: Duration,
    /// The duty, above 0 and below 1.
    pub duty: f64,
    /// Who is accountable.
    pub actor: Arc<str>,
    /// The stated reason.
    pub reason: Arc<str>,
}

/// Work between two times because of a deadline.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The start.
    pub from: Timestamp,
    /// The end, exclusive.
    pub until: Timestamp,
    /// The duty, above 0 and below 1.
    pub duty: f64,
    /// Who is accountable.
    pub actor: Arc<str>,
    /// The stated reason.
    pub reason: Arc<str>,
}

/// An exception in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Relief {
    /// Which kind.
    pub kind: ReliefKind,
    /// The duty.
    pub duty: f64,
    /// Who is accountable.
    pub actor: Arc<str>,
    /// The stated reason.
    pub reason: Arc<str>,
}

impl Relief {
    pub(crate) fn into_note(self, overrules: &Reason) -> ReliefNote {
        ReliefNote {
            kind: self.kind,
            actor: self.actor,
            reason: self.reason,
            overrules: overrules.to_string().into(),
        }
    }
}

impl Reliefs {
    /// Returns the exception in force; a window takes precedence over the trickle.
    #[must_use]
    pub fn in_force(&self, not_idle_since: Moment, now: Moment) -> Option<Relief> {
        let in_window = |window: &&Window| (window.from..window.until).contains(&now.wall);
        if let Some(window) = self.windows.iter().find(in_window) {
            return Some(Relief {
                kind: ReliefKind::Deadline,
                duty: window.duty,
                actor: window.actor.clone(),
                reason: window.reason.clone(),
            });
        }
        let trickle = self.trickle.as_ref()?;
        let closed_for = now.mono.saturating_sub(not_idle_since.mono);
        (closed_for >= trickle.after).then(|| Relief {
            kind: ReliefKind::Trickle,
            duty: trickle.duty,
            actor: trickle.actor.clone(),
            reason: trickle.reason.clone(),
        })
    }
}
