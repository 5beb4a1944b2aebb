//! The lease: which process may read a source now. It provides liveness; compare-and-set provides safety.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::Payload;
use crate::heads::RecordRef;
use crate::name::SourceName;
use crate::sign::PublicKey;

/// Renewed by its holder by compare-and-set on its own subject. A standby measures with its own monotonic clock how long
/// the record has not changed, so clocks of two machines are never compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The source it is for.
    pub source: SourceName,
    /// The process that holds it; changes with every start.
    pub instance: String,
    /// Host and process, for display.
    pub holder: String,
    /// Incremented with every renewal.
    pub renewal: u64,
    /// How long it is valid after it was last written, in milliseconds.
    pub ttl_ms: u64,
    /// The newest control record that its holder knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<RecordRef>,
    /// Released: another process may take it at once.
    pub released: bool,
    /// When it was written, by the holder's clock; for display.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The key that signed.
    pub key: PublicKey,
}

impl Payload for Lease {
    const KIND: &'static str = "slacktide.lease.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}
