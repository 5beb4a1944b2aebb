//! The result of a verification.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

use crate::chain;
use crate::fault::Fault;
use crate::heads::KeptHeads;
use crate::message::StreamId;
use crate::requests::RequestSummary;

/// The result of a verification.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    /// Lanes by name.
    pub lanes: BTreeMap<String, chain::Report>,
    /// Chunks in the stream, of all lanes.
    pub chunks: u64,
    /// Valid chunks of all lanes.
    pub chunks_verified: u64,
    /// Those of `chunks_verified` whose rows and sums were not checked: they are encrypted and no key was given.
    pub chunks_not_decrypted: u64,
    /// Chunks that were published under an older control record than an earlier chunk names.
    pub chunks_unanchored: u64,
    /// Rows whose values and sums were checked, of chunks and parts.
    pub rows_verified: u64,
    /// Valid receipts.
    pub receipts_verified: u64,
    /// Valid audit entries.
    pub entries_verified: u64,
    /// Valid records of orders.
    pub orders_verified: u64,
    /// Valid requests.
    pub requests_verified: u64,
    /// Valid cancellations.
    pub cancels_verified: u64,
    /// Valid decisions of officers.
    pub approvals_verified: u64,
    /// Valid progress updates.
    pub progress_verified: u64,
    /// Valid parts of answers.
    pub parts_verified: u64,
    /// Those of `parts_verified` whose rows and sums were not checked: they are encrypted and no key was given.
    pub parts_not_decrypted: u64,
    /// Valid replies.
    pub replies_verified: u64,
    /// Valid confirmations.
    pub confirms_verified: u64,
    /// The states of the requests.
    pub requests: RequestSummary,
    /// Chunks and parts whose load evidence was checked against the policy in it.
    pub loads_checked: u64,
    /// Chunks and parts with rows whose load evidence the policy in it does not allow. The first of each subject is a fault.
    pub loads_violated: u64,
    /// Chunks and parts that were read with a gate fixed open: no load was measured.
    pub loads_not_measured: u64,
    /// The use of each key.
    pub keys: Vec<KeyUse>,
    /// What the verification does not cover, one sentence each.
    pub not_covered: Vec<String>,
    /// The heads that the auditor keeps for `--since`: of every chain that was read completely.
    pub heads: KeptHeads,
    /// The first fault of each lane or chain, and every fault of other messages.
    pub faults: Vec<Fault>,
    /// The number of faults that are not listed, because there are too many.
    pub faults_not_listed: u64,
}

/// The use of a key in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUse {
    /// The key.
    pub key: PublicKey,
    /// The stream.
    pub stream: StreamId,
    /// The sequence of the first message that names it.
    pub first_sequence: u64,
    /// When that message was stored.
    pub first_at: Timestamp,
    /// The sequence of the last message that names it.
    pub last_sequence: u64,
    /// When that message was stored.
    pub last_at: Timestamp,
    /// The number of messages that name it.
    pub messages: u64,
}

/// Counts the use of keys.
#[derive(Debug, Clone, Default)]
pub struct KeyUses(BTreeMap<(PublicKey, StreamId), KeyUse>);

impl KeyUses {
    /// Counts a message that names a key.
    pub fn add(&mut self, key: &PublicKey, stream: &StreamId, sequence: u64, stored_at: Timestamp) {
        let entry = self.0.entry((key.clone(), stream.clone()));
        let key_use = entry.or_insert_with(|| KeyUse {
            key: key.clone(),
            stream: stream.clone(),
            first_sequence: sequence,
            first_at: stored_at,
            last_sequence: sequence,
            last_at: stored_at,
            messages: 0,
        });
        (key_use.last_sequence, key_use.last_at) = (sequence, stored_at);
        key_use.messages += 1;
    }

    /// Continues the uses of an earlier part of the streams.
    #[must_use]
    pub fn continuing(uses: &[KeyUse]) -> Self {
        let uses = uses.iter();
        Self(
            uses.map(|known| ((known.key.clone(), known.stream.clone()), known.clone()))
                .collect(),
        )
    }

    /// Returns the uses, sorted by key and stream.
    #[must_use]
    pub fn list(&self) -> Vec<KeyUse> {
        self.0.values().cloned().collect()
    }
}

/// The maximum number of listed faults. All are counted.
const MAX_FAULTS: usize = 1_000;

impl Findings {
    /// Returns whether there is no fault.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Adds a fault.
    pub fn add(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        } else {
            self.faults_not_listed += 1;
        }
    }

    /// Returns the number of messages that are valid.
    #[must_use]
    pub fn messages_verified(&self) -> u64 {
        [
            self.chunks_verified,
            self.receipts_verified,
            self.entries_verified,
            self.orders_verified,
            self.requests_verified,
            self.cancels_verified,
            self.approvals_verified,
            self.progress_verified,
            self.parts_verified,
            self.replies_verified,
            self.confirms_verified,
        ]
        .iter()
        .sum()
    }
}
