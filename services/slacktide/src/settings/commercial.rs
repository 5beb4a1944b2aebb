//! The insurer's file.

use std::path::PathBuf;

use runtime::health::HealthConfig;
use runtime::span::Span;
use schemas::name::{FeedName, PartyName, RecipientName, SourceName};
use schemas::origin::Origin;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};
use traces::TelemetryConfig;

use super::database::{self, DatabaseKind, DatabaseUrl};
use super::encryption::EncryptionTable;
use super::exchange::ExchangeTable;
use super::file::Validate;
use super::key::SigningTable;
use super::reconcile::ScheduleTable;
use super::requests::RequesterTable;
use super::status::StatusTable;
use super::store::{LedgerTable, StoreFeeds};
use super::telemetry;
use super::violation::ConfigViolation;

/// The configuration of `slacktide commercial`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommercialFile {
    /// The recipient that the agent serves.
    pub(crate) commercial: CommercialTable,
    /// The connection to the exchange.
    pub(crate) exchange: ExchangeTable,
    /// The key that signs receipts.
    pub(crate) signing: SigningTable,
    /// The trusted publishers.
    pub(crate) trust: CommercialTrust,
    /// The keys that decrypt chunks.
    #[serde(default)]
    pub(crate) encryption: EncryptionTable,
    /// The store.
    pub(crate) store: StoreTable,
    /// The polling interval for chunks.
    #[serde(default)]
    pub(crate) poll: PollTable,
    /// The polling interval for requests and replies.
    #[serde(default)]
    pub(crate) requests: RequesterTable,
    /// When the agent compares its store with the core.
    #[serde(default)]
    pub(crate) reconcile: ScheduleTable,
    /// The status page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<HealthConfig>,
    /// The publication of the status at the exchange.
    #[serde(default)]
    pub(crate) status: StatusTable,
    /// Traces; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telemetry: Option<TelemetryConfig>,
}

/// The `[commercial]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommercialTable {
    /// The recipient in the subjects.
    pub(crate) recipient: RecipientName,
    /// The bureau that chunks must name and that requests are for; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bureau: Option<PartyName>,
    /// The bureau's system of record that messages must name; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<SourceName>,
    /// The only feeds that are stored; without it every feed is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) feeds: Option<Vec<FeedName>>,
}

/// The `[trust]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommercialTrust {
    /// Signing keys of publishers, `A…`.
    pub(crate) chunks: Vec<PublicKey>,
    /// Signing keys of responders; empty: the publishers' keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replies: Vec<PublicKey>,
}

impl CommercialTrust {
    /// The keys of trusted responders.
    pub(crate) fn answers(&self) -> &[PublicKey] {
        if self.replies.is_empty() {
            &self.chunks
        } else {
            &self.replies
        }
    }
}

/// The `[store]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreTable {
    /// The database system.
    pub(crate) kind: DatabaseKind,
    /// PostgreSQL: the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<DatabaseUrl>,
    /// SQLite: the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// PostgreSQL: the schema of the target tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// PostgreSQL: a statement that runs longer is cancelled.
    #[serde(default = "five_minutes")]
    pub(crate) statement_timeout: Span,
    /// Whether a row's newest version, every version, or both are kept.
    #[serde(default)]
    pub(crate) mode: store::Mode,
    /// The ledger entries that are kept individually.
    #[serde(default)]
    pub(crate) ledger: LedgerTable,
    /// Settings of single feeds.
    #[serde(default, skip_serializing_if = "StoreFeeds::is_empty")]
    pub(crate) feed: StoreFeeds,
}

fn five_minutes() -> Span {
    Span::from_secs(300)
}

/// The `[poll]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PollTable {
    /// The time between ticks.
    pub(crate) interval: Span,
    /// The maximum number of messages per fetch.
    pub(crate) max_messages: usize,
}

impl Default for PollTable {
    fn default() -> Self {
        Self {
            interval: Span::from_secs(1),
            max_messages: commercial::PollOptions::default().max_messages,
        }
    }
}

impl CommercialFile {
    /// The origin that messages must carry.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            site: self.exchange.site.clone(),
            bureau: self.commercial.bureau.clone(),
            source: self.commercial.source.clone(),
        }
    }
}

impl Validate for CommercialFile {
    fn violations(&self) -> Vec<ConfigViolation> {
        let mut violations = self.exchange.violations();
        violations.extend(self.requests.violations());
        violations.extend(self.reconcile.violations());
        violations.extend(telemetry::violations(self.telemetry.as_ref()));
        if self.trust.chunks.is_empty() {
            violations.push(ConfigViolation::new(
                "trust.chunks",
                "is empty, so no chunk could be stored",
                "put the bureau's sign.pub (A…) there",
            ));
        }
        let store = &self.store;
        violations.extend(database::violations(
            "store",
            store.kind,
            store.url.as_ref(),
            store.path.as_deref(),
        ));
        violations.extend(super::store::violations(store.kind, &store.feed));
        violations.extend(store.ledger.violations());
        if store.kind == DatabaseKind::Sqlite && store.schema.is_some() {
            violations.push(ConfigViolation::new(
                "store.schema",
                "is for PostgreSQL, and kind is \"sqlite\"",
                "remove it",
            ));
        }
        if let Some(Err(what)) = store.schema.as_deref().map(store::naming::schema) {
            violations.push(ConfigViolation::new(
                "store.schema",
                what,
                "name another schema, or leave it out for \"public\"",
            ));
        }
        if self.commercial.feeds.as_ref().is_some_and(Vec::is_empty) {
            violations.push(ConfigViolation::new(
                "commercial.feeds",
                "is empty, so nothing would be stored",
                "name the feeds that are stored, or leave it out for all",
            ));
        }
        if !(1..=3_600).contains(&store.statement_timeout.get().as_secs()) {
            violations.push(ConfigViolation::new(
                "store.statement_timeout",
                format!("is {}", store.statement_timeout),
                "give 1s to 1h; 5m is usual, and a chunk must be stored within it",
            ));
        }
        if self.poll.interval.get().as_millis() < 10 {
            violations.push(ConfigViolation::new(
                "poll.interval",
                format!("is {}", self.poll.interval),
                "the minimum is 10ms; 1s is usual",
            ));
        }
        if !(1..=1_000).contains(&self.poll.max_messages) {
            violations.push(ConfigViolation::new(
                "poll.max_messages",
                format!("is {}", self.poll.max_messages),
                "give 1 to 1000; twice this times the pollers must stay below the consumer's max_ack_pending",
            ));
        }
        violations
    }
}
