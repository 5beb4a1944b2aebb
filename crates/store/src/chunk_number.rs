//! PURE: the number of a chunk in its lane.

use schemas::manifest::{Link, Manifest};
use serde::{Deserialize, Serialize};

use crate::arrival::Arrival;

/// The number of a chunk in its lane; it orders versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChunkNumber {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// The number in the epoch, counted from 1.
    pub number: u64,
}

impl ChunkNumber {
    /// The number before the first chunk.
    pub const BEGINNING: Self = Self { epoch: 1, number: 0 };

    /// Returns the chunk number of an arrival.
    #[must_use]
    pub fn of(arrival: &Arrival) -> Self {
        Self::from_manifest(&arrival.chunk.manifest)
    }

    /// Returns the chunk number of a manifest.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        Self {
            epoch: manifest.epoch,
            number: manifest.number,
        }
    }

    /// Returns the chunk number of a link.
    #[must_use]
    pub fn from_link(link: &Link) -> Self {
        Self {
            epoch: link.epoch,
            number: link.number,
        }
    }
}
