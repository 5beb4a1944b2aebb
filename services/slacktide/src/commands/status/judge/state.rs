//! How a lane can stand, in words.

use serde::Serialize;

/// How a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Rows move.
    Flowing,
    /// There is nothing that has not moved.
    CaughtUp,
    /// The core is busy.
    WaitingForSlack,
    /// By an operator's order.
    Held,
    /// Rows may move, but "caught up" cannot be claimed: a check failed, or could not be made.
    Unverified,
    /// Somebody has to act.
    Stopped,
    /// The other side has not done its part for a while.
    OtherSideBehind,
    /// This side has not.
    Behind,
    /// This side's agent does not run.
    NotRunning,
    /// Nothing can be seen.
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

    /// Whether somebody has to act before the lane goes on, or before it can be called caught up.
    pub(crate) fn needs_action(self) -> bool {
        matches!(self, Self::Stopped | Self::Unverified)
    }

    /// In words.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Flowing => "flowing",
            Self::CaughtUp => "caught up",
            Self::WaitingForSlack => "waiting for slack",
            Self::Held => "held",
            Self::Unverified => "unverified",
            Self::Stopped => "stopped",
            Self::OtherSideBehind => "other side behind",
            Self::Behind => "this side behind",
            Self::NotRunning => "not running",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nobody has to look.
    pub(crate) fn is_well(self) -> bool {
        matches!(
            self,
            Self::Flowing | Self::CaughtUp | Self::WaitingForSlack | Self::Held
        )
    }
}

/// One lane, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Judged {
    /// Its name.
    pub(crate) lane: String,
    /// How it stands.
    pub(crate) state: State,
    /// Why; empty where the state says it all.
    pub(crate) why: String,
    /// What to do; empty: nothing.
    pub(crate) to_do: String,
    /// Chunks that are not signed for; none: not known.
    pub(crate) lag_chunks: Option<u64>,
    /// Since when the last of them waits, in seconds.
    pub(crate) lag_seconds: Option<i64>,
}

/// A state with why and what to do, where one was found.
pub(super) type Found = Option<(State, String, String)>;
