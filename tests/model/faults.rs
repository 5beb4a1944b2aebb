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
    /// A known fault is excused: a version that an epoch left behind stands before a lower place.
    pub(super) outranked: bool,
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
        outranked: true,
    };
}
