//! PURE: the publisher's decisions for one lane.
//!
//! The exchange is the only state: a lane begins, and begins again after any doubt, with the last chunk that the exchange
//! holds. That chunk's instance and digest distinguish a lost acknowledgement from a lost race. The executor performs each
//! [`Action`] and returns an [`Event`]; the simulation uses this function too.
//!
//! The receipt is read *before* the last chunk. In the other order, a chunk that is published and received between the two
//! reads would look like a tail that went backwards.
//!
//! On a cluster, any replica answers a read, and a replica may lag behind the others for minutes. So a tail that seems to have
//! gone backwards stops nothing: the leader of the stream is asked for the lane's last sequence, and only a tail with just that
//! sequence counts as proof. A leader that is cut off from the others may answer from its past for some seconds, so the lane is
//! stopped by two proofs, [`PROOF_INTERVAL`] apart.

use std::time::Duration;

use exchange::ErrorKind;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::Link;

use crate::stop::StopReason;

mod doubt;

use doubt::Doubt;

/// The time between the two proofs that the exchange was restored: a leader that lost its cluster steps down within 10 s.
pub const PROOF_INTERVAL: Duration = Duration::from_secs(15);

/// The lane's last chunk as the exchange holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Its sequence, which the next publish expects.
    pub sequence: u64,
    /// Its link in the chain.
    pub link: Link,
    /// The process that published it.
    pub instance: String,
    /// The digest of the definition that it was read by.
    pub definition: Digest,
    /// The position after it.
    pub cursor: Option<Cursor>,
}

/// The frontier of the receiver's last receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptFrontier {
    /// Epoch of `to`.
    pub epoch: u32,
    /// The frontier; 0 if nothing was received yet.
    pub to: u64,
    /// The digest of chunk `to`.
    pub head: Option<Digest>,
}

/// A signed chunk that waits to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedChunk {
    /// Its link in the chain.
    pub link: Link,
    /// The position after it.
    pub cursor: Option<Cursor>,
}

/// The position of the next chunk in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPosition {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// The digest of the chunk before it.
    pub previous: Option<Digest>,
}

/// An event at a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The start, a lease just taken, or the periodic recheck of a stopped lane.
    Begin,
    /// Time to check the exchange although nothing is in doubt: it may have been restored while nothing was published.
    Check,
    /// The exchange was read: the receipt first, then the last chunk.
    TailRead {
        /// The last chunk; `None` if the subject is empty.
        tail: Option<Tail>,
        /// The last receipt.
        receipt: Option<ReceiptFrontier>,
    },
    /// The last chunk could not be read or trusted.
    TailUnreadable(String),
    /// The leader of the lane's stream was asked for the sequence of the last chunk.
    LeaderAnswered {
        /// The sequence; 0 if the subject is empty.
        sequence: u64,
        /// When, by a monotonic clock.
        at: Duration,
    },
    /// A chunk was signed for [`Lane::next_position`].
    Ready(PreparedChunk),
    /// The chunk in flight is stored.
    Acked {
        /// At this sequence.
        sequence: u64,
    },
    /// Another process wrote first.
    Conflict,
    /// The call in flight failed.
    Failed(ErrorKind, String),
    /// The source is not the one that the lane's last chunk was read from.
    SourceChanged(String),
    /// The lease is no longer held.
    LeaseLost,
}

