//! The steps of a request as JSON.

use requests::status::{Clock, State, Step};
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::Time;

/// A step in a request's life.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct StepItem {
    /// `filed`, `stored`, `waits_for_approval`, `taken`, `held`, `answering`, an outcome, `delivered` or `stored_by_insurer`.
    state: String,
    /// When it began.
    at: Time,
    clock: ClockName,
    #[serde(flatten)]
    details: Details,
}

/// The clock of a time.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClockName {
    /// The filer's.
    Filer,
    /// The exchange's.
    Exchange,
    /// The responder's.
    Responder,
    /// The insurer's agent's.
    Receiver,
}

impl From<Clock> for ClockName {
    fn from(clock: Clock) -> Self {
        match clock {
            Clock::Filer => Self::Filer,
            Clock::Exchange => Self::Exchange,
            Clock::Responder => Self::Responder,
            Clock::Receiver => Self::Receiver,
        }
    }
}

/// What a state reports; a state that does not report a detail leaves it out.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Details {
    /// Officers who granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<u32>,
    /// Officers who must grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    needed: Option<u32>,
    /// The number of the attempt to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Parts so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    /// Rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// Rows in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<u64>,
    /// The code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The earliest time to file the request again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Time>,
}

impl From<&State> for Details {
    fn from(state: &State) -> Self {
        let none = Self::default();
        match state.clone() {
            State::WaitsForApproval { granted, needed } => Self {
                granted: Some(granted),
                needed: Some(needed),
                ..none
            },
            State::Held { reason } | State::Failed { reason } => Self {
                reason: Some(reason),
                ..none
            },
            State::Answering { attempt, parts, rows } => Self {
                attempt: Some(attempt),
                parts: Some(parts),
                rows: Some(rows),
                ..none
            },
            State::Answered { rows } => Self {
                rows: Some(rows),
                ..none
            },
            State::Partial { rows, reason } => Self {
                rows: Some(rows),
                reason: Some(reason),
                ..none
            },
            State::Refused {
                code,
                reason,
                retry_at,
            } => Self {
                code: Some(code.to_string()),
                reason: Some(reason),
                retry_at: retry_at.map(Time),
                ..none
            },
            State::StoredByInsurer { rows, quarantined } => Self {
                rows: Some(rows),
                quarantined: Some(quarantined),
                ..none
            },
            State::Filed
            | State::Stored
            | State::Taken
            | State::Empty
            | State::Expired
            | State::Cancelled
            | State::Delivered => none,
        }
    }
}

impl From<&Step> for StepItem {
    fn from(step: &Step) -> Self {
        Self {
            state: step.state.name().to_owned(),
            at: step.at.into(),
            clock: step.clock.into(),
            details: Details::from(&step.state),
        }
    }
}
