//! What the environment grants and what it does. Each protection can be taken away, to show
//! that the oracle sees what it is there for.

/// The protections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Env {
    /// The exchange compares before it stores.
    pub(super) compare_and_set: bool,
    /// Only rows behind the fence are read.
    pub(super) fence: bool,
    /// An older (epoch, number) never overwrites a newer one.
    pub(super) guard: bool,
    /// A delete leaves its place behind.
    pub(super) tombstones: bool,
    /// The exchange may be restored from an older copy.
    pub(super) restores: bool,
    /// The core's columns change, and the operator sends everything again, at any time.
    pub(super) changes: bool,
    /// A type that became wider is followed.
    pub(super) widening: bool,
    /// Another type is asked before it is stored.
    pub(super) asking: bool,
    /// What is older than a change goes to the column that was its own.
    pub(super) aside: bool,
    /// A chunk's rows and its entry in the ledger are one transaction.
    pub(super) one_transaction: bool,
    /// Messages do not open and rows are refused, for a while or for good; operators try again
    /// or give up.
    pub(super) quarantine: bool,
    /// A row that is tried again is merged under its chunk's place, so an older one never
    /// overwrites a newer one.
    pub(super) retried_in_place: bool,
    /// Tombstones stay while something below them is in quarantine.
    pub(super) tombstones_wait: bool,
    /// What stands below the frontier is counted anew when something leaves the quarantine.
    pub(super) recounts: bool,
    /// A row that is tried again and the end of its entry are one transaction.
    pub(super) ends_with_row: bool,
    /// A message that opens today is asked first whether it fits.
    pub(super) asked_first: bool,
    /// The receiver's store is restored from older copies, altered by others, lost and replaced, or has a second one beside
    /// it; operators refill it.
    pub(super) stores: bool,
    /// A store is compared with its own receipts.
    pub(super) compares: bool,
    /// A store takes nothing of which another one signed the receipts.
    pub(super) identity: bool,
    /// The rows of the store's table are counted.
    pub(super) counts: bool,
    /// A refill first awaits what it stores again.
    pub(super) awaits: bool,
    /// The core is restored from older copies or replaced by another one; operators resynchronise.
    pub(super) cores: bool,
    /// Operators resynchronise at any time, and the gate shuts in the middle of a read.
    pub(super) resyncs: bool,
    /// Rows of the core vanish without a mark.
    pub(super) vanishing: bool,
    /// The source that a chunk names is compared with the one that is read.
    pub(super) marks: bool,
    /// Each chunk of a resynchronisation carries its progress on, so whoever publishes next ends it.
    pub(super) carries: bool,
    /// A resynchronisation brings what lies beyond the fence, too.
    pub(super) beyond: bool,
    /// What it brings from beyond the fence keeps the position.
    pub(super) pins: bool,
    /// The chunk that completes it is stored only when everything before it is.
    pub(super) waits: bool,
    /// It removes nothing while a row may be missing without being gone.
    pub(super) keeps: bool,
    /// Rows of superseded chunks are demoted, and chunks that were republished below them are awaited.
    pub(super) demotes_superseded: bool,
}

impl Env {
    pub(super) const WHOLE: Self = Self {
        compare_and_set: true,
        fence: true,
        guard: true,
        tombstones: true,
        restores: false,
        changes: false,
        widening: true,
        asking: true,
        aside: true,
        one_transaction: true,
        quarantine: false,
        retried_in_place: true,
        tombstones_wait: true,
        recounts: true,
        ends_with_row: true,
        asked_first: true,
        stores: false,
        compares: true,
        identity: true,
        counts: true,
        awaits: true,
        cores: false,
        resyncs: false,
        vanishing: false,
        marks: true,
        carries: true,
        beyond: true,
        pins: true,
        waits: true,
        keeps: true,
        demotes_superseded: true,
    };
}