/// An action of the executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read the last receipt, then the last chunk.
    ReadTail {
        /// Only after a back-off.
        backed_off: bool,
    },
    /// Ask the leader of the lane's stream for the sequence of the last chunk.
    AskLeader,
    /// Publish the prepared chunk.
    Publish {
        /// The sequence it expects to follow.
        expect: u64,
        /// Only after a back-off.
        backed_off: bool,
    },
    /// The prepared chunk is stored; the next one may follow.
    Stored,
    /// Drop what was read and not stored, and continue reading from here.
    ReadFrom(Option<Cursor>),
    /// Read nothing for this lane and check again later.
    Stop(StopReason),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing is known.
    Resting,
    /// The tail is being read; a chunk whose fate is unknown may be pending.
    Reading {
        pending: Option<Pending>,
        /// The leader refused the chunk, so the tail is no longer the one that it expected.
        is_refused: bool,
    },
    /// A tail was read that is older than what is known: by a replica that lags, or because the exchange was restored.
    Lagging(Box<Doubt>),
    /// The tail is known and nothing is in flight.
    Idle { expect: u64 },
    /// Like idle, while the tail is read again.
    Checking { expect: u64 },
    /// One chunk is in flight.
    InFlight { prepared: PreparedChunk, expect: u64 },
    /// Stopped.
    Stopped(StopReason),
}

/// A chunk whose fate is unknown, and the sequence that it expects to follow.
type Pending = (PreparedChunk, u64);

/// One lane's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    instance: String,
    definition: Digest,
    proof_interval: Duration,
    phase: Phase,
    /// The highest link that this process saw stored; a tail below it went backwards.
    seen: Option<Link>,
}

impl Lane {
    /// Creates a lane of which nothing is known, for one run of the process.
    #[must_use]
    pub fn new(instance: String, definition: Digest) -> Self {
        Self {
            instance,
            definition,
            proof_interval: PROOF_INTERVAL,
            phase: Phase::Resting,
            seen: None,
        }
    }

    /// Uses another interval between two proofs, for a simulation in which time passes faster.
    #[must_use]
    pub fn with_proof_interval(self, proof_interval: Duration) -> Self {
        Self {
            proof_interval,
            ..self
        }
    }

    /// Returns the position of the next chunk: after the one in flight, or after the tail. `None` while that is not known.
    #[must_use]
    pub fn next_position(&self) -> Option<ChainPosition> {
        let last = match &self.phase {
            Phase::Idle { .. } | Phase::Checking { .. } => self.seen,
            Phase::InFlight { prepared, .. } => Some(prepared.link),
            Phase::Resting | Phase::Reading { .. } | Phase::Lagging(_) | Phase::Stopped(_) => return None,
        };
        Some(last.map_or(
            ChainPosition {
                epoch: 1,
                number: 1,
                previous: None,
            },
            |link| ChainPosition {
                epoch: link.epoch,
                number: link.number + 1,
                previous: Some(link.digest),
            },
        ))
    }

    /// Returns the highest chunk known to be stored.
    #[must_use]
    pub fn last(&self) -> Option<Link> {
        self.seen
    }

    /// Returns whether a chunk is in flight.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        matches!(self.phase, Phase::InFlight { .. })
    }

    /// Returns whether the lane waits for a replica that lags, or for the proof that the exchange was restored.
    #[must_use]
    pub fn is_lagging(&self) -> bool {
        matches!(self.phase, Phase::Lagging(_))
    }

    /// Returns why the lane is stopped.
    #[must_use]
    pub fn stopped(&self) -> Option<&StopReason> {
        match &self.phase {
            Phase::Stopped(reason) => Some(reason),
            _ => None,
        }
    }

    /// Returns the state's name for the operator.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Resting => "resting",
            Phase::Reading { .. } => "reading the exchange",
            Phase::Lagging(_) => "waiting for a replica that lags",
            Phase::Idle { .. } | Phase::Checking { .. } => "ready",
            Phase::InFlight { .. } => "publishing",
            Phase::Stopped(_) => "stopped",
        }
    }
}

