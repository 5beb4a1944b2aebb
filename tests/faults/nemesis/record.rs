//! The record of a run: its seed, its faults and what else happened. Events are printed as they happen; the output of a failed
//! test shows them.

use std::time::Instant;

use super::schedule::Fault;

/// What happened so far.
pub(super) struct Record {
    seed: u64,
    begun: Instant,
    faults: Vec<String>,
}

impl Record {
    pub(super) fn new(seed: u64, faults: usize) -> Self {
        let record = Self {
            seed,
            begun: Instant::now(),
            faults: Vec::new(),
        };
        record.event(&format!(
            "{faults} faults; repeat with: make test-nemesis SEED={seed} FAULTS={faults}"
        ));
        record
    }

    pub(super) fn event(&self, event: &str) {
        eprintln!("nemesis: {:6.1} s  {event}", self.begun.elapsed().as_secs_f32());
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault.to_string());
        self.event(&format!("fault {}: {fault}", self.faults.len()));
    }

    /// Returns a text for a failure message, with the seed and the faults so far.
    pub(super) fn describe(&self, what: &str) -> String {
        format!(
            "{what} (nemesis, seed {}, faults so far: {})",
            self.seed,
            self.faults.join(", ")
        )
    }
}
