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
    };
}
