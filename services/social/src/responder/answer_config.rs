//! The configuration of the responder: rules, keys and lists.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use disclosure::blocklist::BlockList;
use disclosure::mask::Mask;
use disclosure::mask::key::MaskKey;
use recordings::forecast::History;
use requests::kind::Kinds;
use requests::quota::Quota;
use schemas::name::{OfficerName, RecipientName};
use schemas::sign::PublicKey;
use tokio::sync::watch;

/// Rules, keys and lists.
#[derive(Clone)]
pub struct AnswerConfig {
    /// The kinds and their grants.
    pub kinds: Arc<Kinds>,
    /// The quotas of recipients. Other recipients are not limited.
    pub quotas: BTreeMap<RecipientName, Quota>,
    /// Keys that sign requests and cancels, by recipient.
    pub trusted_requests: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Keys that sign approvals, by officer.
    pub officers: BTreeMap<OfficerName, Vec<PublicKey>>,
    /// The current block list.
    pub blocked: watch::Receiver<Arc<BlockList>>,
    /// The masking key, needed if a grant masks a column as a token.
    pub masking: Option<Arc<MaskKey>>,
    /// The gate's history for forecasts, if they are made.
    pub history: Option<watch::Receiver<Arc<History>>>,
    /// The options.
    pub options: AnswerOptions,
}

/// The options of the responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerOptions {
    /// The interval between polls for new requests.
    pub interval: Duration,
    /// How often a failed answer is retried before the request fails.
    pub retries: u32,
    /// Days for which the exchange keeps requests. Older ones are refused, because their outcome could not be looked up.
    pub retention_days: i32,
    /// One of this many turns at the gate is a feed's while feeds wait; at least 2.
    pub feed_share: u32,
    /// The margin before a deadline in which no answer is given, because it may be stored too late.
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

/// Why the configuration is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerConfigError {
    /// A token mask without a masking key.
    #[error(
        "kind {kind:?} masks {column:?} as a token for {recipient}, and there is no key to make tokens: set [masking] key"
    )]
    NoMaskKey {
        /// The kind.
        kind: String,
        /// The column.
        column: String,
        /// The recipient.
        recipient: RecipientName,
    },
}

impl AnswerConfig {
    /// Checks the configuration for contradictions.
    ///
    /// # Errors
    /// [`AnswerConfigError`] with the first one.
    pub fn check(&self) -> Result<(), AnswerConfigError> {
        if self.masking.is_some() {
            return Ok(());
        }
        for kind in self.kinds.iter() {
            for grant in &kind.config().grant {
                if let Some((column, _)) = grant.masks.iter().find(|(_, mask)| **mask == Mask::Token) {
                    return Err(AnswerConfigError::NoMaskKey {
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

impl std::fmt::Debug for AnswerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerConfig")
            .field("kinds", &self.kinds.iter().count())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
