//! What the gateway knows about itself: its tokens, certificate, settings and measurements; and the verification of the streams,
//! which the binary composes from the auditor's functions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use exchange::Exchange;
use jiff::Timestamp;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use serde_json::Value;

use super::{ConsoleRole, PartyRole};

/// A bearer token of the gateway, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id.
    pub id: String,
    /// The party that it authenticates.
    pub party: PartyName,
    /// Whether it opens the console, and in which role.
    pub console: Option<ConsoleRole>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The names that it is valid for.
    pub names: Vec<String>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// What a verification needs.
#[derive(Clone)]
pub struct VerifyRequest {
    /// The party whose credential reads.
    pub party: PartyName,
    /// Its role.
    pub role: PartyRole,
    /// The exchange, with the party's credential.
    pub exchange: Arc<dyn Exchange>,
    /// Keys of publishers of chunks.
    pub chunks: Vec<PublicKey>,
    /// Keys of receivers.
    pub receipts: Vec<PublicKey>,
    /// Keys of writers of audit entries.
    pub entries: Vec<PublicKey>,
    /// Counts the messages that were read.
    pub read: Arc<AtomicU64>,
}

impl VerifyRequest {
    /// Adds messages to the progress.
    pub fn note_read(&self, messages: u64) {
        self.read.fetch_add(messages, Ordering::Relaxed);
    }
}

impl fmt::Debug for VerifyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyRequest")
            .field("party", &self.party)
            .finish_non_exhaustive()
    }
}

/// The result of a verification, with the numbers of `slacktide audit verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Chunks in the streams.
    pub chunks: u64,
    /// Valid chunks.
    pub chunks_verified: u64,
    /// Those of `chunks_verified` whose rows were not checked, because they are encrypted.
    pub chunks_not_decrypted: u64,
    /// Valid receipts; `None` if the party may not read them.
    pub receipts_verified: Option<u64>,
    /// Valid audit entries; `None` if the party may not read them.
    pub entries_verified: Option<u64>,
    /// The lanes, each with its last chunk as `epoch.number`.
    pub lanes: Vec<(String, String)>,
    /// Heads of chains that were compared with those of the verification before; `None` in the first one.
    pub heads_compared: Option<u64>,
    /// What was not verified, one sentence each, as `audit verify` prints them.
    pub not_covered: Vec<String>,
    /// The first faults of each chain, as `audit verify` prints them.
    pub faults: Vec<String>,
}

/// The gateway that serves the console.
#[async_trait]
pub trait Machine: Send + Sync {
    /// Reads the tokens now. Blocks.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn tokens(&self) -> Result<Vec<TokenInfo>, String>;

    /// Reads the gateway's certificate now; `None` without TLS. Blocks.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn certificate(&self) -> Result<Option<CertificateInfo>, String>;

    /// Returns the configuration with every secret replaced.
    fn configuration(&self) -> String;

    /// Returns the document of the gateway's health page.
    fn status(&self) -> Value;

    /// Returns the gateway's metrics.
    fn metrics(&self) -> String;

    /// Verifies what the party may read.
    ///
    /// # Errors
    /// Why the streams cannot be read. A fault is a result.
    async fn verify(&self, request: VerifyRequest) -> Result<Verification, String>;
}
