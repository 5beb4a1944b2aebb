//! When it is over, and whether it was right.

use super::super::exchange::Chunk;
use super::super::poller::owes_receipt;
use super::World;

impl World {
    pub(super) fn at_rest(&self) -> bool {
        self.net.iter().all(|sent| sent.answer.is_some())
            && self
                .publishers
                .iter()
                .any(|slot| !slot.crashed && slot.process.is_quiet(self.core.life, self.now))
            && self
                .publishers
                .iter()
                .all(|slot| slot.process.lane.stopped().is_none())
            && self.exchange.drained()
            && self.store.settled()
            && self.store.stopped().is_none()
            && !owes_receipt(&self.exchange, &self.store)
            && self.is_signed_for()
            && self.is_read()
            && self.are_ends_at_rest()
    }

    /// The publisher's periodic look has seen the last receipt: nothing the receiver signed for
    /// is ahead of the tail.
    fn is_signed_for(&self) -> bool {
        let tail = self
            .exchange
            .tail()
            .map_or((0, 0), |entry| (entry.chunk.link.epoch, entry.chunk.link.number));
        let signed = self
            .exchange
            .held
            .receipt
            .as_ref()
            .map_or((0, 0), |receipt| (receipt.signed.epoch, receipt.signed.to));
        signed.1 == 0 || signed == tail
    }

    /// Nothing is left behind the tail. What was skipped before it is the oracle's to find.
    fn is_read(&self) -> bool {
        let after = self.exchange.tail().and_then(|entry| entry.chunk.after.as_ref());
        self.core.read(after, &self.core.everything(), 1).is_empty()
    }

    pub(super) fn judge(&self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let (mut core, mut store) = (self.core.living(), self.store.living());
        // What is in quarantine for good, or was given up, is not stored and is not asked for.
        let excused = self.store.excused(self.core.latest());
        let mut apart = excused.clone();
        // It is shown that these may be gone at the core, and why they stay.
        apart.extend(self.store.doubtful());
        let whole = core.clone();
        core.retain(|key, _| !apart.contains(key));
        store.retain(|key, _| !apart.contains(key));
        let missing: Vec<_> = core.keys().filter(|key| !store.contains_key(key)).collect();
        let surplus: Vec<_> = store.keys().filter(|key| !core.contains_key(key)).collect();
        let differing: Vec<_> = core
            .iter()
            .filter(|(k, v)| store.get(k).is_some_and(|s| s != *v))
            .collect();
        if !(missing.is_empty() && surplus.is_empty() && differing.is_empty()) {
            return Err(format!(
                "missing {missing:?}, surplus {surplus:?}, differing {differing:?}"
            ));
        }
        let mut asked_for = whole;
        asked_for.retain(|key, _| !excused.contains(key));
        self.store.judge(&asked_for, &excused)?;
        for pair in self.exchange.held.log.windows(2) {
            let [before, after] = pair else { continue };
            follows(&before.chunk, &after.chunk)?;
        }
        let report = self.store.report();
        if report.as_ref().is_some_and(|report| report.pending > 0) {
            return Err(format!("the ledger has gaps: {report:?}"));
        }
        Ok(())
    }
}

/// The chain as an auditor sees it.
fn follows(before: &Chunk, after: &Chunk) -> Result<(), String> {
    let (b, a) = (before.link, after.link);
    let good = if a.epoch == b.epoch {
        a.number == b.number + 1 && after.previous == Some(b.digest) && after.before == before.after
    } else {
        a.epoch > b.epoch && a.number == 1 && after.opening.is_some()
    };
    if good {
        Ok(())
    } else {
        Err(format!(
            "{}.{} by {} stands behind {}.{} by {}",
            a.epoch, a.number, after.instance, b.epoch, b.number, before.instance
        ))
    }
}
