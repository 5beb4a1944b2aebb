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
}

impl Env {
    pub(super) const WHOLE: Self = Self {
        compare_and_set: true,
        fence: true,
        guard: true,
        tombstones: true,
        restores: false,
    };
}
