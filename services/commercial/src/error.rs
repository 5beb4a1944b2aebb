//! Why a step of the insurer's agent failed. Every step is repeated, so each of these is retried.

use schemas::envelope::EnvelopeError;
use schemas::name::Lane;
use schemas::receipt::StoreId;

use crate::evidence::other_store;

/// Why a step failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// A message could not be signed.
    #[error(transparent)]
    Sign(#[from] EnvelopeError),
    /// The receipts of a lane belong to another store.
    #[error("{}", other_store(.lane, .own, .other))]
    OtherStore {
        /// The lane.
        lane: Lane,
        /// This store.
        own: StoreId,
        /// The store that signed the last receipt.
        other: StoreId,
    },
    /// A part of a reply was not opened to its end.
    #[error("opening a part ended early: {0}")]
    Opening(&'static str),
}
