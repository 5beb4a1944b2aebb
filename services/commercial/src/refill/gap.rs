//! PURE: what the exchange does not keep any more, so that only the bureau can send it again.

use std::collections::BTreeMap;
use std::fmt;

use schemas::manifest::Link;
use store::merge::Place;

/// Chunks that the exchange does not keep any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub from: Place,
    /// The first chunk behind them that is kept; `None` where none is.
    pub until: Option<Place>,
}

impl Gap {
    /// Whether a chunk is one of them.
    #[must_use]
    pub fn contains(&self, place: Place) -> bool {
        place >= self.from && self.until.is_none_or(|until| place < until)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { epoch, number } = self.from;
        let Some(until) = self.until else {
            return write!(f, "chunks from {epoch}.{number} on");
        };
        match until.number.saturating_sub(1) {
            last if epoch == until.epoch && number == last => write!(f, "chunk {epoch}.{last}"),
            last if epoch == until.epoch => write!(f, "chunks {epoch}.{number} to {epoch}.{last}"),
            _ => write!(
                f,
                "chunks from {epoch}.{number} up to before {}.{}",
                until.epoch, until.number
            ),
        }
    }
}

/// Finds what is missing while the chunks of a lane are read in the order of the exchange, by the numbers and by what each
/// opening goes on from.
#[derive(Debug, Clone)]
pub struct Gaps {
    /// Everything up to here is held, or not asked for.
    held: Place,
    /// The last number of each epoch that was read.
    last: BTreeMap<u32, u64>,
    found: Vec<Gap>,
}

