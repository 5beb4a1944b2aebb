//! PURE: decides whether a lane may continue with the source as it is now.

use schemas::source::SourceIdentity;
use source::identity::detect_change;

/// The verdict on the source for one lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceVerdict {
    /// Whether to show that the lane's position is beyond the source's greatest one, which an operator accepted.
    pub shows_beyond: bool,
    /// Why the lane must stop; `None` if it may continue.
    pub stop_reason: Option<String>,
}

/// Evaluates the source for one lane. `before` is the database that the lane was last read from, `None` if any may be read.
/// `is_beyond`: the source's greatest position is below the lane's. `is_accepted`: an operator accepted that.
#[must_use]
pub fn evaluate(
    before: Option<&SourceIdentity>,
    now: &SourceIdentity,
    is_beyond: bool,
    is_accepted: bool,
) -> SourceVerdict {
    let is_refused = is_beyond && !is_accepted;
    let change = before.and_then(|before| detect_change(before, now));
    SourceVerdict {
        shows_beyond: is_beyond && is_accepted,
        stop_reason: change
            .map(|change| change.to_string())
            .or_else(|| is_refused.then(went_backwards)),
    }
}

fn went_backwards() -> String {
    "it went backwards: its greatest position is below the lane's, so rows are gone and their positions may be used again"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(system: &str) -> SourceIdentity {
        SourceIdentity {
            system: Some(system.to_owned()),
            ..SourceIdentity::default()
        }
    }

    #[test]
    fn source_verdict_changed_or_rolled_back_source_stops_a_lane() {
        let (one, two) = (mark("one"), mark("two"));
        let stop_reason =
            |before, is_beyond, is_accepted| evaluate(before, &two, is_beyond, is_accepted).stop_reason;
        assert_eq!(stop_reason(Some(&two), false, false), None);
        assert_eq!(stop_reason(None, false, false), None);
        let why = stop_reason(Some(&one), false, true).unwrap();
        assert!(why.contains("another database server"), "{why}");
        let why = stop_reason(None, true, false).unwrap();
        assert!(why.contains("went backwards"), "{why}");
    }

    #[test]
    fn source_accepted_below_the_lane_is_shown_and_read() {
        let same = mark("one");
        let shown = SourceVerdict {
            shows_beyond: true,
            stop_reason: None,
        };
        assert_eq!(evaluate(Some(&same), &same, true, true), shown);
        assert_eq!(
            evaluate(Some(&same), &same, false, true),
            SourceVerdict::default()
        );
    }
}
