//! PURE: the publisher's decisions for one lane.
//!
//! The exchange is the only state: a lane begins, and begins again after any doubt, with the
//! last chunk that the exchange holds. That chunk's instance and digest tell a lost
//! acknowledgement from a lost race. The executor does what [`Action`] says and comes back with
//! an [`Event`]; so does the simulation, with this very function.
//!
//! The receipt is read *before* the last chunk. The other way round a chunk published and
//! received between the two reads would look like a tail that went backwards.

use exchange::ErrorKind;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::Link;

use crate::stop::StopReason;

/// The lane's last chunk as the exchange holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Its sequence: expected by the next publish.
    pub sequence: u64,
    /// Its name in the chain.
    pub link: Link,
    /// The process that published it.
    pub instance: String,
    /// The digest of the definition it was read by.
    pub definition: Digest,
    /// The position after it.
    pub cursor: Option<Cursor>,
}

/// What the receiver last signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Epoch of `to`.
    pub epoch: u32,
    /// The frontier; 0: nothing yet.
    pub to: u64,
    /// The digest of chunk `to`.
    pub head: Option<Digest>,
}

/// A chunk that was sealed and waits to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name in the chain.
    pub link: Link,
    /// The position after it.
    pub cursor: Option<Cursor>,
}

/// Where the next chunk stands in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// The digest of the chunk before it.
    pub previous: Option<Digest>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The start, a lease just taken, or the slow look at a stopped lane.
    Begin,
    /// Time for a look at the exchange although nothing is in doubt: it may have been restored
    /// while nothing was published.
    Check,
    /// The exchange was read: the receipt first, then the last chunk.
    TailRead {
        /// The last chunk; none: the subject is empty.
        tail: Option<Tail>,
        /// The last receipt.
        receipt: Option<Signed>,
    },
    /// The last chunk could not be read or trusted.
    TailUnreadable(String),
    /// A chunk was sealed for [`Lane::next_place`].
    Ready(Offer),
    /// The chunk in flight is stored.
    Acked {
        /// At this sequence.
        sequence: u64,
    },
    /// Somebody else wrote first.
    Conflict,
    /// The verb in flight failed.
    Failed(ErrorKind, String),
    /// What was read shows that the source is not the one of the lane's last chunk.
    SourceChanged(String),
    /// The lease is not held any more.
    LeaseLost,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read the last receipt, then the last chunk.
    ReadTail {
        /// Only after a back-off.
        backed_off: bool,
    },
    /// Publish the offered chunk.
    Publish {
        /// The sequence it expects to follow.
        expect: u64,
        /// Only after a back-off.
        backed_off: bool,
    },
    /// The offered chunk is in the exchange; the next may come.
    Stored,
    /// Drop whatever was read and not stored, and read on from here.
    ReadFrom(Option<Cursor>),
    /// Read nothing for this lane and look again later.
    Stop(StopReason),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing is known, or not any more.
    Resting,
    /// The tail is being read; a chunk whose fate is unknown may be pending.
    Reading { pending: Option<(Offer, u64)> },
    /// The tail is known and nothing is in flight.
    Idle { expect: u64 },
    /// As idle, while the tail is read once more.
    Checking { expect: u64 },
    /// One chunk is in flight.
    InFlight { offer: Offer, expect: u64 },
    /// Stopped.
    Stopped(StopReason),
}

/// One lane's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    instance: String,
    definition: Digest,
    phase: Phase,
    /// The highest place that this process saw stored; a tail below it went backwards.
    seen: Option<Link>,
}

impl Lane {
    /// A lane of which nothing is known, for one life of one process.
    #[must_use]
    pub fn new(instance: String, definition: Digest) -> Self {
        Self {
            instance,
            definition,
            phase: Phase::Resting,
            seen: None,
        }
    }

    /// Where the next chunk stands: behind the one in flight, or behind the tail. None while
    /// that is not known.
    #[must_use]
    pub fn next_place(&self) -> Option<Place> {
        let last = match &self.phase {
            Phase::Idle { .. } | Phase::Checking { .. } => self.seen,
            Phase::InFlight { offer, .. } => Some(offer.link),
            Phase::Resting | Phase::Reading { .. } | Phase::Stopped(_) => return None,
        };
        Some(last.map_or(
            Place {
                epoch: 1,
                number: 1,
                previous: None,
            },
            |link| Place {
                epoch: link.epoch,
                number: link.number + 1,
                previous: Some(link.digest),
            },
        ))
    }

    /// The highest chunk known to be stored.
    #[must_use]
    pub fn last(&self) -> Option<Link> {
        self.seen
    }

    /// Whether a chunk is in flight.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        matches!(self.phase, Phase::InFlight { .. })
    }

    /// Why the lane is stopped.
    #[must_use]
    pub fn stopped(&self) -> Option<&StopReason> {
        match &self.phase {
            Phase::Stopped(reason) => Some(reason),
            _ => None,
        }
    }

    /// A word for the operator.
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

