//! What answering needs from outside: rules, keys, lists. Composed by the binary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gate::forecast::History;
use requests::blocklist::BlockList;
use requests::kind::Kinds;
use requests::mask::Mask;
use requests::mask::key::MaskKey;
use requests::quota::Quota;
use schemas::name::{OfficerName, RecipientName};
use schemas::sign::PublicKey;
use tokio::sync::watch;

/// Rules, keys and lists.
#[derive(Clone)]
pub struct Answering {
    /// What may be asked, by whom.
    pub kinds: Arc<Kinds>,
    /// How much each recipient may ask; who is not named is not limited.
    pub quotas: BTreeMap<RecipientName, Quota>,
    /// Keys that sign requests and cancels, by recipient.
    pub trusted_requests: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Keys that sign approvals, by officer.
    pub officers: BTreeMap<OfficerName, Vec<PublicKey>>,
    /// Persons about whom nothing is sent, as it is now.
    pub blocked: watch::Receiver<Arc<BlockList>>,
    /// Makes the tokens of masked columns; none where no grant has such a mask.
    pub masking: Option<Arc<MaskKey>>,
    /// The gate's history, from which forecasts are told; none: none is told.
    pub history: Option<watch::Receiver<Arc<History>>>,
    /// What an operator may set.
    pub options: AnswerOptions,
}

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerOptions {
    /// The second fixed interval: how long between looks for new requests.
    pub interval: Duration,
    /// How often an answer that failed is tried again before the request is told as failed.
    pub retries: u32,
    /// Days for which the exchange keeps requests: older ones are refused, for nobody could look up their outcome.
    pub retention_days: i32,
    /// One turn of this many at the gate is a feed's while feeds wait; at least 2.
    pub feed_share: u32,
    /// No answer is given from this long before a deadline on: it might be stored after it.
    pub margin: Duration,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            retries: 5,
            retention_days: 30,
            feed_share: 4,
            margin: Duration::from_secs(1),
        }
    }
}

/// Rules that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnsweringError {
    /// Tokens without a key to make them.
    #[error(
        "kind {kind:?} masks {column:?} as a token for {recipient}, and there is no key to make tokens: set [masking] key"
    )]
    NoMaskKey {
        /// The kind.
        kind: String,
        /// The column.
        column: String,
        /// For whom.
        recipient: RecipientName,
    },
}

impl Answering {
    /// Looks for contradictions; touches nothing.
    ///
    /// # Errors
    /// [`AnsweringError`] with the first one.
    pub fn check(&self) -> Result<(), AnsweringError> {
        if self.masking.is_some() {
            return Ok(());
        }
        for kind in self.kinds.iter() {
            for grant in &kind.config().grant {
                if let Some((column, _)) = grant.masks.iter().find(|(_, mask)| **mask == Mask::Token) {
                    return Err(AnsweringError::NoMaskKey {
                        kind: kind.name().to_owned(),
                        column: column.clone(),
                        recipient: grant.recipient.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering")
            .field("kinds", &self.kinds.iter().count())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
