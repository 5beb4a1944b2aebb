//! The lease: who may read a source now. It gives liveness; safety is the compare-and-set's.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::Payload;
use crate::heads::Mark;
use crate::name::SourceName;
use crate::sign::PublicKey;

/// Written by its holder, again and again, by compare-and-set on its own subject. A standby
/// counts by its own steady clock how long the record has not changed, so no two clocks are
/// ever compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The source it is for.
    pub source: SourceName,
    /// The process that holds it; one life of one process.
    pub instance: String,
    /// Host and process, for people.
    pub holder: String,
    /// Counted up with every renewal.
    pub renewal: u64,
    /// How long it holds after it was last written, in milliseconds.
    pub ttl_ms: u64,
    /// The newest control record that its holder knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Mark>,
    /// Given back: the next may take it at once.
    pub released: bool,
    /// When it was written, by the holder's clock; for people.
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
