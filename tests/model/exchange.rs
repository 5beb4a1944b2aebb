//! The simulated exchange: one lane's stream with compare-and-set, a durable consumer that delivers in any order and
//! repeatedly, receipts, the lease, a slow network, and copies.

use std::collections::BTreeMap;
use std::rc::Rc;

use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::{Link, Resync};
use schemas::source::SourceIdentity;
use social::epoch::ReceiptBasis;
use social::lease::Record;

use super::core::Row;

#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) link: Link,
    pub(super) previous: Option<Digest>,
    /// Set in an opening: the chunk that it continues.
    pub(super) opening: Option<Option<Link>>,
    pub(super) instance: String,
    pub(super) before: Option<Cursor>,
    pub(super) after: Option<Cursor>,
    pub(super) rows: Rc<Vec<Row>>,
    /// Generation of its column types.
    pub(super) generation: usize,
    pub(super) resync: Option<Resync>,
    /// The database that its rows were read from.
    pub(super) source: Option<SourceIdentity>,
    /// Set in an opening that accepts the source as it is.
    pub(super) accepts_source: bool,
    /// Set in the chunk that completes a resynchronisation, for the oracle only.
    pub(super) evidence: Option<Evidence>,
    /// When the exchange stored it.
    pub(super) exchanged_at: i64,
}

/// What the oracle needs about the end of a resynchronisation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// The incarnation of the core that was read.
    pub(super) incarnation: u32,
    /// Every row that was committed before this time has been sent.
    pub(super) since: i64,
}

impl Chunk {
    pub(super) fn digest_of(
        epoch: u32,
        number: u64,
        previous: Option<Digest>,
        instance: &str,
        rows: &[u8],
    ) -> Digest {
        let previous = previous.map_or([0; 32], |digest| digest.0);
        Digest::of(&[
            &epoch.to_le_bytes(),
            &number.to_le_bytes(),
            &previous,
            instance.as_bytes(),
            &[0],
            rows,
        ])
    }
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) chunk: Chunk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Ready { from: i64 },
    Out { until: i64 },
    Done,
}

#[derive(Debug, Clone)]
pub(super) struct Receipt {
    pub(super) sequence: u64,
    pub(super) signed: schemas::receipt::Receipt,
}

impl Receipt {
    /// Returns what a new epoch can continue from.
    pub(super) fn basis(&self) -> ReceiptBasis {
        ReceiptBasis {
            epoch: self.signed.epoch,
            to: self.signed.to,
            head: self.signed.head,
            cursor: self.signed.cursor.clone(),
        }
    }
}

/// Everything that a copy holds.
#[derive(Clone, Default)]
pub(super) struct ExchangeState {
    pub(super) log: Vec<Entry>,
    consumer: BTreeMap<u64, Delivery>,
    last: u64,
    pub(super) receipt: Option<Receipt>,
    pub(super) lease: Option<Record>,
}

#[derive(Default)]
pub(super) struct Exchange {
    pub(super) state: ExchangeState,
    /// Incremented by a restore: earlier deliveries can no longer be settled.
    pub(super) incarnation: u32,
}

/// `ack_wait`.
const OUT: i64 = 400;

impl Exchange {
    pub(super) fn tail(&self) -> Option<&Entry> {
        self.state.log.last()
    }

    /// Returns the tail as a replica has it that lags by so many chunks.
    pub(super) fn tail_of_replica(&self, lag: usize) -> Option<&Entry> {
        self.state.log.iter().rev().nth(lag)
    }

    fn next(&mut self) -> u64 {
        self.state.last += 1;
        self.state.last
    }

    pub(super) fn publish(&mut self, chunk: Chunk, expect: u64, compare: bool, now: i64) -> Option<u64> {
        if compare && self.tail().map_or(0, |entry| entry.sequence) != expect {
            return None;
        }
        let sequence = self.next();
        let chunk = Chunk {
            exchanged_at: now,
            ..chunk
        };
        self.state.log.push(Entry { sequence, chunk });
        self.state
            .consumer
            .insert(sequence, Delivery::Ready { from: now });
        Some(sequence)
    }

    pub(super) fn write_lease(&mut self, record: Record, expect: u64) -> Option<u64> {
        if self.state.lease.as_ref().map_or(0, |record| record.sequence) != expect {
            return None;
        }
        let sequence = self.next();
        self.state.lease = Some(Record { sequence, ..record });
        Some(sequence)
    }

    pub(super) fn write_receipt(&mut self, signed: schemas::receipt::Receipt, expect: u64) -> bool {
        if self.state.receipt.as_ref().map_or(0, |receipt| receipt.sequence) != expect {
            return false;
        }
        let sequence = self.next();
        self.state.receipt = Some(Receipt { sequence, signed });
        true
    }

    /// Reads chunks from a sequence on; the consumer does not move.
    pub(super) fn read(&self, from: u64, most: usize) -> Vec<Entry> {
        let entries = self.state.log.iter().filter(|entry| entry.sequence >= from);
        entries.take(most).cloned().collect()
    }

    pub(super) fn deliverable(&self, now: i64) -> Vec<u64> {
        let ready = |delivery: &Delivery| match delivery {
            Delivery::Ready { from } => *from <= now,
            Delivery::Out { until } => *until <= now,
            Delivery::Done => false,
        };
        self.state
            .consumer
            .iter()
            .filter(|(_, d)| ready(d))
            .map(|(sequence, _)| *sequence)
            .collect()
    }

    pub(super) fn deliver(&mut self, sequence: u64, now: i64) -> Option<Chunk> {
        self.state
            .consumer
            .insert(sequence, Delivery::Out { until: now + OUT });
        self.state
            .log
            .iter()
            .find(|entry| entry.sequence == sequence)
            .map(|entry| entry.chunk.clone())
    }

    pub(super) fn done(&mut self, sequence: u64) {
        self.state.consumer.insert(sequence, Delivery::Done);
    }

    pub(super) fn later(&mut self, sequence: u64, from: i64) {
        if self.state.consumer.get(&sequence) != Some(&Delivery::Done) {
            self.state.consumer.insert(sequence, Delivery::Ready { from });
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.state
            .consumer
            .values()
            .all(|delivery| *delivery == Delivery::Done)
    }

    pub(super) fn restore(&mut self, copy: ExchangeState) {
        self.state = copy;
        self.incarnation += 1;
    }
}
