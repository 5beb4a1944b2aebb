//! The lease as one process sees it, by its own clock.

use std::time::Duration;

use social::lease::{Decision, Record, decide};
use social::step::Event;

use super::super::exchange::Exchange;
use super::{Publisher, TIMING, ms};
use harness::rng::Rng;

impl Publisher {
    pub(super) fn step_lease(&mut self, exchange: &mut Exchange, rng: &mut Rng, now: i64, faults: bool) {
        let mono = ms(now - self.born);
        if let Some((expect, sent)) = self.lease_write.take() {
            if faults && rng.percent(5) {
                return; // never arrived
            }
            let record = Record {
                sequence: 0,
                instance: self.view.instance.clone(),
                released: false,
                ttl: TIMING.ttl,
            };
            let written = exchange.write_lease(record.clone(), expect);
            match written {
                // Stored, and the answer lost: read the lease, renew nothing.
                Some(_) if faults && rng.percent(5) => self.read_lease(exchange, mono),
                Some(sequence) => {
                    self.view.record = Some(Record { sequence, ..record });
                    self.view.seen_at = sent;
                    self.view.renewed_at = Some(sent);
                    if !self.working && self.holds(now) {
                        self.working = true;
                        self.decide(Event::Begin);
                    }
                }
                None => self.read_lease(exchange, mono),
            }
            return;
        }
        match decide(&self.view, mono, TIMING) {
            Decision::Hold { .. } => {
                if !self.working && self.holds(now) {
                    self.working = true;
                    self.decide(Event::Begin);
                }
            }
            Decision::Renew => {
                let expect = self.view.record.as_ref().map_or(0, |record| record.sequence);
                self.lease_write = Some((expect, mono));
            }
            Decision::Take { expect } => {
                self.lease_write = Some((expect, mono));
            }
            Decision::Wait { .. } => self.read_lease(exchange, mono),
            Decision::Lost => {
                self.view.renewed_at = None;
                self.read_lease(exchange, mono);
            }
        }
    }

    fn read_lease(&mut self, exchange: &Exchange, mono: Duration) {
        let record = exchange.state.lease.clone();
        if record.as_ref().map(|record| record.sequence)
            != self.view.record.as_ref().map(|record| record.sequence)
        {
            self.view.seen_at = mono;
        }
        self.view.record = record;
    }
}
