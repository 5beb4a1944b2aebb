//! The states of a lane.

use schemars::JsonSchema;
use serde::Serialize;

/// The state of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Rows move.
    Flowing,
    /// Everything is moved.
    CaughtUp,
    /// The core is busy.
    WaitingForSlack,
    /// An operator's hold stops the lane.
    Held,
    /// Rows may move, but "caught up" cannot be claimed: a check failed, or could not be made.
    Unverified,
    /// An operator must act.
    Stopped,
    /// The other side has not done its part for a while.
    OtherSideBehind,
    /// This side has not.
    Behind,
    /// This side's agent does not run.
    NotRunning,
    /// The lane cannot be read.
    Unknown,
}

impl State {
    /// Every state, in the order of urgency.
    pub(crate) const ALL: [Self; 10] = [
        Self::Stopped,
        Self::Held,
        Self::Unknown,
        Self::OtherSideBehind,
        Self::Behind,
        Self::NotRunning,
        Self::Unverified,
        Self::WaitingForSlack,
        Self::CaughtUp,
        Self::Flowing,
    ];

    /// Whether an operator must act before the lane continues or can be called caught up.
    pub(crate) fn needs_action(self) -> bool {
        matches!(self, Self::Stopped | Self::Unverified)
    }

    /// The state as text.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Flowing => "flowing",
            Self::CaughtUp => "caught up",
            Self::WaitingForSlack => "waiting for slack",
            Self::Held => "held",
            Self::Unverified => "unverified",
            Self::Stopped => "stopped",
            Self::OtherSideBehind => "other side behind",
            Self::Behind => "behind",
            Self::NotRunning => "not running",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the lane needs no attention.
    pub(crate) fn is_well(self) -> bool {
        matches!(
            self,
            Self::Flowing | Self::CaughtUp | Self::WaitingForSlack | Self::Held
        )
    }
}

/// The state of a lane with cause and remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JudgedLane {
    /// The lane's name.
    pub(crate) lane: String,
    /// The state.
    pub(crate) state: State,
    /// The cause; empty if the state is self-explanatory.
    pub(crate) why: String,
    /// The remedy; empty: nothing to do.
    pub(crate) remedy: String,
    /// Chunks without a receipt; `None`: not known.
    pub(crate) lag_chunks: Option<u64>,
    /// How long the last of them waits, in seconds.
    pub(crate) lag_seconds: Option<i64>,
}

/// State, cause and remedy, or `None` if a check finds nothing.
pub(super) type Verdict = Option<(State, String, String)>;
