//! Ring buffers of the latest samples and verdicts, from which the evidence of a permit is taken.

use std::collections::{BTreeMap, VecDeque};

use crate::sample::{Reading, Sample, milli};
use schemas::load::{Load, LoadSample, LoadVerdict, SignalLimit};

/// Maximum samples, and verdicts, in the evidence of one permit or chunk: the first, under which the work began, and
/// the latest.
pub const MAX_EVIDENCE: usize = 64;

/// Number of verdicts in a status.
const HISTORY: usize = 32;

/// Capacity of each ring.
const CAPACITY: usize = 256;

/// The position in the journal at which a permit began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    sample: u64,
    verdict: u64,
}

/// A ring of the latest items, numbered consecutively.
#[derive(Debug)]
struct Ring<T> {
    end: u64,
    items: VecDeque<T>,
}

impl<T: Clone> Ring<T> {
    fn new() -> Self {
        Self {
            end: 0,
            items: VecDeque::new(),
        }
    }

    fn push(&mut self, item: T) {
        if self.items.len() == CAPACITY {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.end += 1;
    }

    /// Returns the number of the latest item.
    fn latest(&self) -> u64 {
        self.end.saturating_sub(1)
    }

    fn from(&self, number: u64) -> Vec<T> {
        let wanted = usize::try_from(self.end.saturating_sub(number)).unwrap_or(usize::MAX);
        self.items
            .iter()
            .skip(self.items.len().saturating_sub(wanted))
            .cloned()
            .collect()
    }
}

/// The samples, the verdicts and the limits in force.
#[derive(Debug)]
pub(crate) struct Journal {
    limits: BTreeMap<String, SignalLimit>,
    samples: Ring<LoadSample>,
    verdicts: Ring<LoadVerdict>,
}

impl Journal {
    pub(crate) fn new(limits: BTreeMap<String, SignalLimit>) -> Self {
        Self {
            limits,
            samples: Ring::new(),
            verdicts: Ring::new(),
        }
    }

    pub(crate) fn push_sample(&mut self, sample: LoadSample) {
        self.samples.push(sample);
    }

    pub(crate) fn push_verdict(&mut self, verdict: LoadVerdict) {
        self.verdicts.push(verdict);
    }

    /// Replaces the limits.
    pub(crate) fn set_limits(&mut self, limits: BTreeMap<String, SignalLimit>) {
        self.limits = limits;
    }

    /// Returns the limits in force.
    pub(crate) fn limits(&self) -> BTreeMap<String, SignalLimit> {
        self.limits.clone()
    }

    /// Whether every signal is below its resume limit.
    pub(crate) fn is_idle(&self, sample: &Sample) -> bool {
        !self.limits.is_empty()
            && self.limits.iter().all(|(name, limit)| {
                let reading = sample.readings.get(name.as_str());
                matches!(reading, Some(Reading::Value(value)) if milli(*value) < limit.resume_milli)
            })
    }

    /// Returns the latest verdicts, oldest first.
    pub(crate) fn history(&self) -> Vec<LoadVerdict> {
        let skip = self.verdicts.items.len().saturating_sub(HISTORY);
        self.verdicts.items.iter().skip(skip).cloned().collect()
    }

    /// Returns the readings of the latest sample.
    pub(crate) fn readings(&self) -> BTreeMap<String, Option<i64>> {
        self.samples
            .items
            .back()
            .map(|sample| sample.readings_milli.clone())
            .unwrap_or_default()
    }

    /// Returns the current position.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            sample: self.samples.latest(),
            verdict: self.verdicts.latest(),
        }
    }

    /// Returns the evidence from the mark until now.
    pub(crate) fn since(&self, mark: Mark) -> Load {
        let mut load = Load {
            limits: self.limits.clone(),
            samples: self.samples.from(mark.sample),
            verdicts: self.verdicts.from(mark.verdict),
        };
        trim_evidence(&mut load);
        load
    }
}

/// Adds the evidence of a later permit to that of a chunk: each sample and verdict once, bounded by [`MAX_EVIDENCE`].
/// Contains the limits of both; where they differ, the later ones apply.
pub fn merge(into: &mut Load, later: Load) {
    into.limits.extend(later.limits);
    for sample in later.samples {
        if !into.samples.contains(&sample) {
            into.samples.push(sample);
        }
    }
    for verdict in later.verdicts {
        if !into.verdicts.contains(&verdict) {
            into.verdicts.push(verdict);
        }
    }
    trim_evidence(into);
}

fn trim_evidence(load: &mut Load) {
    let excess = load.samples.len().saturating_sub(MAX_EVIDENCE);
    if excess > 0 {
        load.samples.drain(1..=excess);
    }
    let excess = load.verdicts.len().saturating_sub(MAX_EVIDENCE);
    if excess > 0 {
        load.verdicts.drain(1..=excess);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use schemas::load::GateState;

    use super::*;

    fn sample(second: u64) -> LoadSample {
        let at = Timestamp::UNIX_EPOCH + Duration::from_secs(second);
        LoadSample {
            at,
            readings_milli: BTreeMap::new(),
        }
    }

    fn verdict(second: u64) -> LoadVerdict {
        let at = Timestamp::UNIX_EPOCH + Duration::from_secs(second);
        LoadVerdict {
            at,
            state: GateState::Open,
            reason: String::new(),
        }
    }

    #[test]
    fn evidence_begins_with_what_was_in_force() {
        let mut journal = Journal::new(BTreeMap::new());
        journal.push_verdict(verdict(0));
        (0..3).for_each(|second| journal.push_sample(sample(second)));
        let mark = journal.mark();
        (3..5).for_each(|second| journal.push_sample(sample(second)));
        let load = journal.since(mark);
        assert_eq!(load.samples, [sample(2), sample(3), sample(4)]);
        assert_eq!(load.verdicts, [verdict(0)]);
    }

    #[test]
    fn evidence_of_an_empty_journal_is_empty() {
        let journal = Journal::new(BTreeMap::new());
        assert_eq!(journal.since(journal.mark()), Load::default());
    }

    #[test]
    fn evidence_is_bounded_and_keeps_first_and_latest() {
        let mut journal = Journal::new(BTreeMap::new());
        journal.push_sample(sample(0));
        let mark = journal.mark();
        (1..100).for_each(|second| journal.push_sample(sample(second)));
        let load = journal.since(mark);
        assert_eq!(load.samples.len(), MAX_EVIDENCE);
        assert_eq!(load.samples[0], sample(0));
        assert_eq!(load.samples[MAX_EVIDENCE - 1], sample(99));
    }

    #[test]
    fn evidence_older_than_the_ring_keeps_the_latest() {
        let mut journal = Journal::new(BTreeMap::new());
        let mark = journal.mark();
        (0..1_000).for_each(|second| journal.push_sample(sample(second)));
        let load = journal.since(mark);
        assert_eq!(load.samples.last(), Some(&sample(999)));
        assert_eq!(load.samples.len(), MAX_EVIDENCE);
    }

    #[test]
    fn evidence_merged_has_each_sample_once() {
        let mut chunk = Load {
            samples: vec![sample(1), sample(2)],
            verdicts: vec![verdict(0)],
            ..Load::default()
        };
        let later = Load {
            samples: vec![sample(2), sample(3)],
            verdicts: vec![verdict(0)],
            ..Load::default()
        };
        merge(&mut chunk, later);
        assert_eq!(chunk.samples, [sample(1), sample(2), sample(3)]);
        assert_eq!(chunk.verdicts, [verdict(0)]);
    }
}
