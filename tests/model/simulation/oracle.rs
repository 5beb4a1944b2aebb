//! The idle state, and the checks of the oracle.

use super::super::exchange::Chunk;
use super::super::poller::owes_receipt;
use super::Simulation;

impl Simulation {
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.iter().all(|sent| sent.answer.is_some())
            && self
                .publishers
                .iter()
                .any(|slot| !slot.crashed && slot.process.is_quiet(self.core.incarnation, self.now))
            && self
                .publishers
                .iter()
                .all(|slot| slot.process.lane.stopped().is_none())
            && self.exchange.is_drained()
            && self.store.settled()
            && self.store.stopped().is_none()
            && !owes_receipt(&self.exchange, &self.store)
            && self.is_signed_for()
            && self.is_read()
            && self.are_endpoints_idle()
    }

    /// Returns whether the publisher's periodic check has seen the last receipt: no acknowledged chunk is ahead of the tail.
    fn is_signed_for(&self) -> bool {
        let tail = self
            .exchange
            .tail()
            .map_or((0, 0), |entry| (entry.chunk.link.epoch, entry.chunk.link.number));
        let signed = self
            .exchange
            .state
            .receipt
            .as_ref()
            .map_or((0, 0), |receipt| (receipt.signed.epoch, receipt.signed.to));
        signed.1 == 0 || signed == tail
    }

    /// Returns whether no row is left after the tail. Rows skipped before it are for the oracle to find.
    fn is_read(&self) -> bool {
        let after = self.exchange.tail().and_then(|entry| entry.chunk.after.as_ref());
        self.core.read(after, &self.core.everything(), 1).is_empty()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let (mut core, mut store) = (self.core.live_rows(), self.store.live_rows());
        // Rows that are permanently in quarantine or discarded are not expected.
        let excused = self.store.excused(self.core.latest());
        let mut apart = excused.clone();
        // These are shown as possibly deleted at the core, with the reason why they are kept.
        apart.extend(self.store.possibly_deleted());
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
        self.store.check(&asked_for, &excused)?;
        for pair in self.exchange.state.log.windows(2) {
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

/// Checks the chain as an auditor does.
fn follows(before: &Chunk, after: &Chunk) -> Result<(), String> {
    let (b, a) = (before.link, after.link);
    let is_linked = if a.epoch == b.epoch {
        a.number == b.number + 1 && after.previous == Some(b.digest) && after.before == before.after
    } else {
        a.epoch > b.epoch && a.number == 1 && after.opening.is_some()
    };
    if is_linked {
        Ok(())
    } else {
        Err(format!(
            "{}.{} by {} wrongly follows {}.{} by {}",
            a.epoch, a.number, after.instance, b.epoch, b.number, before.instance
        ))
    }
}
