//! What goes wrong, and when it ends.

use super::World;

impl World {
    /// A publish that is on its way arrives, perhaps long after its sender gave up.
    pub(super) fn network(&mut self, chaos: bool) {
        let Self {
            net,
            exchange,
            env,
            rng,
            now,
            ..
        } = self;
        let which = rng.below(net.len());
        if chaos && rng.percent(3) && which < net.len() {
            net.remove(which); // it never arrives
            return;
        }
        if let Some(sent) = net.get_mut(which).filter(|sent| sent.answer.is_none()) {
            sent.answer = Some(exchange.publish(sent.chunk.clone(), sent.expect, env.compare_and_set, *now));
        }
        let lives: Vec<&str> = self
            .publishers
            .iter()
            .map(|slot| slot.process.instance.as_str())
            .collect();
        net.retain(|sent| sent.answer.is_none() || lives.contains(&sent.by.as_str()));
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
            // SIGSTOP, and SIGCONT later: nothing is forgotten and the clock went on.
            3..=5 => {
                let which = self.rng.below(self.publishers.len());
                if let Some(slot) = self.publishers.get_mut(which) {
                    slot.until = until;
                }
            }
            // A backlog: what comes next comes in any order.
            6 => self.pollers.iter_mut().for_each(|slot| slot.until = until),
            7 | 8 => {
                let which = self.rng.below(self.pollers.len());
                if let Some(slot) = self.pollers.get_mut(which) {
                    slot.until = until;
                    slot.crashed = self.rng.percent(60);
                }
            }
            9 | 10 if self.env.restores => self.copy = Some(self.exchange.held.clone()),
            11 if self.env.restores && self.restores < 2 => {
                if let Some(copy) = self.copy.clone() {
                    self.exchange.restore(copy);
                    self.net.clear();
                    self.restores += 1;
                }
            }
            _ => {}
        }
    }

    /// Business and faults end; whatever was down comes back.
    pub(super) fn calm(&mut self) {
        self.store.calm();
        self.core.end_all(self.now);
        self.calm_ends();
        for slot in &mut self.publishers {
            slot.until = slot.until.min(self.now);
        }
        for slot in &mut self.pollers {
            slot.until = slot.until.min(self.now);
        }
    }
}
