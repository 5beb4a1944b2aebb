//! The faults and protections of a simulation. Each protection can be disabled, to show that the oracle detects what it
//! prevents.

/// Enabled faults and protections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Env {
    /// The exchange compares before it stores.
    pub(super) compare_and_set: bool,
    /// Only rows behind the fence are read.
    pub(super) fence: bool,
    /// An older (epoch, number) never overwrites a newer one.
    pub(super) guard: bool,
    /// A delete leaves a tombstone with its chunk number.
    pub(super) tombstones: bool,
    /// The exchange may be restored from an older copy.
    pub(super) restores: bool,
    /// A read of the exchange is answered by a replica that lags.
    pub(super) lags: bool,
    /// A lane is stopped as restored only by the leader's proofs.
    pub(super) asks_leader: bool,
    /// The core's columns change, and the operator sends everything again at any time.
    pub(super) changes: bool,
    /// A column is widened when its type at the core is.
    pub(super) widening: bool,
    /// Another type needs an approval before it is stored.
    pub(super) approval: bool,
    /// Values older than a type change go to the retired column.
    pub(super) retired_columns: bool,
    /// A chunk's rows and its entry in the ledger are one transaction.
    pub(super) one_transaction: bool,
    /// Messages do not open and rows are refused, temporarily or permanently; operators retry or discard them.
    pub(super) quarantine: bool,
    /// A retried row is merged under its chunk's number, so an older row never overwrites a newer one.
    pub(super) retries_under_chunk_number: bool,
    /// Tombstones stay while a lower chunk is in quarantine.
    pub(super) tombstones_wait: bool,
    /// The counts below the frontier are recomputed when an entry leaves the quarantine.
    pub(super) recounts: bool,
    /// A retried row and the end of its entry are one transaction.
    pub(super) ends_entry_with_row: bool,
    /// A message that opens now is checked against the ledger before it is stored.
    pub(super) checks_ledger_first: bool,
    /// The receiver's store is restored from older copies, altered by others, lost and replaced, or duplicated; operators refill
    /// it.
    pub(super) stores: bool,
    /// A store is compared with its own receipts.
    pub(super) compares_receipts: bool,
    /// A store takes nothing if another store signed the receipts.
    pub(super) identity: bool,
    /// The rows of the store's table are counted.
    pub(super) counts_rows: bool,
    /// A refill first marks the chunks that it stores again as awaited.
    pub(super) awaits_refill: bool,
    /// The core is restored from older copies or replaced by another one; operators resynchronise.
    pub(super) cores: bool,
    /// Operators resynchronise at any time, and the gate closes during reads.
    pub(super) resyncs: bool,
    /// Rows of the core vanish without a mark.
    pub(super) vanishing: bool,
    /// The source that a chunk names is compared with the one that is read.
    pub(super) compares_source_marks: bool,
    /// Each chunk of a resynchronisation carries its progress, so the next publisher can end it.
    pub(super) carries_progress: bool,
    /// A resynchronisation also sends rows beyond the fence.
    pub(super) reads_beyond_fence: bool,
    /// Rows sent from beyond the fence do not move the position.
    pub(super) keeps_position: bool,
    /// The chunk that completes it is stored only after everything before it.
    pub(super) tail_waits: bool,
    /// It removes nothing while a row may be missing without being deleted.
    pub(super) keeps_uncertain_rows: bool,
    /// Rows of superseded chunks are demoted, and chunks that were republished below them are awaited.
    pub(super) demotes_superseded: bool,
}

impl Env {
    pub(super) const ALL_PROTECTIONS: Self = Self {
        compare_and_set: true,
        fence: true,
        guard: true,
        tombstones: true,
        restores: false,
        lags: false,
        asks_leader: true,
        changes: false,
        widening: true,
        approval: true,
        retired_columns: true,
        one_transaction: true,
        quarantine: false,
        retries_under_chunk_number: true,
        tombstones_wait: true,
        recounts: true,
        ends_entry_with_row: true,
        checks_ledger_first: true,
        stores: false,
        compares_receipts: true,
        identity: true,
        counts_rows: true,
        awaits_refill: true,
        cores: false,
        resyncs: false,
        vanishing: false,
        compares_source_marks: true,
        carries_progress: true,
        reads_beyond_fence: true,
        keeps_position: true,
        tail_waits: true,
        keeps_uncertain_rows: true,
        demotes_superseded: true,
    };
}
