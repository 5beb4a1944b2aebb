//! PURE: the publisher's decisions for one lane.
//!
//! The exchange is the only state: a lane begins, and begins again after any doubt, with the last chunk that the exchange
//! holds. That chunk's instance and digest distinguish a lost acknowledgement from a lost race. The executor performs each
//! [`Action`] and returns an [`Event`]; the simulation uses this function too.
//!
//! The receipt is read *before* the last chunk. In the other order, a chunk that is published and received between the two
//! reads would look like a tail that went backwards.

use exchange::ErrorKind;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::Link;

use crate::stop::StopReason;

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
    Reading { pending: Option<(PreparedChunk, u64)> },
    /// The tail is known and nothing is in flight.
    Idle { expect: u64 },
    /// Like idle, while the tail is read again.
    Checking { expect: u64 },
    /// One chunk is in flight.
    InFlight { prepared: PreparedChunk, expect: u64 },
    /// Stopped.
    Stopped(StopReason),
}

/// One lane's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    instance: String,
    definition: Digest,
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
            phase: Phase::Resting,
            seen: None,
        }
    }

    /// Returns the position of the next chunk: after the one in flight, or after the tail. `None` while that is not known.
    #[must_use]
    pub fn next_position(&self) -> Option<ChainPosition> {
        let last = match &self.phase {
            Phase::Idle { .. } | Phase::Checking { .. } => self.seen,
            Phase::InFlight { prepared, .. } => Some(prepared.link),
            Phase::Resting | Phase::Reading { .. } | Phase::Stopped(_) => return None,
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
        phase,
        seen,
    } = lane;
    let mut next = Lane {
        instance,
        definition,
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
        (Phase::Reading { pending }, Event::TailRead { tail, receipt }) => {
            next.handle_tail(tail, receipt.as_ref(), pending)
        }
        (Phase::Stopped(reason), Event::TailRead { tail, receipt }) => {
            let epoch = |link: Option<Link>| link.map_or(0, |link| link.epoch);
            if reason.needs_epoch() && epoch(tail.as_ref().map(|tail| tail.link)) <= epoch(next.seen) {
                next.phase = Phase::Stopped(reason);
                Vec::new()
            } else {
                next.handle_tail(tail, receipt.as_ref(), None)
            }
        }
        (Phase::Idle { expect }, Event::Check) => {
            next.phase = Phase::Checking { expect };
            vec![Action::ReadTail { backed_off: false }]
        }
        (Phase::Checking { expect }, Event::TailRead { tail, receipt }) => {
            let is_unchanged =
                tail.as_ref().map(|tail| (tail.link, tail.sequence)) == next.seen.map(|link| (link, expect));
            if is_unchanged && !next.went_backwards(tail.as_ref(), receipt.as_ref()) {
                next.phase = Phase::Idle { expect };
                Vec::new()
            } else {
                next.handle_tail(tail, receipt.as_ref(), None)
            }
        }
        // A failed check proves nothing; the next publish detects a change.
        (Phase::Checking { expect }, Event::Failed(..)) => {
            next.phase = Phase::Idle { expect };
            Vec::new()
        }
        (Phase::Reading { .. } | Phase::Checking { .. }, Event::TailUnreadable(what)) => {
            next.stop(StopReason::TailUnreadable(what))
        }
        (Phase::Reading { pending }, Event::Failed(kind, what)) => {
            if is_transient(kind) {
                next.read(pending, true)
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
        (Phase::InFlight { prepared, expect }, Event::Conflict) => next.read(Some((prepared, expect)), false),
        (Phase::InFlight { prepared, expect }, Event::Failed(kind, what)) => match kind {
            ErrorKind::Unreachable | ErrorKind::Full | ErrorKind::NoRoom => {
                next.publish(prepared, expect, true)
            }
            ErrorKind::Unknown | ErrorKind::Protocol => next.read(Some((prepared, expect)), true),
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
    fn read(&mut self, pending: Option<(PreparedChunk, u64)>, backed_off: bool) -> Vec<Action> {
        self.phase = Phase::Reading { pending };
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

    fn handle_tail(
        &mut self,
        tail: Option<Tail>,
        receipt: Option<&ReceiptFrontier>,
        pending: Option<(PreparedChunk, u64)>,
    ) -> Vec<Action> {
        if self.went_backwards(tail.as_ref(), receipt) {
            return self.stop(StopReason::Restored);
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

    fn went_backwards(&self, tail: Option<&Tail>, receipt: Option<&ReceiptFrontier>) -> bool {
        let place = |link: Link| (link.epoch, link.number);
        let at = tail.map_or((0, 0), |tail| place(tail.link));
        let digest = tail.map(|tail| tail.link.digest);
        let below_seen = self
            .seen
            .is_some_and(|seen| at < place(seen) || (at == place(seen) && digest != Some(seen.digest)));
        let below_receipt = receipt.filter(|signed| signed.to > 0).is_some_and(|signed| {
            let signed_for = (signed.epoch, signed.to);
            at < signed_for || (at == signed_for && signed.head.is_some() && digest != signed.head)
        });
        below_seen || below_receipt
    }
}

#[cfg(test)]
mod tests;
