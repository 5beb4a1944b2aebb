//! PURE: the identity of a store.

use schemas::receipt::StoreId;

/// The identity of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its own id.
    pub id: StoreId,
    /// The stores that an operator replaced by it.
    pub replaces: Vec<StoreId>,
}

impl Identity {
    /// Returns whether receipts of this store are its own, or those of a store that it replaces.
    #[must_use]
    pub fn owns(&self, store: &StoreId) -> bool {
        self.id == *store || self.replaces.contains(store)
    }
}
