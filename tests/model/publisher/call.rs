//! A request to the exchange, step by step: each answer may fail, be late or get lost.

use exchange::ErrorKind;
use social::step::{Event, ReceiptFrontier, Tail};
use social::tail::pending_resync;

use super::super::exchange::{Entry, Exchange};
use super::{Call, PendingPublish, Publisher, TailContext, definition, ms};
use harness::rng::Rng;

impl Publisher {
    pub(super) fn continue_call(
        &mut self,
        exchange: &mut Exchange,
        in_flight: &mut Vec<PendingPublish>,
        rng: &mut Rng,
        now: i64,
        faults: bool,
    ) {
        let Some(call) = self.call.take() else { return };
        let fails = faults && rng.percent(4);
        match call {
            Call::ReadReceipt | Call::ReadChunk { .. } | Call::AskLeader if fails => {
                self.decide(Event::Failed(ErrorKind::Unreachable, String::new()));
            }
            Call::ReadReceipt => {
                let receipt = exchange.state.receipt.as_ref().map(|receipt| ReceiptFrontier {
                    epoch: receipt.signed.epoch,
                    to: receipt.signed.to,
                    head: receipt.signed.head,
                });
                self.call = Some(Call::ReadChunk { receipt });
            }
            Call::ReadChunk { receipt } => {
                let is_lagging = self.env.lags && faults && rng.percent(25);
                let lag = if is_lagging { rng.below(4) } else { 0 };
                let entry = exchange.tail_of_replica(lag);
                self.tail_context = self.tail_context(entry);
                self.read_sequence = entry.map_or(0, |entry| entry.sequence);
                let tail = entry.map(|entry| Tail {
                    sequence: entry.sequence,
                    link: entry.chunk.link,
                    instance: entry.chunk.instance.clone(),
                    definition: definition(),
                    cursor: entry.chunk.after.clone(),
                });
                self.decide(Event::TailRead { tail, receipt });
            }
            Call::AskLeader => {
                let leaders = exchange.tail().map_or(0, |entry| entry.sequence);
                let sequence = if self.env.asks_leader {
                    leaders
                } else {
                    self.read_sequence
                };
                let at = ms(now - self.born);
                self.decide(Event::LeaderAnswered { sequence, at });
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
                if let Some(chunk) = self.outgoing.clone() {
                    in_flight.push(PendingPublish {
                        by: self.instance.clone(),
                        chunk,
                        expect,
                        answer: None,
                    });
                    self.call = Some(Call::Wait { since: now });
                }
            }
            Call::Wait { since } => self.await_answer(since, in_flight, rng, now, faults),
        }
    }

    /// Returns the tail's state that the exchange does not check.
    fn tail_context(&self, entry: Option<&Entry>) -> TailContext {
        let Some(chunk) = entry.map(|entry| &entry.chunk) else {
            return TailContext::default();
        };
        TailContext {
            resync: pending_resync(chunk.resync)
                .filter(|_| self.env.carries_progress || chunk.opening.is_some()),
            source: chunk.source.clone(),
            accepts_source: chunk.accepts_source,
        }
    }

    fn await_answer(
        &mut self,
        since: i64,
        in_flight: &mut Vec<PendingPublish>,
        rng: &mut Rng,
        now: i64,
        faults: bool,
    ) {
        let digest = self.outgoing.as_ref().map(|chunk| chunk.link.digest);
        let is_own =
            |sent: &PendingPublish| sent.by == self.instance && Some(sent.chunk.link.digest) == digest;
        if let Some(at) = in_flight
            .iter()
            .position(|sent| is_own(sent) && sent.answer.is_some())
        {
            let answer = in_flight.remove(at).answer.flatten();
            // The answer gets lost on its way.
            if !(faults && rng.percent(10)) {
                return self.decide(answer.map_or(Event::Conflict, |sequence| Event::Acked { sequence }));
            }
        }
        if now - since > rng.span(40, 200) {
            // It may have been stored, or never, or later.
            self.decide(Event::Failed(ErrorKind::Unknown, String::new()));
        } else {
            self.call = Some(Call::Wait { since });
        }
    }
}