/// Applies an event to a lane.
#[must_use]
pub fn step(lane: Lane, event: Event) -> (Lane, Vec<Action>) {
    let Lane {
        instance,
        definition,
        proof_interval,
        phase,
        seen,
    } = lane;
    let mut next = Lane {
        instance,
        definition,
        proof_interval,
        phase: Phase::Resting,
        seen,
    };
    let actions = match (phase, event) {
        (_, Event::LeaseLost) => Vec::new(),
        (
            Phase::Idle { .. } | Phase::Checking { .. } | Phase::InFlight { .. },
            Event::SourceChanged(what),
        ) => next.stop(StopReason::SourceChanged(what)),
        (Phase::Stopped(reason), Event::Begin) => {
            // The reason decides what lifts the stop, so it is kept until the exchange was read.
            next.phase = Phase::Stopped(reason);
            vec![Action::ReadTail { backed_off: false }]
        }
        (_, Event::Begin) => next.read(None, false),
        (Phase::Reading { pending, is_refused }, Event::TailRead { tail, receipt }) => {
            let sequence = tail.as_ref().map_or(0, |tail| tail.sequence);
            let is_refused_tail = pending.as_ref().is_some_and(|(_, expect)| *expect == sequence);
            if is_refused && is_refused_tail {
                next.doubt(tail, receipt, pending, None)
            } else {
                next.handle_tail(tail, receipt, pending)
            }
        }
        (Phase::Lagging(doubt), Event::TailRead { tail, receipt }) => next.read_again(*doubt, tail, receipt),
        (Phase::Lagging(doubt), Event::LeaderAnswered { sequence, at }) => next.judge(*doubt, sequence, at),
        (Phase::Lagging(doubt), Event::Failed(kind, what)) => {
            if is_transient(kind) {
                next.phase = Phase::Lagging(doubt);
                vec![Action::ReadTail { backed_off: true }]
            } else {
                next.stop(StopReason::Exchange(what))
            }
        }
        (Phase::Stopped(reason), Event::TailRead { tail, receipt }) => {
            let epoch = |link: Option<Link>| link.map_or(0, |link| link.epoch);
            let is_same_epoch = epoch(tail.as_ref().map(|tail| tail.link)) <= epoch(next.seen);
            let is_lifted = match reason {
                // A process that has seen no chunk knows only the receipt.
                StopReason::Restored if next.seen.is_none() => {
                    !next.went_backwards(tail.as_ref(), receipt.as_ref())
                }
                StopReason::Restored => !is_same_epoch || next.is_back(tail.as_ref(), receipt.as_ref()),
                _ => !reason.needs_epoch() || !is_same_epoch,
            };
            if is_lifted {
                next.handle_tail(tail, receipt, None)
            } else {
                next.phase = Phase::Stopped(reason);
                Vec::new()
            }
        }
        (Phase::Idle { expect }, Event::Check) => {
            next.phase = Phase::Checking { expect };
            vec![Action::ReadTail { backed_off: false }]
        }
        (Phase::Checking { expect }, Event::TailRead { tail, receipt }) => {
            if next.went_backwards(tail.as_ref(), receipt.as_ref()) {
                next.doubt(tail, receipt, None, Some(expect))
            } else {
                next.finish_check(tail, receipt, expect)
            }
        }
        // A failed check proves nothing; the next publish detects a change.
        (Phase::Checking { expect }, Event::Failed(..)) => {
            next.phase = Phase::Idle { expect };
            Vec::new()
        }
        (Phase::Reading { .. } | Phase::Lagging(_) | Phase::Checking { .. }, Event::TailUnreadable(what)) => {
            next.stop(StopReason::TailUnreadable(what))
        }
        (Phase::Reading { pending, is_refused }, Event::Failed(kind, what)) => {
            if is_transient(kind) {
                next.phase = Phase::Reading { pending, is_refused };
                vec![Action::ReadTail { backed_off: true }]
            } else {
                next.stop(StopReason::Exchange(what))
            }
        }
        (Phase::Idle { expect }, Event::Ready(prepared)) => next.publish(prepared, expect, false),
        // A chunk could not be signed.
        (Phase::Idle { .. }, Event::Failed(_, what)) => next.stop(StopReason::Exchange(what)),
        (Phase::InFlight { prepared, .. }, Event::Acked { sequence }) => {
            next.seen = Some(prepared.link);
            next.phase = Phase::Idle { expect: sequence };
            vec![Action::Stored]
        }
        (Phase::InFlight { prepared, expect }, Event::Conflict) => {
            next.phase = Phase::Reading {
                pending: Some((prepared, expect)),
                is_refused: true,
            };
            vec![Action::ReadTail { backed_off: false }]
        }
        (Phase::InFlight { prepared, expect }, Event::Failed(kind, what)) => match kind {
            ErrorKind::Unreachable | ErrorKind::NoLeader | ErrorKind::Full | ErrorKind::NoRoom => {
                next.publish(prepared, expect, true)
            }
            ErrorKind::Unknown | ErrorKind::Lagging | ErrorKind::Protocol => {
                next.read(Some((prepared, expect)), true)
            }
            _ => next.stop(StopReason::Exchange(what)),
        },
        // The result of a call that was dropped is ignored.
        (phase, _) => {
            next.phase = phase;
            Vec::new()
        }
    };
    (next, actions)
}

