//! The settings and dependencies of the agent.

use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use schemas::encryption::DecryptionKeys;
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::sign::{PublicKey, SigningKey};
use store::{LedgerRetention, Store};

use crate::status::StatusRegistry;

/// Settings of the poller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollOptions {
    /// The interval between ticks.
    pub interval: Duration,
    /// The maximum number of messages in one fetch. With chunks of 250 KB this bounds memory too.
    pub max_messages: usize,
    /// The maximum packed bytes of one transaction.
    pub max_bytes: usize,
    /// How long a stop may take. Everything that is unfinished then is delivered again.
    pub grace: Duration,
    /// The ledger entries that are kept.
    pub ledger_retention: LedgerRetention,
}

impl Default for PollOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            max_messages: 32,
            max_bytes: 4_000_000,
            grace: Duration::from_secs(10),
            ledger_retention: LedgerRetention::default(),
        }
    }
}

/// The parts of the agent.
pub struct CommercialParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The receiver.
    pub store: Arc<dyn Store>,
    /// The recipient.
    pub recipient: RecipientName,
    /// Public keys whose chunks are stored.
    pub trusted: Vec<PublicKey>,
    /// The origin that chunks and receipts must have.
    pub here: Origin,
    /// The keys that open encrypted chunks.
    pub decryption_keys: DecryptionKeys,
    /// Signs receipts.
    pub key: Arc<SigningKey>,
    /// What an operator may set.
    pub options: PollOptions,
    /// The registry of the agent's status.
    pub registry: StatusRegistry,
}
