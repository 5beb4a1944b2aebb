//! The outcome of storing a chunk.

/// The outcome of storing a chunk. Every outcome except `Stopped` and `Deferred` may be settled as done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The rows and the ledger entry are committed.
    Stored {
        /// Rows in the chunk.
        rows: u64,
        /// Of these, rows that the receiver's constraints refused; they are in quarantine.
        quarantined: u64,
    },
    /// It was stored before; nothing changed.
    AlreadyStored,
    /// It belongs to the lost end of an epoch that a later one replaced; recorded, not stored.
    Superseded,
    /// The lane is stopped, perhaps by this chunk, or the chunk's columns changed and an operator must approve it.
    /// Nothing was stored. Deliver it again later.
    Stopped {
        /// The reason, for people.
        reason: String,
    },
    /// A chunk that it depends on (its epoch's opening, or the chunk that an opening continues) is in progress at
    /// another poller. Nothing was stored. Deliver it again soon.
    Deferred {
        /// What it waits for, for people.
        reason: String,
    },
}
