//! PURE: how the chunk that completes a resynchronisation treats rows that were not sent again.
//!
//! A resynchronisation sends a feed again from its start, in a new epoch. Every row of that epoch has the epoch in
//! its chunk number. So once all of it is stored, rows of an earlier epoch are gone at the source. They are removed
//! with the completing chunk, in its transaction.
//!
//! Nothing is removed while a row of the feed may be missing in the epoch without being gone: a row that the source
//! could not send or that a hold keeps back, and a row in quarantine here, also of an earlier epoch, because its
//! later release would restore a removed row.

use schemas::manifest::{Cause, Manifest, Repair, Resync};

use crate::chunk_number::ChunkNumber;
use crate::frontier::Frontier;

/// What a chunk does to rows of earlier epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Nothing: it neither opens nor completes a resynchronisation.
    None,
    /// It opens a resynchronisation: until its end, rows may be here that are gone at the source.
    Begins,
    /// It must wait until every earlier chunk is stored.
    Waits,
    /// The rows are kept, because not all of them are known to be gone.
    Kept,
    /// The rows are removed.
    Removes,
    /// It repairs rows: the other rows of its keys are removed.
    Repairs(Repair),
    /// It opens an epoch that continues with another source: until a comparison shows that they are equal, rows may differ.
    AwaitsComparison,
}

impl Removal {
    /// Returns the removal after the rows of its transaction were stored with this number of refused rows, whose
    /// older versions stay.
    #[must_use]
    pub fn after_rows(self, refused: u64) -> Self {
        match self {
            Self::Removes if refused > 0 => Self::Kept,
            Self::Repairs(_) if refused > 0 => Self::None,
            other => other,
        }
    }
}

/// Decides for a chunk with this number.
#[must_use]
pub fn removal(resync: Option<Resync>, chunk_number: ChunkNumber, frontier: &Frontier) -> Removal {
    let Some(resync) = resync else {
        return Removal::None;
    };
    if !resync.is_complete {
        let is_opening = chunk_number.number == 1;
        return if is_opening {
            Removal::Begins
        } else {
            Removal::None
        };
    }
    if !is_next(chunk_number, frontier) {
        return Removal::Waits;
    }
    if resync.excluded_rows > 0 || frontier.lowest_quarantined.is_some() {
        return Removal::Kept;
    }
    Removal::Removes
}

/// Returns whether every chunk before this one is stored. A chunk that removes rows waits for that: an older chunk would put them back.
#[must_use]
pub fn is_next(chunk_number: ChunkNumber, frontier: &Frontier) -> bool {
    let before = ChunkNumber {
        number: chunk_number.number.saturating_sub(1),
        ..chunk_number
    };
    frontier.chunk_number() == before
}

/// Decides for a chunk that an operator has stored again. Its rows of earlier epochs were removed when it was first
/// stored, so the current ones were added by others. They stay if they had to stay then, or if another
/// resynchronisation has begun.
#[must_use]
pub fn removal_again(resync: Option<Resync>, frontier: &Frontier) -> Removal {
    let completes = resync.is_some_and(|resync| resync.is_complete && resync.excluded_rows == 0);
    if completes && frontier.unfinished_removal.is_none() {
        Removal::Removes
    } else {
        Removal::None
    }
}

/// Decides for a chunk's manifest.
#[must_use]
pub fn removal_of(manifest: &Manifest, frontier: &Frontier, is_again: bool) -> Removal {
    if let Some(repair) = &manifest.repair {
        if is_again || is_next(ChunkNumber::from_manifest(manifest), frontier) {
            Removal::Repairs(repair.clone())
        } else {
            Removal::Waits
        }
    } else if manifest
        .opening
        .as_ref()
        .is_some_and(|opening| opening.cause == Cause::Comparison)
    {
        if is_again {
            Removal::None
        } else {
            Removal::AwaitsComparison
        }
    } else if is_again {
        removal_again(manifest.resync, frontier)
    } else {
        removal(manifest.resync, ChunkNumber::from_manifest(manifest), frontier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32, number: u64) -> ChunkNumber {
        ChunkNumber { epoch, number }
    }

    fn frontier(epoch: u32, number: u64) -> Frontier {
        Frontier {
            number,
            ..Frontier::begin(epoch, None)
        }
    }

    const fn complete(excluded_rows: u64) -> Option<Resync> {
        Some(Resync {
            excluded_rows,
            is_complete: true,
        })
    }

    #[test]
    fn resync_removes_only_after_all_earlier_chunks() {
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
    fn resync_stored_again_removes_rows_added_by_others() {
        let under_way = Some(Resync::default());
        let again = |resync| removal_again(resync, &frontier(2, 1));
        assert_eq!(again(complete(0)), Removal::Removes);
        assert_eq!(again(complete(1)), Removal::None);
        assert_eq!((again(under_way), again(None)), (Removal::None, Removal::None));
        let kept = Frontier {
            unfinished_removal: Some(at(2, 5)),
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
