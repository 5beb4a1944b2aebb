//! Faults, and their end.

use super::Simulation;

impl Simulation {
    /// Delivers a pending publish, perhaps long after its sender gave up.
    pub(super) fn network(&mut self, chaos: bool) {
        let Self {
            in_flight,
            exchange,
            env,
            rng,
            now,
            ..
        } = self;
        let which = rng.below(in_flight.len());
        if chaos && rng.percent(3) && which < in_flight.len() {
            in_flight.remove(which); // it never arrives
            return;
        }
        if let Some(sent) = in_flight.get_mut(which).filter(|sent| sent.answer.is_none()) {
            sent.answer = Some(exchange.publish(sent.chunk.clone(), sent.expect, env.compare_and_set, *now));
        }
        let incarnations: Vec<&str> = self
            .publishers
            .iter()
            .map(|slot| slot.process.instance.as_str())
            .collect();
        in_flight.retain(|sent| sent.answer.is_none() || incarnations.contains(&sent.by.as_str()));
    }

    pub(super) fn fault(&mut self) {
        let until = self.now + self.rng.span(10, 1_500);
        match self.rng.below(12) {
            0..=2 => {
                let which = self.rng.below(self.publishers.len());
                if let Some(slot) = self.publishers.get_mut(which) {
                    (slot.until, slot.crashed) = (until, true);
                }
            }
            // SIGSTOP, and SIGCONT later: memory is kept and the clock went on.
            3..=5 => {
                let which = self.rng.below(self.publishers.len());
                if let Some(slot) = self.publishers.get_mut(which) {
                    slot.until = until;
                }
            }
            // A backlog: the next deliveries are in any order.
            6 => self.pollers.iter_mut().for_each(|slot| slot.until = until),
            7 | 8 => {
                let which = self.rng.below(self.pollers.len());
                if let Some(slot) = self.pollers.get_mut(which) {
                    slot.until = until;
                    slot.crashed = self.rng.percent(60);
                }
            }
            9 | 10 if self.env.restores => self.copy = Some(self.exchange.state.clone()),
            11 if self.env.restores && self.restores < 2 => {
                if let Some(copy) = self.copy.clone() {
                    self.exchange.restore(copy);
                    self.in_flight.clear();
                    self.restores += 1;
                }
            }
            _ => {}
        }
    }

    /// Ends business and faults; processes that are down come back.
    pub(super) fn end_faults(&mut self) {
        self.store.end_faults();
        self.core.end_all(self.now);
        self.restore_endpoints();
        for slot in &mut self.publishers {
            slot.until = slot.until.min(self.now);
        }
        for slot in &mut self.pollers {
            slot.until = slot.until.min(self.now);
        }
    }
}
