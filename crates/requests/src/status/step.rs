//! The steps of a request's life.

use jiff::Timestamp;
use schemas::progress::Waiting;
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome;
use serde::Serialize;

use super::RequestMessages;

/// A state in a request's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It was filed locally. The exchange does not hold it yet.
    Filed,
    /// The exchange holds it. The bureau has not responded.
    Stored,
    /// Officers have to grant it.
    WaitsForApproval {
        /// Officers who granted.
        granted: u32,
        /// Officers who must grant.
        needed: u32,
    },
    /// In the bureau's queue.
    Taken,
    /// It waits for the end of a hold.
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
    /// Allowed, with no rows.
    Empty,
    /// Answered in part.
    Partial {
        /// Rows.
        rows: u64,
        /// Why it is not complete.
        reason: String,
    },
    /// Not answered, by policy.
    Refused {
        /// The code, for programs.
        code: RefusalCode,
        /// The reason, for people.
        reason: String,
        /// The earliest time to file it again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// Its deadline passed before an answer.
    Expired,
    /// Cancelled by the recipient.
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
        /// Rows that are quarantined.
        quarantined: u64,
    },
}

/// The clock of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The filer's.
    Filer,
    /// The exchange's.
    Exchange,
    /// The responder's.
    Responder,
    /// The insurer's agent's.
    Receiver,
}

/// One step, with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The state.
    #[serde(flatten)]
    pub state: State,
    /// When it began.
    pub at: Timestamp,
    /// The clock of that time.
    pub clock: Clock,
}

impl State {
    /// Returns its name in tables and in JSON.
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

/// Returns all known steps, in the order of a request's life.
pub(super) fn all(known: &RequestMessages<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |state, at, clock| steps.push(Step { state, at, clock });
    if let Some(request) = known.request {
        step(State::Filed, request.message.filed_at, Clock::Filer);
        step(State::Stored, request.stored_at, Clock::Exchange);
    } else if let Some(at) = known.filed_at {
        step(State::Filed, at, Clock::Filer);
    }
    if let Some(progress) = known.progress {
        let progress = progress.message;
        let state = State::from(&progress.state);
        // A request that waits for an officer is not in the queue yet.
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
        // With an outcome, the last wait is irrelevant; the progress of the answer is not.
        let news =
            known.reply.is_none() || matches!(state, State::Answering { .. }) || !progress.earlier.is_empty();
        let is_known = state == State::Taken && after.iter().all(|earlier| earlier.state == Waiting::Taken);
        if news && !is_known {
            step(state, progress.since, Clock::Responder);
        }
    }
    if let Some(reply) = known.reply {
        step(
            State::from(&reply.message.outcome),
            reply.stored_at,
            Clock::Exchange,
        );
    }
    if let Some(confirm) = known.confirm {
        let stored = State::StoredByInsurer {
            rows: confirm.message.rows,
            quarantined: confirm.message.quarantined,
        };
        step(State::Delivered, confirm.message.delivered_at, Clock::Receiver);
        step(stored, confirm.message.stored_at, Clock::Receiver);
    }
    steps
}
