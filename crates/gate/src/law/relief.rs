//! PURE: what may be worked although the core is never idle.
//!
//! Off unless configured, and always with a name and a reason, for it disturbs the business. It
//! loosens only what load shut: never a missing or failing signal, a critical level or a pause.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Moment;
use crate::verdict::Reason;

/// All reliefs that are configured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reliefs {
    /// After so long without idleness, a little.
    pub trickle: Option<Trickle>,
    /// Between two times, in any case.
    pub windows: Vec<Window>,
}

/// A little work after a long time without idleness.
#[derive(Debug, Clone, PartialEq)]
pub struct Trickle {
    /// How long there must have been no idleness.
    pub after: Duration,
    /// The duty, above 0 and below 1.
    pub duty: f64,
    /// Who answers for it.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

/// Work between two times, because a deadline is near.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// From.
    pub from: Timestamp,
    /// Until, exclusive.
    pub until: Timestamp,
    /// The duty, above 0 and below 1.
    pub duty: f64,
    /// Who answers for it.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

/// What kind of relief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReliefKind {
    /// A trickle.
    Trickle,
    /// A deadline's window.
    Deadline,
}

/// A relief in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Relief {
    /// Which kind.
    pub kind: ReliefKind,
    /// The duty.
    pub duty: f64,
    /// Who answers for it.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

/// A relief and what it overrules.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Which kind.
    pub kind: ReliefKind,
    /// Who answers for it.
    pub actor: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// What would have kept the gate shut.
    pub overrules: Arc<str>,
}

impl Relief {
    pub(super) fn into_note(self, overrules: &Reason) -> Note {
        Note {
            kind: self.kind,
            actor: self.actor,
            reason: self.reason,
            overrules: overrules.to_string().into(),
        }
    }
}

impl Reliefs {
    /// The relief in force, if any: a window before the trickle.
    #[must_use]
    pub fn at(&self, not_idle_since: Moment, now: Moment) -> Option<Relief> {
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
        let shut_for = now.mono.saturating_sub(not_idle_since.mono);
        (shut_for >= trickle.after).then(|| Relief {
            kind: ReliefKind::Trickle,
            duty: trickle.duty,
            actor: trickle.actor.clone(),
            reason: trickle.reason.clone(),
        })
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            ReliefKind::Trickle => "a trickle",
            ReliefKind::Deadline => "a deadline's window",
        };
        write!(
            f,
            "{kind} by {} ({}) in spite of: {}",
            self.actor, self.reason, self.overrules
        )
    }
}
