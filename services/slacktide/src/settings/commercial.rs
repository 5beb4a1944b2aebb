//! The insurer's file.

use std::path::PathBuf;

use runtime::health::HealthConfig;
use runtime::span::Span;
use schemas::name::{FeedName, PartyName, RecipientName, SourceName};
use schemas::origin::Origin;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

use super::database::{self, DatabaseKind, DatabaseUrl};
use super::exchange::ExchangeTable;
use super::file::Checked;
use super::key::SigningTable;
use super::requests::AskTable;
use super::rule::Broken;
use super::sealing::SealingTable;
use super::store::{LedgerTable, StoreFeeds};

/// The configuration of `slacktide commercial`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommercialFile {
    /// Who it receives for.
    pub(crate) commercial: CommercialTable,
    /// How to reach the exchange.
    pub(crate) exchange: ExchangeTable,
    /// Signs receipts.
    pub(crate) signing: SigningTable,
    /// Whose chunks are stored.
    pub(crate) trust: CommercialTrust,
    /// What opens sealed chunks.
    #[serde(default)]
    pub(crate) sealing: SealingTable,
    /// Where they are stored.
    pub(crate) store: StoreTable,
    /// The first fixed interval.
    #[serde(default)]
    pub(crate) poll: PollTable,
    /// How often what is asked and answered is looked at.
    #[serde(default)]
    pub(crate) requests: AskTable,
    /// The status page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<HealthConfig>,
}

/// The `[commercial]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommercialTable {
    /// The recipient in the subjects.
    pub(crate) recipient: RecipientName,
    /// The bureau that chunks have to name, and that requests are for; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bureau: Option<PartyName>,
    /// The bureau's system of record, likewise.
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
    /// Signing keys of those who answer requests; none: those of publishers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replies: Vec<PublicKey>,
}

impl CommercialTrust {
    /// Whose answers are stored.
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
    /// Which database.
    pub(crate) kind: DatabaseKind,
    /// PostgreSQL: where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<DatabaseUrl>,
    /// SQLite: which file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// PostgreSQL: the schema of the target tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// PostgreSQL: a statement that runs longer is cancelled.
    #[serde(default = "five_minutes")]
    pub(crate) statement_timeout: Span,
    /// What is kept of a row: its newest version, every version, or both.
    #[serde(default)]
    pub(crate) mode: store::Mode,
    /// Which entries of the ledger are kept one by one.
    #[serde(default)]
    pub(crate) ledger: LedgerTable,
    /// What differs by feed.
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
    /// From tick to tick.
    pub(crate) interval: Span,
    /// Most messages of a fetch.
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
    /// Where messages have to belong.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            site: self.exchange.site.clone(),
            bureau: self.commercial.bureau.clone(),
            source: self.commercial.source.clone(),
        }
    }
}

impl Checked for CommercialFile {
    fn broken(&self) -> Vec<Broken> {
        let mut broken = self.exchange.broken();
        broken.extend(self.requests.broken());
        if self.trust.chunks.is_empty() {
            broken.push(Broken::new(
                "trust.chunks",
                "is empty, so no chunk could be stored",
                "put the bureau's sign.pub (A…) there",
            ));
        }
        let store = &self.store;
        broken.extend(database::broken(
            "store",
            store.kind,
            store.url.as_ref(),
            store.path.as_deref(),
        ));
        broken.extend(super::store::broken(store.kind, &store.feed));
        broken.extend(store.ledger.broken());
        if store.kind == DatabaseKind::Sqlite && store.schema.is_some() {
            broken.push(Broken::new(
                "store.schema",
                "is for PostgreSQL, and kind is \"sqlite\"",
                "remove it",
            ));
        }
        if let Some(Err(what)) = store.schema.as_deref().map(store::naming::schema) {
            broken.push(Broken::new(
                "store.schema",
                what,
                "name another schema, or leave it out for \"public\"",
            ));
        }
        if self.commercial.feeds.as_ref().is_some_and(Vec::is_empty) {
            broken.push(Broken::new(
                "commercial.feeds",
                "is empty, so nothing would be stored",
                "name the feeds that are stored, or leave it out for all",
            ));
        }
        if !(1..=3_600).contains(&store.statement_timeout.get().as_secs()) {
            broken.push(Broken::new(
                "store.statement_timeout",
                format!("is {}", store.statement_timeout),
                "give 1s to 1h; 5m is usual, and a chunk must be stored within it",
            ));
        }
        if self.poll.interval.get().as_millis() < 10 {
            broken.push(Broken::new(
                "poll.interval",
                format!("is {}", self.poll.interval),
                "10ms is the least; 1s is usual",
            ));
        }
        if !(1..=1_000).contains(&self.poll.max_messages) {
            broken.push(Broken::new(
                "poll.max_messages",
                format!("is {}", self.poll.max_messages),
                "give 1 to 1000; twice this times the pollers must stay below the consumer's max_ack_pending",
            ));
        }
        broken
    }
}
