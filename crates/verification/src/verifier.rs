//! Takes the messages of all streams and applies every rule.
//!
//! Messages of one stream come in their order; the streams come in any order, whole or in parts, but what a message refers to comes
//! before it or before the end. Each lane is checked up to its first fault; the others continue.

mod apply;
mod finish;

use std::collections::{BTreeMap, BTreeSet};

use schemas::name::{Lane, PartyName};
use schemas::stream::Stream;

use crate::anchors::Anchors;
use crate::chain::Chain;
use crate::entries::Entries;
use crate::examine::{Examined, examine};
use crate::fault::Fault;
use crate::findings::{Findings, KeyUses};
use crate::message::{Message, StreamId};
use crate::orders::Orders;
use crate::receipts::Receipts;
use crate::requests::Requests;
use crate::trust::Trust;
use crate::violation::Violation;

/// Which messages the caller passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every message of the streams that it passes, so a gap between sequences is a fault, and a message that another one refers to
    /// must be there.
    Whole,
    /// Every message of some streams, which it lists: what refers to another stream is not judged.
    Streams,
    /// A selection of messages: what is missing is not judged.
    Part,
}

/// The ends of a stream as it is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StreamEnds {
    first: u64,
    last: u64,
}

/// The state of a verification.
#[derive(Debug)]
pub struct Verifier<'a> {
    trust: &'a Trust,
    scope: Scope,
    are_gaps_allowed: bool,
    /// Whether older messages of every stream are not in the evidence.
    starts_late: bool,
    findings: Findings,
    streams: BTreeMap<StreamId, StreamEnds>,
    lanes: BTreeMap<Lane, Chain>,
    anchors: Anchors,
    receipts: BTreeMap<Lane, Receipts>,
    entries: BTreeMap<String, Entries>,
    orders: BTreeMap<PartyName, Orders>,
    requests: Requests,
    keys: KeyUses,
    /// The streams that are passed, also those that hold nothing.
    listed: BTreeSet<StreamId>,
    /// Data subjects with a fault, which are not read on.
    stopped: BTreeSet<String>,
    /// Subjects with a fault of load evidence.
    overloaded: BTreeSet<String>,
    unanchored: Vec<Fault>,
    unverified: BTreeMap<Stream, u64>,
    lane_receipted: BTreeMap<Lane, (u32, u64)>,
    /// Gaps between receipts, which the limit of the stream may explain: known at the end.
    receipt_gaps: Vec<(StreamId, u64, Fault)>,
}

/// The maximum number of listed chunks under an older control record. All are counted.
const MAX_UNANCHORED: usize = 100;

impl<'a> Verifier<'a> {
    /// Begins a verification.
    #[must_use]
    pub fn new(trust: &'a Trust, scope: Scope) -> Self {
        Self {
            trust,
            scope,
            are_gaps_allowed: false,
            starts_late: false,
            findings: Findings::default(),
            streams: BTreeMap::new(),
            lanes: BTreeMap::new(),
            anchors: Anchors::default(),
            receipts: BTreeMap::new(),
            entries: BTreeMap::new(),
            orders: BTreeMap::new(),
            requests: Requests::default(),
            keys: KeyUses::default(),
            listed: BTreeSet::new(),
            stopped: BTreeSet::new(),
            overloaded: BTreeSet::new(),
            unanchored: Vec::new(),
            unverified: BTreeMap::new(),
            lane_receipted: BTreeMap::new(),
            receipt_gaps: Vec::new(),
        }
    }

    /// Notes that a stream is passed, also if it holds nothing.
    pub fn begin(&mut self, stream: &StreamId) {
        if !self.listed.contains(stream) {
            self.listed.insert(stream.clone());
        }
    }

    /// Declares that the evidence begins later than the streams, so that messages that others refer to may be older.
    pub fn start_late(&mut self) {
        self.starts_late = true;
    }

    /// Declares that only some messages of each stream are passed, whole lanes, so that gaps between sequences are no fault.
    pub fn allow_gaps(&mut self) {
        self.are_gaps_allowed = true;
    }

