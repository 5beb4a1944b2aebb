//! PURE: finds the chunks that are missing at the exchange, which only the bureau can send again.

use std::collections::BTreeMap;
use std::fmt;

use schemas::manifest::Link;
use store::merge::ChunkNumber;

/// A range of chunks that are missing at the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub from: ChunkNumber,
    /// The first chunk after them that the exchange has; `None` if it has none.
    pub until: Option<ChunkNumber>,
}

impl Gap {
    /// Returns whether the range contains a chunk.
    #[must_use]
    pub fn contains(&self, chunk_number: ChunkNumber) -> bool {
        chunk_number >= self.from && self.until.is_none_or(|until| chunk_number < until)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChunkNumber { epoch, number } = self.from;
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

/// Finds gaps while the chunks of a lane are read in the order of the exchange: by their numbers, and by the chunk that each
/// opening continues.
#[derive(Debug, Clone)]
pub struct GapFinder {
    /// The store holds everything up to this chunk, or it was not asked.
    held: ChunkNumber,
    /// The highest number read of each epoch.
    last: BTreeMap<u32, u64>,
    found: Vec<Gap>,
}

impl GapFinder {
    /// Creates a finder for a read that begins at this chunk.
    #[must_use]
    pub fn new(needed: ChunkNumber) -> Self {
        Self {
            held: ChunkNumber {
                number: needed.number.saturating_sub(1),
                ..needed
            },
            last: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// Records the next chunk. `opening` is the link that it continues, if it opens its epoch.
    pub fn observe(&mut self, chunk_number: ChunkNumber, opening: Option<Option<Link>>) {
        let before = match opening {
            Some(None) => None,
            Some(Some(link)) => Some(ChunkNumber::from_link(&link)),
            None => Some(ChunkNumber {
                number: chunk_number.number.saturating_sub(1),
                ..chunk_number
            }),
        };
        if let Some(from) = before.and_then(|before| self.missing(before)) {
            let until = Some(chunk_number);
            self.found.push(Gap { from, until });
        }
        let last = self.last.entry(chunk_number.epoch).or_default();
        *last = chunk_number.number.max(*last);
    }

    /// Returns the first missing chunk up to this place; `None` if this chunk is not missing.
    fn missing(&self, chunk_number: ChunkNumber) -> Option<ChunkNumber> {
        if chunk_number <= self.held {
            return None;
        }
        let held = (chunk_number.epoch == self.held.epoch).then_some(self.held.number);
        let last = self.last.get(&chunk_number.epoch).copied().max(held);
        if last.is_some_and(|last| last >= chunk_number.number) {
            return None;
        }
        let at = match last {
            Some(number) => ChunkNumber {
                number,
                ..chunk_number
            },
            None if self.last.is_empty() => self.held,
            None => ChunkNumber {
                number: 0,
                ..chunk_number
            },
        };
        Some(ChunkNumber {
            number: at.number + 1,
            ..at
        })
    }

    /// Records the chunks that are still awaited after everything was read: those after the last chunk are missing.
    pub fn observe_awaited(&mut self, awaited: &[ChunkNumber]) {
        let last = self.last();
        let behind = awaited
            .iter()
            .copied()
            .filter(|chunk_number| Some(*chunk_number) > last);
        let until = None;
        self.found.extend(behind.min().map(|from| Gap { from, until }));
    }

    /// Records the frontier after everything was read. If nothing else is missing and the frontier is below the last chunk that was
    /// read, the exchange holds another history: none of its chunks after the frontier counts. A frontier below the first
    /// chunk of this read proves nothing.
    pub fn observe_frontier(&mut self, frontier: ChunkNumber, lineage_start: ChunkNumber) {
        let is_below = frontier >= self.held && Some(frontier) < self.last();
        if is_below && self.relevant(lineage_start).is_empty() {
            let number = frontier.number + 1;
            let (from, until) = (ChunkNumber { number, ..frontier }, None);
            self.found.push(Gap { from, until });
        }
    }

    /// Returns the highest chunk number that was read.
    fn last(&self) -> Option<ChunkNumber> {
        let chunk_number = |(epoch, number): (&u32, &u64)| ChunkNumber {
            epoch: *epoch,
            number: *number,
        };
        self.last.last_key_value().map(chunk_number)
    }

    /// Returns all gaps.
    #[must_use]
    pub fn all(&self) -> &[Gap] {
        &self.found
    }

    /// Returns the awaited chunks that are put back to how they were before the refill, because they cannot be stored again: they
    /// are missing at the exchange, or in `failed`. Their missing rows stay visible as rows that differ. A chunk that was awaited
    /// before the refill stays awaited: nothing else shows that its rows are out of date.
    #[must_use]
    pub fn given_up(
        &self,
        awaited: &[ChunkNumber],
        awaited_before: &[ChunkNumber],
        failed: &[ChunkNumber],
    ) -> Vec<ChunkNumber> {
        let is_lost = |chunk_number: &ChunkNumber| {
            failed.contains(chunk_number) || self.found.iter().any(|gap| gap.contains(*chunk_number))
        };
        let given_up = awaited.iter().filter(|chunk_number| is_lost(chunk_number));
        given_up
            .filter(|chunk_number| !awaited_before.contains(chunk_number))
            .copied()
            .collect()
    }

    /// Returns the gaps that matter: those after the start of the lineage, where the feed was sent again from its beginning.
    #[must_use]
    pub fn relevant(&self, lineage_start: ChunkNumber) -> Vec<Gap> {
        let matters = |gap: &&Gap| gap.until.is_none_or(|until| until > lineage_start);
        self.found.iter().filter(matters).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::digest::Digest;

    const fn at(epoch: u32, number: u64) -> ChunkNumber {
        ChunkNumber { epoch, number }
    }

    /// An opening that continues this chunk.
    fn from(epoch: u32, number: u64) -> Option<Option<Link>> {
        Some(Some(Link {
            epoch,
            number,
            digest: Digest([0; 32]),
        }))
    }

    fn found(needed: ChunkNumber, chunks: &[(ChunkNumber, Option<Option<Link>>)]) -> GapFinder {
        let mut gaps = GapFinder::new(needed);
        for (chunk_number, opening) in chunks {
            gaps.observe(*chunk_number, *opening);
        }
        gaps
    }

    fn describe(needed: ChunkNumber, chunks: &[(ChunkNumber, Option<Option<Link>>)]) -> String {
        let gaps = found(needed, chunks);
        let texts: Vec<String> = gaps.all().iter().map(Gap::to_string).collect();
        texts.join(", ")
    }

    #[test]
    fn gap_names_missing_chunks() {
        assert_eq!(describe(at(1, 4), &[(at(1, 4), None), (at(1, 5), None)]), "");
        assert_eq!(describe(at(1, 4), &[(at(1, 2), None), (at(1, 3), None)]), "");
        assert_eq!(describe(at(1, 4), &[(at(1, 5), None)]), "chunk 1.4");
        assert_eq!(describe(at(1, 4), &[(at(1, 9), None)]), "chunks 1.4 to 1.8");
        assert_eq!(
            describe(at(1, 4), &[(at(2, 3), None)]),
            "chunks from 1.4 up to before 2.3"
        );
        assert_eq!(describe(at(1, 1), &[(at(1, 3), None)]), "chunks 1.1 to 1.2");
    }

    #[test]
    fn gap_before_an_opening_is_found_by_its_link() {
        assert_eq!(
            describe(at(1, 5), &[(at(2, 1), from(1, 4)), (at(2, 2), None)]),
            ""
        );
        let lost = "chunks from 1.5 up to before 2.1";
        assert_eq!(describe(at(1, 5), &[(at(2, 1), from(1, 6))]), lost);
        // The exchange was restored from a copy older than the last receipt.
        let put_back = [
            (at(1, 1), None),
            (at(1, 2), None),
            (at(2, 1), from(1, 4)),
            (at(2, 2), None),
        ];
        assert_eq!(describe(at(1, 1), &put_back), "chunks from 1.3 up to before 2.1");
        // The opening continues a chunk before the first needed one.
        assert_eq!(
            describe(at(2, 4), &[(at(2, 4), None), (at(3, 1), from(1, 9))]),
            ""
        );
        assert_eq!(
            describe(at(1, 1), &[(at(1, 1), None), (at(2, 3), None)]),
            "chunks 2.1 to 2.2"
        );
    }

    #[test]
    fn gap_before_the_lineage_start_does_not_matter() {
        let chunks = [(at(2, 1), from(1, 7)), (at(2, 2), None), (at(3, 1), Some(None))];
        let gaps = found(at(1, 1), &chunks);
        let gap = Gap {
            from: at(1, 1),
            until: Some(at(2, 1)),
        };
        assert_eq!(gaps.all(), [gap]);
        assert!(gap.contains(at(1, 7)) && !gap.contains(at(2, 1)));
        assert_eq!(gaps.relevant(at(1, 1)), [gap]);
        assert_eq!(gaps.relevant(at(3, 1)), []);
        assert_eq!(describe(at(1, 4), &[(at(2, 1), Some(None))]), "");
    }

    #[test]
    fn gap_at_the_end_begins_at_the_first_awaited_chunk() {
        let read = [(at(1, 1), None), (at(1, 2), None)];
        let mut gaps = found(at(1, 1), &read);
        gaps.observe_awaited(&[at(1, 2)]);
        assert_eq!(gaps.all(), []);
        gaps.observe_awaited(&[at(1, 2), at(2, 1), at(2, 2)]);
        let texts: Vec<String> = gaps.relevant(at(1, 1)).iter().map(Gap::to_string).collect();
        assert_eq!(texts, ["chunks from 2.1 on"]);
        assert!(gaps.all()[0].contains(at(2, 7)));
    }

    #[test]
    fn chunk_awaited_before_the_refill_is_not_given_up() {
        let gaps = found(at(1, 1), &[(at(1, 1), None), (at(1, 4), None), (at(1, 5), None)]);
        let awaited = [at(1, 1), at(1, 2), at(1, 3), at(1, 5)];
        let given_up = |before: &[ChunkNumber]| gaps.given_up(&awaited, before, &[at(1, 5)]);
        assert_eq!(given_up(&[]), [at(1, 2), at(1, 3), at(1, 5)]);
        assert_eq!(given_up(&[at(1, 3), at(1, 5)]), [at(1, 2)]);
    }

    #[test]
    fn gap_of_another_history_begins_after_the_frontier() {
        let mut gaps = found(at(1, 1), &[(at(1, 1), None), (at(1, 2), None)]);
        gaps.observe_frontier(at(1, 2), at(1, 1));
        assert_eq!(gaps.all(), []);
        gaps.observe_frontier(at(1, 0), at(1, 1));
        assert_eq!(gaps.all()[0].to_string(), "chunks from 1.1 on");
        // The read began above the frontier: the chunks between may be there.
        let mut gaps = found(at(1, 50), &[(at(1, 50), None)]);
        gaps.observe_frontier(at(1, 10), at(1, 1));
        assert_eq!(gaps.all(), []);
    }
}