/// One decision.
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
            // The reason is kept until the exchange was read: it decides what lifts it.
            next.phase = Phase::Stopped(reason);
            vec![Action::ReadTail { backed_off: false }]
        }
        (_, Event::Begin) => next.read(None, false),
        (Phase::Reading { pending }, Event::TailRead { tail, receipt }) => {
            next.judge(tail, receipt.as_ref(), pending)
        }
        (Phase::Stopped(reason), Event::TailRead { tail, receipt }) => {
            let epoch = |link: Option<Link>| link.map_or(0, |link| link.epoch);
            if reason.needs_epoch() && epoch(tail.as_ref().map(|tail| tail.link)) <= epoch(next.seen) {
                next.phase = Phase::Stopped(reason);
                Vec::new()
            } else {
                next.judge(tail, receipt.as_ref(), None)
            }
        }
        (Phase::Idle { expect }, Event::Check) => {
            next.phase = Phase::Checking { expect };
            vec![Action::ReadTail { backed_off: false }]
        }
        (Phase::Checking { expect }, Event::TailRead { tail, receipt }) => {
            let unmoved =
                tail.as_ref().map(|tail| (tail.link, tail.sequence)) == next.seen.map(|link| (link, expect));
            if unmoved && !next.went_backwards(tail.as_ref(), receipt.as_ref()) {
                next.phase = Phase::Idle { expect };
                Vec::new()
            } else {
                next.judge(tail, receipt.as_ref(), None)
            }
        }
        // A look that failed says nothing; what is published next finds out.
        (Phase::Checking { expect }, Event::Failed(..)) => {
            next.phase = Phase::Idle { expect };
            Vec::new()
        }
        (Phase::Reading { .. } | Phase::Checking { .. }, Event::TailUnreadable(what)) => {
            next.stop(StopReason::TailUnreadable(what))
        }
        (Phase::Reading { pending }, Event::Failed(kind, what)) => {
            if can_pass(kind) {
                next.read(pending, true)
            } else {
                next.stop(StopReason::Exchange(what))
            }
        }
        (Phase::Idle { expect }, Event::Ready(offer)) => next.publish(offer, expect, false),
        // A chunk that could not even be sealed.
        (Phase::Idle { .. }, Event::Failed(_, what)) => next.stop(StopReason::Exchange(what)),
        (Phase::InFlight { offer, .. }, Event::Acked { sequence }) => {
            next.seen = Some(offer.link);
            next.phase = Phase::Idle { expect: sequence };
            vec![Action::Stored]
        }
        (Phase::InFlight { offer, expect }, Event::Conflict) => next.read(Some((offer, expect)), false),
        (Phase::InFlight { offer, expect }, Event::Failed(kind, what)) => match kind {
            ErrorKind::Unreachable | ErrorKind::Full | ErrorKind::NoRoom => next.publish(offer, expect, true),
            ErrorKind::Unknown | ErrorKind::Protocol => next.read(Some((offer, expect)), true),
            _ => next.stop(StopReason::Exchange(what)),
        },
        // An answer to a question that was dropped: nothing follows from it.
        (phase, _) => {
            next.phase = phase;
            Vec::new()
        }
    };
    (next, actions)
}

fn can_pass(kind: ErrorKind) -> bool {
    kind.passes() || kind == ErrorKind::Protocol
}

impl Lane {
    fn read(&mut self, pending: Option<(Offer, u64)>, backed_off: bool) -> Vec<Action> {
        self.phase = Phase::Reading { pending };
        vec![Action::ReadTail { backed_off }]
    }

    fn publish(&mut self, offer: Offer, expect: u64, backed_off: bool) -> Vec<Action> {
        self.phase = Phase::InFlight { offer, expect };
        vec![Action::Publish { expect, backed_off }]
    }

    fn stop(&mut self, reason: StopReason) -> Vec<Action> {
        self.phase = Phase::Stopped(reason.clone());
        vec![Action::Stop(reason)]
    }

    fn judge(
        &mut self,
        tail: Option<Tail>,
        receipt: Option<&Signed>,
        pending: Option<(Offer, u64)>,
    ) -> Vec<Action> {
        if self.went_backwards(tail.as_ref(), receipt) {
            return self.stop(StopReason::Restored);
        }
        let Some(tail) = tail else {
            return match pending {
                Some((offer, 0)) => self.publish(offer, 0, false),
                _ => self.adopt(None, 0, None),
            };
        };
        if tail.definition != self.definition {
            self.seen = Some(tail.link);
            return self.stop(StopReason::DefinitionChanged);
        }
        match pending {
            // Stored; its acknowledgement was lost.
            Some((offer, _)) if tail.instance == self.instance && tail.link == offer.link => {
                self.seen = Some(offer.link);
                self.phase = Phase::Idle {
                    expect: tail.sequence,
                };
                vec![Action::Stored]
            }
            // Not stored, and nobody else was faster. Should the first attempt arrive late,
            // the compare-and-set refuses one of the two.
            Some((offer, expect)) if tail.sequence == expect && Some(tail.link) == self.seen => {
                self.publish(offer, expect, false)
            }
            // A lost race, or an own chunk of long ago that arrived late: the tail is what counts.
            _ => self.adopt(Some(tail.link), tail.sequence, tail.cursor),
        }
    }

    fn adopt(&mut self, seen: Option<Link>, expect: u64, cursor: Option<Cursor>) -> Vec<Action> {
        self.seen = seen;
        self.phase = Phase::Idle { expect };
        vec![Action::ReadFrom(cursor)]
    }

    fn went_backwards(&self, tail: Option<&Tail>, receipt: Option<&Signed>) -> bool {
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
