//! PURE: what the chunk that completes a resynchronisation does to rows that did not come again.
//!
//! A resynchronisation sends a feed again from its start, in an epoch of its own. Every row of that epoch keeps its place, so
//! once all of it is stored, rows of an earlier epoch are those that are gone at the source. They are removed with the
//! completing chunk, in its transaction.
//!
//! Nothing is removed while a row of the feed may be missing in the epoch without being gone: one that the source could not
//! give or a hold keeps back, and one that is in quarantine here, also of an earlier epoch: released later, its chunk would
//! bring back what was removed.

use schemas::manifest::{Manifest, Resync};

use crate::frontier::Frontier;
use crate::merge::Place;

/// What a chunk does to rows of earlier epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Nothing: it neither opens nor completes a resynchronisation.
    None,
    /// It opens one: until its end rows may be here that are gone at the source.
    Begins,
    /// It has to wait until every chunk before it is stored.
    Waits,
    /// They stay, because not all of them are known to be gone.
    Kept,
    /// They are removed.
    Removes,
}

impl Removal {
    /// The same once the rows of its transaction were stored, of which so many were refused: their older versions stay.
    #[must_use]
    pub fn after_rows(self, refused: u64) -> Self {
        match self {
            Self::Removes if refused > 0 => Self::Kept,
            other => other,
        }
    }
}

/// Decides for a chunk of this place.
#[must_use]
pub fn removal(resync: Option<Resync>, place: Place, frontier: &Frontier) -> Removal {
    let Some(resync) = resync else {
        return Removal::None;
    };
    if !resync.is_complete {
        let is_opening = place.number == 1;
        return if is_opening {
            Removal::Begins
        } else {
            Removal::None
        };
    }
    let before = Place {
        number: place.number.saturating_sub(1),
        ..place
    };
    if frontier.place() != before {
        return Removal::Waits;
    }
    if resync.kept_back > 0 || frontier.lowest_quarantined.is_some() {
        return Removal::Kept;
    }
    Removal::Removes
}

/// Decides for a chunk that is stored again, by an operator's order. Rows of earlier epochs were gone when it was stored first:
/// those that are there now were put back by others. Where they had to stay, or another resynchronisation has begun, they stay.
#[must_use]
pub fn removal_again(resync: Option<Resync>, frontier: &Frontier) -> Removal {
    let completes = resync.is_some_and(|resync| resync.is_complete && resync.kept_back == 0);
    if completes && frontier.unremoved.is_none() {
        Removal::Removes
    } else {
        Removal::None
    }
}

/// The same for a chunk's manifest.
#[must_use]
pub fn removal_of(manifest: &Manifest, frontier: &Frontier, is_again: bool) -> Removal {
    if is_again {
        removal_again(manifest.resync, frontier)
    } else {
        removal(manifest.resync, Place::of_manifest(manifest), frontier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32, number: u64) -> Place {
        Place { epoch, number }
    }

    fn frontier(epoch: u32, number: u64) -> Frontier {
        Frontier {
            number,
            ..Frontier::begin(epoch, None)
        }
    }

    const fn complete(kept_back: u64) -> Option<Resync> {
        Some(Resync {
            kept_back,
            is_complete: true,
        })
    }

    #[test]
    fn resync_removes_only_when_everything_before_it_is_stored() {
        assert_eq!(removal(complete(0), at(2, 5), &frontier(2, 4)), Removal::Removes);
        for early in [frontier(2, 3), frontier(1, 4), frontier(1, 9)] {
            assert_eq!(
                removal(complete(0), at(2, 5), &early),
                Removal::Waits,
                "{early:?}"
            );
        }
    }

    #[test]
    fn resync_under_way_and_other_chunks_remove_nothing() {
        let under_way = Some(Resync::default());
        for resync in [None, under_way] {
            assert_eq!(removal(resync, at(2, 5), &frontier(2, 4)), Removal::None);
        }
        assert_eq!(removal(under_way, at(2, 1), &frontier(1, 4)), Removal::Begins);
    }

    #[test]
    fn resync_stored_again_removes_what_others_put_back() {
        let under_way = Some(Resync::default());
        let again = |resync| removal_again(resync, &frontier(2, 1));
        assert_eq!(again(complete(0)), Removal::Removes);
        assert_eq!(again(complete(1)), Removal::None);
        assert_eq!((again(under_way), again(None)), (Removal::None, Removal::None));
        let kept = Frontier {
            unremoved: Some(at(2, 5)),
            ..frontier(2, 1)
        };
        assert_eq!(removal_again(complete(0), &kept), Removal::None);
    }

    #[test]
    fn resync_removes_nothing_when_a_row_of_its_end_is_refused() {
        assert_eq!(Removal::Removes.after_rows(0), Removal::Removes);
        assert_eq!(Removal::Removes.after_rows(1), Removal::Kept);
        assert_eq!(Removal::None.after_rows(1), Removal::None);
    }

    #[test]
    fn resync_removes_nothing_while_a_row_may_be_missing() {
        assert_eq!(removal(complete(1), at(2, 5), &frontier(2, 4)), Removal::Kept);
        let quarantined = Frontier {
            lowest_quarantined: Some(at(1, 1)),
            ..frontier(2, 4)
        };
        assert_eq!(removal(complete(0), at(2, 5), &quarantined), Removal::Kept);
    }
}
