//! The steps of a request's life.

use jiff::Timestamp;
use schemas::progress::Waiting;
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome;
use serde::Serialize;

use super::Known;

/// What a request is or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Somebody handed it in; the exchange does not hold it yet.
    Filed,
    /// The exchange holds it, and the bureau has said nothing yet.
    Stored,
    /// Officers have to grant it.
    WaitsForApproval {
        /// Officers who granted.
        granted: u32,
        /// Officers who have to.
        needed: u32,
    },
    /// In the bureau's queue.
    Taken,
    /// It stands still.
    Held {
        /// Why.
        reason: String,
    },
    /// The source is being read for it.
    Answering {
        /// Which attempt it is.
        attempt: u32,
        /// Parts stored so far.
        parts: u32,
        /// Rows in them.
        rows: u64,
    },
    /// Answered in full.
    Answered {
        /// Rows.
        rows: u64,
    },
    /// Allowed, and there is nothing.
    Empty,
    /// Answered in part.
    Partial {
        /// Rows.
        rows: u64,
        /// Why not all.
        reason: String,
    },
    /// Not answered, by policy.
    Refused {
        /// For programs.
        code: RefusalCode,
        /// For people.
        reason: String,
        /// From when on it may be asked again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// Its deadline passed first.
    Expired,
    /// Cancelled by the party that asked.
    Cancelled,
    /// Given up after retries.
    Failed {
        /// Why.
        reason: String,
    },
    /// The insurer's agent has fetched the outcome.
    Delivered,
    /// The insurer's database holds it.
    StoredByInsurer {
        /// Rows that are stored.
        rows: u64,
        /// Rows that are kept aside in quarantine.
        quarantined: u64,
    },
}

/// Whose clock a time is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Of whoever filed it.
    Filer,
    /// Of the exchange.
    Exchange,
    /// Of the bureau's responder.
    Responder,
    /// Of the insurer's agent.
    Receiver,
}

/// One step, with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is.
    #[serde(flatten)]
    pub state: State,
    /// Since when.
    pub at: Timestamp,
    /// By whose clock.
    pub clock: Clock,
}

impl State {
    /// Its name in tables and in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Filed => "filed",
            Self::Stored => "stored",
            Self::WaitsForApproval { .. } => "waits_for_approval",
            Self::Taken => "taken",
            Self::Held { .. } => "held",
            Self::Answering { .. } => "answering",
            Self::Answered { .. } => "answered",
            Self::Empty => "empty",
            Self::Partial { .. } => "partial",
            Self::Refused { .. } => "refused",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Failed { .. } => "failed",
            Self::Delivered => "delivered",
            Self::StoredByInsurer { .. } => "stored_by_insurer",
        }
    }

    /// Whether it is the final outcome.
    #[must_use]
    pub fn is_outcome(&self) -> bool {
        matches!(
            self,
            Self::Answered { .. }
                | Self::Empty
                | Self::Partial { .. }
                | Self::Refused { .. }
                | Self::Expired
                | Self::Cancelled
                | Self::Failed { .. }
        )
    }
}

impl From<&Outcome> for State {
    fn from(outcome: &Outcome) -> Self {
        match outcome.clone() {
            Outcome::Answered { rows, .. } => Self::Answered { rows },
            Outcome::Empty => Self::Empty,
            Outcome::Partial { rows, reason, .. } => Self::Partial { rows, reason },
            Outcome::Refused {
                code,
                reason,
                retry_at,
            } => Self::Refused {
                code,
                reason,
                retry_at,
            },
            Outcome::Expired => Self::Expired,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed { reason } => Self::Failed { reason },
        }
    }
}

impl From<&Waiting> for State {
    fn from(waiting: &Waiting) -> Self {
        match waiting.clone() {
            Waiting::Taken => Self::Taken,
            Waiting::WaitsForApproval { granted, needed } => Self::WaitsForApproval { granted, needed },
            Waiting::Held { reason } => Self::Held { reason },
            Waiting::Answering { attempt, parts, rows } => Self::Answering { attempt, parts, rows },
        }
    }
}

/// Every step that is known, in the order of a request's life.
pub(super) fn all(known: &Known<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |state, at, clock| steps.push(Step { state, at, clock });
    if let Some(request) = known.request {
        step(State::Filed, request.said.filed_at, Clock::Filer);
        step(State::Stored, request.stored_at, Clock::Exchange);
    } else if let Some(at) = known.filed_at {
        step(State::Filed, at, Clock::Filer);
    }
    if let Some(progress) = known.progress {
        let progress = progress.said;
        let state = State::from(&progress.state);
        // Whoever waits for an officer is in no queue yet.
        let (before, after): (Vec<_>, Vec<_>) = progress
            .earlier
            .iter()
            .partition(|earlier| !earlier.state.is_taken());
        for earlier in before {
            step(State::from(&earlier.state), earlier.since, Clock::Responder);
        }
        let is_taken = progress.state.is_taken() || !after.is_empty();
        if is_taken {
            step(State::Taken, progress.taken_at, Clock::Responder);
        }
        for earlier in after.iter().filter(|earlier| earlier.state != Waiting::Taken) {
            step(State::from(&earlier.state), earlier.since, Clock::Responder);
        }
        // Once there is an outcome, what it waited for last is no longer of interest; how far it came is.
        let news =
            known.reply.is_none() || matches!(state, State::Answering { .. }) || !progress.earlier.is_empty();
        let is_told = state == State::Taken && after.iter().all(|earlier| earlier.state == Waiting::Taken);
        if news && !is_told {
            step(state, progress.since, Clock::Responder);
        }
    }
    if let Some(reply) = known.reply {
        step(State::from(&reply.said.outcome), reply.stored_at, Clock::Exchange);
    }
    if let Some(confirm) = known.confirm {
        let stored = State::StoredByInsurer {
            rows: confirm.said.rows,
            quarantined: confirm.said.quarantined,
        };
        step(State::Delivered, confirm.said.delivered_at, Clock::Receiver);
        step(stored, confirm.said.stored_at, Clock::Receiver);
    }
    steps
}