fn is_transient(kind: ErrorKind) -> bool {
    kind.is_transient() || kind == ErrorKind::Protocol
}

impl Lane {
    fn read(&mut self, pending: Option<Pending>, backed_off: bool) -> Vec<Action> {
        self.phase = Phase::Reading {
            pending,
            is_refused: false,
        };
        vec![Action::ReadTail { backed_off }]
    }

    fn publish(&mut self, prepared: PreparedChunk, expect: u64, backed_off: bool) -> Vec<Action> {
        self.phase = Phase::InFlight { prepared, expect };
        vec![Action::Publish { expect, backed_off }]
    }

    fn stop(&mut self, reason: StopReason) -> Vec<Action> {
        self.phase = Phase::Stopped(reason.clone());
        vec![Action::Stop(reason)]
    }

    /// Continues where the lane was if the tail is unchanged, and with the tail otherwise.
    fn finish_check(
        &mut self,
        tail: Option<Tail>,
        receipt: Option<ReceiptFrontier>,
        expect: u64,
    ) -> Vec<Action> {
        let is_unchanged =
            tail.as_ref().map(|tail| (tail.link, tail.sequence)) == self.seen.map(|link| (link, expect));
        if is_unchanged {
            self.phase = Phase::Idle { expect };
            return Vec::new();
        }
        self.handle_tail(tail, receipt, None)
    }

    fn handle_tail(
        &mut self,
        tail: Option<Tail>,
        receipt: Option<ReceiptFrontier>,
        pending: Option<Pending>,
    ) -> Vec<Action> {
        if self.went_backwards(tail.as_ref(), receipt.as_ref()) {
            return self.doubt(tail, receipt, pending, None);
        }
        let Some(tail) = tail else {
            return match pending {
                Some((prepared, 0)) => self.publish(prepared, 0, false),
                _ => self.adopt(None, 0, None),
            };
        };
        if tail.definition != self.definition {
            self.seen = Some(tail.link);
            return self.stop(StopReason::DefinitionChanged);
        }
        match pending {
            // The chunk is stored; its acknowledgement was lost.
            Some((prepared, _)) if tail.instance == self.instance && tail.link == prepared.link => {
                self.seen = Some(prepared.link);
                self.phase = Phase::Idle {
                    expect: tail.sequence,
                };
                vec![Action::Stored]
            }
            // The chunk is not stored, and no other process was faster. If the first attempt arrives late, compare-and-set
            // refuses one of the two.
            Some((prepared, expect)) if tail.sequence == expect && Some(tail.link) == self.seen => {
                self.publish(prepared, expect, false)
            }
            // A lost race, or an old chunk of this process that arrived late: the tail counts.
            _ => self.adopt(Some(tail.link), tail.sequence, tail.cursor),
        }
    }

    fn adopt(&mut self, seen: Option<Link>, expect: u64, cursor: Option<Cursor>) -> Vec<Action> {
        self.seen = seen;
        self.phase = Phase::Idle { expect };
        vec![Action::ReadFrom(cursor)]
    }
}

#[cfg(test)]
mod tests;