impl Gaps {
    /// Begins before the first chunk that is needed.
    #[must_use]
    pub fn before(needed: Place) -> Self {
        Self {
            held: Place {
                number: needed.number.saturating_sub(1),
                ..needed
            },
            last: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// Takes the next chunk. `opening` is what it goes on from, where it opens its epoch.
    pub fn pass(&mut self, place: Place, opening: Option<Option<Link>>) {
        let before = match opening {
            Some(None) => None,
            Some(Some(link)) => Some(Place::of_link(&link)),
            None => Some(Place {
                number: place.number.saturating_sub(1),
                ..place
            }),
        };
        if let Some(from) = before.and_then(|before| self.missing(before)) {
            let until = Some(place);
            self.found.push(Gap { from, until });
        }
        let last = self.last.entry(place.epoch).or_default();
        *last = place.number.max(*last);
    }

    /// The first chunk that is missing, where this one is.
    fn missing(&self, place: Place) -> Option<Place> {
        if place <= self.held {
            return None;
        }
        let held = (place.epoch == self.held.epoch).then_some(self.held.number);
        let last = self.last.get(&place.epoch).copied().max(held);
        if last.is_some_and(|last| last >= place.number) {
            return None;
        }
        let at = match last {
            Some(number) => Place { number, ..place },
            None if self.last.is_empty() => self.held,
            None => Place { number: 0, ..place },
        };
        Some(Place {
            number: at.number + 1,
            ..at
        })
    }

    /// Everything was read, and these are awaited still: those behind the last chunk are not kept.
    pub fn end(&mut self, awaited: &[Place]) {
        let last = self.last();
        let behind = awaited.iter().copied().filter(|place| Some(*place) > last);
        let until = None;
        self.found.extend(behind.min().map(|from| Gap { from, until }));
    }

    /// Everything was read and nothing is known to be missing, and the store holds everything only up to here: what follows at
    /// the exchange is another history, of which nothing counts.
    pub fn reach(&mut self, place: Place, begins: Place) {
        if self.missed(begins).is_empty() && Some(place) < self.last() {
            let number = place.number + 1;
            let (from, until) = (Place { number, ..place }, None);
            self.found.push(Gap { from, until });
        }
    }

    /// The last chunk that was read.
    fn last(&self) -> Option<Place> {
        let place = |(epoch, number): (&u32, &u64)| Place {
            epoch: *epoch,
            number: *number,
        };
        self.last.last_key_value().map(place)
    }

    /// Returns what was found.
    #[must_use]
    pub fn all(&self) -> &[Gap] {
        &self.found
    }

    /// Returns what is missed still. `begins` is the first chunk that counts once everything was read: behind it everything was
    /// sent again.
    #[must_use]
    pub fn missed(&self, begins: Place) -> Vec<Gap> {
        let matters = |gap: &&Gap| gap.until.is_none_or(|until| until > begins);
        self.found.iter().filter(matters).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::digest::Digest;

    const fn at(epoch: u32, number: u64) -> Place {
        Place { epoch, number }
    }

    /// An opening that goes on from this chunk.
    fn from(epoch: u32, number: u64) -> Option<Option<Link>> {
        Some(Some(Link {
            epoch,
            number,
            digest: Digest([0; 32]),
        }))
    }

    fn found(needed: Place, chunks: &[(Place, Option<Option<Link>>)]) -> Gaps {
        let mut gaps = Gaps::before(needed);
        for (place, opening) in chunks {
            gaps.pass(*place, *opening);
        }
        gaps
    }

    fn words(needed: Place, chunks: &[(Place, Option<Option<Link>>)]) -> String {
        let gaps = found(needed, chunks);
        let told: Vec<String> = gaps.all().iter().map(Gap::to_string).collect();
        told.join(", ")
    }

    #[test]
    fn gap_names_the_chunks_that_are_not_kept() {
        assert_eq!(words(at(1, 4), &[(at(1, 4), None), (at(1, 5), None)]), "");
        assert_eq!(words(at(1, 4), &[(at(1, 2), None), (at(1, 3), None)]), "");
        assert_eq!(words(at(1, 4), &[(at(1, 5), None)]), "chunk 1.4");
        assert_eq!(words(at(1, 4), &[(at(1, 9), None)]), "chunks 1.4 to 1.8");
        assert_eq!(
            words(at(1, 4), &[(at(2, 3), None)]),
            "chunks from 1.4 up to before 2.3"
        );
        assert_eq!(words(at(1, 1), &[(at(1, 3), None)]), "chunks 1.1 to 1.2");
    }

    #[test]
    fn gap_before_an_opening_is_found_by_what_it_goes_on_from() {
        assert_eq!(words(at(1, 5), &[(at(2, 1), from(1, 4)), (at(2, 2), None)]), "");
        let lost = "chunks from 1.5 up to before 2.1";
        assert_eq!(words(at(1, 5), &[(at(2, 1), from(1, 6))]), lost);
        // The exchange was put back, and what the store had signed for is not there any more.
        let put_back = [
            (at(1, 1), None),
            (at(1, 2), None),
            (at(2, 1), from(1, 4)),
            (at(2, 2), None),
        ];
        assert_eq!(words(at(1, 1), &put_back), "chunks from 1.3 up to before 2.1");
        // It goes on from before what was needed first.
        assert_eq!(words(at(2, 4), &[(at(2, 4), None), (at(3, 1), from(1, 9))]), "");
        assert_eq!(
            words(at(1, 1), &[(at(1, 1), None), (at(2, 3), None)]),
            "chunks 2.1 to 2.2"
        );
    }

    #[test]
    fn gap_before_everything_was_sent_again_is_not_missed() {
        let chunks = [(at(2, 1), from(1, 7)), (at(2, 2), None), (at(3, 1), Some(None))];
        let gaps = found(at(1, 1), &chunks);
        let gap = Gap {
            from: at(1, 1),
            until: Some(at(2, 1)),
        };
        assert_eq!(gaps.all(), [gap]);
        assert!(gap.contains(at(1, 7)) && !gap.contains(at(2, 1)));
        assert_eq!(gaps.missed(at(1, 1)), [gap]);
        assert_eq!(gaps.missed(at(3, 1)), []);
        assert_eq!(words(at(1, 4), &[(at(2, 1), Some(None))]), "");
    }

    #[test]
    fn gap_at_the_end_is_what_is_awaited_behind_the_last_chunk() {
        let read = [(at(1, 1), None), (at(1, 2), None)];
        let mut gaps = found(at(1, 1), &read);
        gaps.end(&[at(1, 2)]);
        assert_eq!(gaps.all(), []);
        gaps.end(&[at(1, 2), at(2, 1), at(2, 2)]);
        let told: Vec<String> = gaps.missed(at(1, 1)).iter().map(Gap::to_string).collect();
        assert_eq!(told, ["chunks from 2.1 on"]);
        assert!(gaps.all()[0].contains(at(2, 7)));
    }

    #[test]
    fn gap_before_another_history_is_everything_that_the_store_does_not_hold() {
        let mut gaps = found(at(1, 1), &[(at(1, 1), None), (at(1, 2), None)]);
        gaps.reach(at(1, 2), at(1, 1));
        assert_eq!(gaps.all(), []);
        gaps.reach(at(1, 0), at(1, 1));
        assert_eq!(gaps.all()[0].to_string(), "chunks from 1.1 on");
    }
}
