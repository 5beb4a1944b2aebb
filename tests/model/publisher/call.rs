//! What a process has asked the exchange, step by step: each answer may fail, be late or get lost.

use exchange::ErrorKind;
use social::step::{Event, Signed, Tail};
use social::tail::under_way;

use super::super::exchange::Exchange;
use super::super::rng::Rng;
use super::{Beside, Call, Publisher, Sent, definition};

impl Publisher {
    pub(super) fn call_on(
        &mut self,
        exchange: &mut Exchange,
        net: &mut Vec<Sent>,
        rng: &mut Rng,
        now: i64,
        faults: bool,
    ) {
        let Some(call) = self.call.take() else { return };
        let fails = faults && rng.percent(4);
        match call {
            Call::ReadReceipt | Call::ReadChunk { .. } if fails => {
                self.decide(Event::Failed(ErrorKind::Unreachable, String::new()));
            }
            Call::ReadReceipt => {
                let receipt = exchange.held.receipt.as_ref().map(|receipt| Signed {
                    epoch: receipt.signed.epoch,
                    to: receipt.signed.to,
                    head: receipt.signed.head,
                });
                self.call = Some(Call::ReadChunk { receipt });
            }
            Call::ReadChunk { receipt } => {
                self.beside = self.beside(exchange);
                let tail = exchange.tail().map(|entry| Tail {
                    sequence: entry.sequence,
                    link: entry.chunk.link,
                    instance: entry.chunk.instance.clone(),
                    definition: definition(),
                    cursor: entry.chunk.after.clone(),
                });
                self.decide(Event::TailRead { tail, receipt });
            }
            Call::CheckLease { expect } => {
                if self.holds(now) {
                    self.call = Some(Call::Send { expect });
                } else {
                    self.working = false;
                    self.decide(Event::LeaseLost);
                    self.void(None);
                }
            }
            Call::Send { expect } => {
                if fails {
                    return self.decide(Event::Failed(ErrorKind::Unreachable, String::new()));
                }
                if let Some(chunk) = self.flight.clone() {
                    net.push(Sent {
                        by: self.instance.clone(),
                        chunk,
                        expect,
                        answer: None,
                    });
                    self.call = Some(Call::Wait { since: now });
                }
            }
            Call::Wait { since } => self.await_answer(since, net, rng, now, faults),
        }
    }

    /// What is read of the tail and decides nothing at the exchange.
    fn beside(&self, exchange: &Exchange) -> Beside {
        let Some(chunk) = exchange.tail().map(|entry| &entry.chunk) else {
            return Beside::default();
        };
        Beside {
            resync: under_way(chunk.resync).filter(|_| self.env.carries || chunk.opening.is_some()),
            source: chunk.source.clone(),
            accepts_source: chunk.accepts_source,
        }
    }

    fn await_answer(&mut self, since: i64, net: &mut Vec<Sent>, rng: &mut Rng, now: i64, faults: bool) {
        let digest = self.flight.as_ref().map(|chunk| chunk.link.digest);
        let mine = |sent: &Sent| sent.by == self.instance && Some(sent.chunk.link.digest) == digest;
        if let Some(at) = net.iter().position(|sent| mine(sent) && sent.answer.is_some()) {
            let answer = net.remove(at).answer.flatten();
            // The answer gets lost on its way.
            if !(faults && rng.percent(10)) {
                return self.decide(answer.map_or(Event::Conflict, |sequence| Event::Acked { sequence }));
            }
        }
        if now - since > rng.span(40, 200) {
            // It may be stored, or never, or later.
            self.decide(Event::Failed(ErrorKind::Unknown, String::new()));
        } else {
            self.call = Some(Call::Wait { since });
        }
    }
}
