//! Reasons why "caught up" cannot be claimed.
//!
//! "Caught up" is a claim that needs evidence: that no row is behind the position that was read, that the source and the
//! store are the ones that were read and written before. Where evidence is missing, a lane is `unverified`, with each reason,
//! on every surface. A reason stays until the check that set it succeeds.

use std::collections::BTreeMap;

use serde::Serialize;

/// One reason why "caught up" cannot be claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnverifiedReason {
    /// What is not known, and why. It names no value of a row.
    pub detail: String,
    /// What an operator can do.
    pub remedy: String,
}

/// The reasons of one feed or lane, by code.
///
/// A code is a `snake_case` word that monitoring may rely on, such as `clock_behind`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Unverified(BTreeMap<&'static str, UnverifiedReason>);

impl Unverified {
    /// Adds or replaces the reason of a code. Returns whether the code was not there before.
    pub fn set(&mut self, code: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> bool {
        let reason = UnverifiedReason {
            detail: detail.into(),
            remedy: remedy.into(),
        };
        self.0.insert(code, reason).is_none()
    }

    /// Removes the reason of a code, because its check succeeded. Returns whether it was there.
    pub fn clear(&mut self, code: &str) -> bool {
        self.0.remove(code).is_some()
    }

    /// Whether every check succeeded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reasons, ordered by code.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &UnverifiedReason)> {
        self.0.iter().map(|(code, reason)| (*code, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unverified_reason_stays_until_its_own_code_is_cleared() {
        let mut unverified = Unverified::default();
        assert!(unverified.set("clock_behind", "the clock is 20 s behind", "set the clock"));
        assert!(!unverified.set("clock_behind", "the clock is 19 s behind", "set the clock"));
        assert!(unverified.set("source_changed", "another server", "resync"));
        assert!(unverified.clear("source_changed") && !unverified.clear("source_changed"));
        let details: Vec<&str> = unverified
            .iter()
            .map(|(_, reason)| reason.detail.as_str())
            .collect();
        assert_eq!(details, ["the clock is 19 s behind"]);
        assert!(!unverified.is_empty());
    }
}