    /// Restricts the scope to the streams that are passed.
    pub fn restrict(&mut self) {
        if self.scope == Scope::Whole {
            self.scope = Scope::Streams;
        }
    }

    /// Takes the next message of its stream.
    pub fn push(&mut self, message: &Message<'_>) {
        if self.is_stopped(message) {
            self.push_examined(message, Err(Violation::NoLane));
            return;
        }
        let examined = examine(self.trust, message);
        self.push_examined(message, examined);
    }

    /// Takes the next message of its stream, which another thread may have examined.
    pub fn push_examined(&mut self, message: &Message<'_>, examined: Result<Examined, Violation>) {
        self.begin(message.stream);
        self.findings.chunks += u64::from(message.stream.stream == Stream::Data);
        self.check_sequence(message);
        if self.is_stopped(message) {
            return;
        }
        if self.trust.keys(message.stream.stream).is_empty() {
            *self.unverified.entry(message.stream.stream).or_default() += 1;
            return;
        }
        if let Ok(examined) = &examined {
            let (sequence, stored_at) = (message.sequence, message.stored_at);
            self.keys
                .add(&examined.signer, message.stream, sequence, stored_at);
        }
        self.apply(message, examined);
    }

    /// Adds a fault that the caller found.
    pub fn add_fault(&mut self, fault: Fault) {
        self.findings.add(fault);
    }

    /// Adds something that the caller knows is not covered.
    pub fn add_not_covered(&mut self, what: String) {
        self.findings.not_covered.push(what);
    }

    /// Returns the trusted keys.
    #[must_use]
    pub fn trust(&self) -> &'a Trust {
        self.trust
    }

    /// Returns the use of keys so far.
    #[must_use]
    pub fn keys(&self) -> &KeyUses {
        &self.keys
    }

    /// Returns the heads of all chains so far.
    #[must_use]
    pub fn heads(&self) -> crate::heads::KeptHeads {
        crate::heads::KeptHeads::of(&self.lanes, &self.receipts, &self.entries, &self.orders)
    }

    fn is_stopped(&self, message: &Message<'_>) -> bool {
        message.stream.stream == Stream::Data && self.stopped.contains(message.subject)
    }

    fn fail(&mut self, message: &Message<'_>, violation: &Violation) {
        let fault = Fault::of_message(message, violation.class(), violation.to_string());
        self.findings.add(fault);
    }

    fn check_sequence(&mut self, message: &Message<'_>) {
        let ends = self.streams.get_mut(message.stream);
        let last = ends.as_ref().map(|ends| ends.last);
        match ends {
            Some(ends) => ends.last = ends.last.max(message.sequence),
            None => {
                let ends = StreamEnds {
                    first: message.sequence,
                    last: message.sequence,
                };
                self.streams.insert(message.stream.clone(), ends);
            }
        }
        let Some(last) = last else { return };
        if message.sequence <= last {
            self.fail(message, &Violation::SequenceBackwards(last));
        } else if message.sequence > last + 1
            && self.scope != Scope::Part
            && !self.are_gaps_allowed
            && message.stream.stream != Stream::Progress
        {
            let missing = message.sequence - last - 1;
            let violation = Violation::MissingSequences {
                from: last + 1,
                to: message.sequence - 1,
            };
            if message.stream.stream == Stream::Receipts {
                let fault = Fault::of_message(message, violation.class(), violation.to_string());
                self.receipt_gaps.push((message.stream.clone(), missing, fault));
            } else {
                self.fail(message, &violation);
            }
        }
    }

    /// Returns whether the messages of a party's stream are passed. Without a list, every stream that exists is.
    fn is_passed(&self, stream: Stream, party: &str) -> bool {
        match self.scope {
            Scope::Whole => self.listed.iter().any(|listed| listed.stream == stream),
            Scope::Streams => self
                .listed
                .iter()
                .any(|listed| listed.stream == stream && listed.party.as_str() == party),
            Scope::Part => false,
        }
    }

    /// Returns whether messages before the first one of a stream are not in the evidence.
    fn begins_late(&self, stream: &StreamId) -> bool {
        self.scope == Scope::Part
            || self.starts_late
            || self.streams.get(stream).is_some_and(|ends| ends.first > 1)
    }
}
