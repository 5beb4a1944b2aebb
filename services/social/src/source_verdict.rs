//! PURE: whether a lane may be read on from the source as it is now.

use schemas::source::SourceMark;
use source::identity::changed;

/// What a look at the source says of one lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceVerdict {
    /// The source holds nothing at the lane's position, and an operator accepted that: it is shown.
    pub shows_beyond: bool,
    /// Why nothing may be read for the lane any more; `None`: it may.
    pub stops: Option<String>,
}

/// Judges for one lane. `before` is the database that it was read from last, `None` where any may be read. `is_beyond` says
/// that the source's greatest position is below the lane's, `is_accepted` that an operator accepted just that.
#[must_use]
pub fn judge(
    before: Option<&SourceMark>,
    now: &SourceMark,
    is_beyond: bool,
    is_accepted: bool,
) -> SourceVerdict {
    let is_refused = is_beyond && !is_accepted;
    let change = before.and_then(|before| changed(before, now));
    SourceVerdict {
        shows_beyond: is_beyond && is_accepted,
        stops: change
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

    fn mark(system: &str) -> SourceMark {
        SourceMark {
            system: Some(system.to_owned()),
            ..SourceMark::default()
        }
    }

    #[test]
    fn source_that_changed_or_went_backwards_stops_a_lane() {
        let (one, two) = (mark("one"), mark("two"));
        let stops = |before, is_beyond, is_accepted| judge(before, &two, is_beyond, is_accepted).stops;
        assert_eq!(stops(Some(&two), false, false), None);
        assert_eq!(stops(None, false, false), None);
        let why = stops(Some(&one), false, true).unwrap();
        assert!(why.contains("another database server"), "{why}");
        let why = stops(None, true, false).unwrap();
        assert!(why.contains("went backwards"), "{why}");
    }

    #[test]
    fn source_accepted_below_the_lane_is_shown_and_read() {
        let same = mark("one");
        let shown = SourceVerdict {
            shows_beyond: true,
            stops: None,
        };
        assert_eq!(judge(Some(&same), &same, true, true), shown);
        assert_eq!(judge(Some(&same), &same, false, true), SourceVerdict::default());
    }
}
