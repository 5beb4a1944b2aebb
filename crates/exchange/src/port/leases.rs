//! Operations on leases.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::SourceName;

use super::Sequence;
use crate::error::Result;
use crate::outcome::{Published, Stored};

/// The lease of each source.
#[async_trait]
pub trait LeaseExchange: Send + Sync {
    /// Returns the lease record of a source.
    async fn lease(&self, source: &SourceName) -> Result<Option<Stored>>;

    /// Writes the lease record if it is still at `expected`.
    async fn write_lease(&self, source: &SourceName, bytes: Bytes, expected: Sequence) -> Result<Published>;
}
