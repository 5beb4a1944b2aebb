//! The bureau's file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use gate::GateConfig;
use requests::kind::KindConfig;
use runtime::health::HealthConfig;
use runtime::span::Span;
use schemas::name::{OfficerName, PartyName, RecipientName, SourceName};
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

use super::blocklist::BlocklistTable;
use super::database::{self, DatabaseKind, DatabaseUrl};
use super::exchange::ExchangeTable;
use super::feed::FeedTable;
use super::file::Checked;
use super::key::SigningTable;
use super::masking::MaskingTable;
use super::priority::PriorityTable;
use super::requests::AnswerTable;
use super::rule::Broken;
use super::sealing::SocialSealing;

/// The configuration of `slacktide social`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocialFile {
    /// Who publishes, from which system of record.
    pub(crate) social: SocialTable,
    /// How to reach the exchange.
    pub(crate) exchange: ExchangeTable,
    /// Signs chunks.
    pub(crate) signing: SigningTable,
    /// Whose receipts count.
    #[serde(default)]
    pub(crate) trust: SocialTrust,
    /// Whose chunks are sealed.
    #[serde(default)]
    pub(crate) sealing: SocialSealing,
    /// The system of record.
    pub(crate) source: SourceTable,
    /// About whom nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blocklist: Option<BlocklistTable>,
    /// What makes the tokens of masked columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masking: Option<MaskingTable>,
    /// When it may be touched.
    #[serde(default)]
    pub(crate) gate: GateConfig,
    /// How far behind others the agent puts itself.
    #[serde(default)]
    pub(crate) priority: PriorityTable,
    /// Who of several agents works.
    #[serde(default)]
    pub(crate) lease: LeaseTable,
    /// How it is read.
    #[serde(default)]
    pub(crate) publisher: PublisherTable,
    /// The status page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<HealthConfig>,
    /// How requests are answered.
    #[serde(default)]
    pub(crate) requests: AnswerTable,
    /// What is published.
    #[serde(default, rename = "feed")]
    pub(crate) feeds: Vec<FeedTable>,
    /// What may be asked.
    #[serde(default, rename = "kind", skip_serializing_if = "Vec::is_empty")]
    pub(crate) kinds: Vec<KindConfig>,
}

/// The `[social]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocialTable {
    /// The party.
    pub(crate) name: PartyName,
    /// The system of record's name: the lease's.
    pub(crate) source: SourceName,
}

/// The `[trust]` table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SocialTrust {
    /// Signing keys of receivers, by recipient.
    pub(crate) receipts: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Signing keys of other publishers of the same feeds; our own is always trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) chunks: Vec<PublicKey>,
    /// Signing keys of those who may order the gate; our own is always trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) operators: Vec<PublicKey>,
    /// Signing keys of those who ask, by recipient. Who is not named asks with the keys of its receipts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) requests: BTreeMap<RecipientName, Vec<PublicKey>>,
    /// Signing keys of the people who approve requests, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) officers: BTreeMap<OfficerName, Vec<PublicKey>>,
}

/// The `[source]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceTable {
    /// Which database.
    pub(crate) kind: DatabaseKind,
    /// PostgreSQL: where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<DatabaseUrl>,
    /// SQLite: which file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// A statement that runs longer is cancelled.
    #[serde(default = "second")]
    pub(crate) statement_timeout: Span,
    /// PostgreSQL: roles declared never to write, such as the backup's: they do not hold the fence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) read_only_roles: Vec<String>,
    /// PostgreSQL: serve although the account may write to the feeds' tables.
    #[serde(default)]
    pub(crate) allow_writable_account: bool,
}

fn second() -> Span {
    Span::from_secs(1)
}

/// The `[lease]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LeaseTable {
    /// How long a standby waits for a sign of life.
    pub(crate) ttl: Span,
}

impl Default for LeaseTable {
    fn default() -> Self {
        Self {
            ttl: Span::from_secs(3),
        }
    }
}

/// The `[publisher]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PublisherTable {
    /// How long one quantum should take on the source.
    pub(crate) quantum: Span,
    /// Most rows of a quantum.
    pub(crate) quantum_rows: usize,
    /// How old an open chunk may get.
    pub(crate) close_after: Span,
    /// How long a feed rests when everything is read.
    pub(crate) idle_poll: Span,
}

impl Default for PublisherTable {
    fn default() -> Self {
        Self {
            quantum: Span::from_millis(20),
            quantum_rows: 20_000,
            close_after: Span::from_millis(200),
            idle_poll: Span::from_millis(500),
        }
    }
}

impl Checked for SocialFile {
    fn broken(&self) -> Vec<Broken> {
        let mut broken = self.exchange.broken();
        broken.extend(self.sealing.broken());
        let source = &self.source;
        broken.extend(database::broken(
            "source",
            source.kind,
            source.url.as_ref(),
            source.path.as_deref(),
        ));
        let mut say = |key: &str, what: String, remedy: &str| broken.push(Broken::new(key, what, remedy));
        if !within(source.statement_timeout, 10, 60_000) {
            say(
                "source.statement_timeout",
                format!("is {}", source.statement_timeout),
                "give 10ms to 1m; short statements are what keeps the core unharmed",
            );
        }
        if source.kind == DatabaseKind::Sqlite && !source.read_only_roles.is_empty() {
            say(
                "source.read_only_roles",
                "is for PostgreSQL, and kind is \"sqlite\"".to_owned(),
                "remove it",
            );
        }
        if let Err(error) = self.gate.validate() {
            say(&format!("gate.{}", error.key), error.what, error.remedy);
        }
        if !within(self.lease.ttl, 300, 60_000) {
            say(
                "lease.ttl",
                format!("is {}", self.lease.ttl),
                "give 300ms to 1m; 3s is usual",
            );
        }
        let publisher = &self.publisher;
        if !within(publisher.quantum, 1, 1_000) {
            say(
                "publisher.quantum",
                format!("is {}", publisher.quantum),
                "give 1ms to 1s; 20ms is usual",
            );
        }
        if publisher.quantum.get() > source.statement_timeout.get() {
            say(
                "publisher.quantum",
                "is longer than source.statement_timeout".to_owned(),
                "make it shorter, or every quantum is cancelled",
            );
        }
        if !(1..=1_000_000).contains(&publisher.quantum_rows) {
            say(
                "publisher.quantum_rows",
                format!("is {}", publisher.quantum_rows),
                "give 1 to 1000000",
            );
        }
        if !within(publisher.close_after, 1, 60_000) {
            say(
                "publisher.close_after",
                format!("is {}", publisher.close_after),
                "give 1ms to 1m; 200ms is usual",
            );
        }
        if !within(publisher.idle_poll, 10, 3_600_000) {
            say(
                "publisher.idle_poll",
                format!("is {}", publisher.idle_poll),
                "give 10ms to 1h",
            );
        }
        // Made and dropped; nothing is opened before it is asked.
        if let (DatabaseKind::Sqlite, Some(path)) = (source.kind, &source.path)
            && let Err(error) = source::sqlite::probes(path, &self.gate.signals)
        {
            say("gate.signals", error.what, &error.remedy);
        }
        if self.feeds.is_empty() && self.kinds.is_empty() {
            say(
                "feed",
                "there is none".to_owned(),
                "describe at least one [[feed]], or one [[kind]] of requests",
            );
        }
        broken.extend(self.broken_requests());
        let mut seen = BTreeSet::new();
        for (at, feed) in self.feeds.iter().enumerate() {
            broken.extend(feed.broken(at, source.kind, &mut seen));
            broken.extend(feed.broken_masks(at, self.masking.is_some()));
            for recipient in feed
                .recipients
                .iter()
                .filter(|name| !self.trust.receipts.contains_key(name))
            {
                broken.push(Broken::in_feed(
                    at,
                    "recipients",
                    format!("names {recipient}, whose receipts nobody could check"),
                    format!("put its sign.pub into [trust]: receipts.{recipient} = [\"A…\"]"),
                ));
            }
        }
        broken
    }
}

fn within(span: Span, least: u64, most: u64) -> bool {
    (Span::from_millis(least)..=Span::from_millis(most)).contains(&span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[social]\nname = \"bureau\"\nsource = \"core\"\n[exchange]\nurl = \"nats://a:1\"\nuser = \"bureau\"\nseed = { env = \"S\" }\n[signing]\nseed = { env = \"T\" }\n[source]\nkind = \"sqlite\"\npath = \"core.db\"\n";
    const FEED: &str = "[[feed]]\nname = \"setl\"\nsql = \"SELECT * FROM setl\"\ncursor = [\"updt_time\", \"id\"]\ncursor_set_by = \"application\"\nlag = \"1s\"\nkey = [\"id\"]\nrecipients = [\"insurer-a\"]\n";

    fn file(change: impl Fn(String) -> String) -> Result<SocialFile, String> {
        let key = schemas::sign::SigningKey::generate();
        let trust = format!("[trust.receipts]\ninsurer-a = [\"{}\"]\n", key.public());
        toml::from_str(&change(format!("{HEAD}{trust}{FEED}"))).map_err(|error| error.to_string())
    }

    fn first(change: impl Fn(String) -> String) -> String {
        match file(change) {
            Ok(file) => file
                .broken()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_whole_file_breaks_no_rule() {
        assert_eq!(first(|text| text), "");
    }

    #[test]
    fn each_rule_has_its_own_sentence() {
        for (from, to, wanted) in [
            ("lag = \"1s\"\n", "", "feed.lag: is missing"),
            (
                "cursor = [\"updt_time\", \"id\"]",
                "cursor = []",
                "feed.cursor: is empty",
            ),
            ("key = [\"id\"]", "key = []", "feed.key: is empty"),
            (
                "key = [\"id\"]",
                "key = [\"id\", \"id\"]",
                "feed.key: names a column twice",
            ),
            (
                "recipients = [\"insurer-a\"]",
                "recipients = []",
                "feed.recipients: is empty",
            ),
            (
                "recipients = [\"insurer-a\"]",
                "recipients = [\"insurer-b\"]",
                "names insurer-b, whose receipts nobody could check",
            ),
            (
                "\"application\"",
                "\"transaction\"",
                "feed.cursor_set_by: names a fence that SQLite cannot give",
            ),
            (
                "SELECT * FROM setl",
                "DELETE FROM setl",
                "feed.sql: does not begin with SELECT",
            ),
            (
                "path = \"core.db\"",
                "url = { env = \"U\" }",
                "source.path: is missing",
            ),
            (
                "kind = \"sqlite\"\npath = \"core.db\"",
                "kind = \"postgres\"\nurl = { value = \"postgres://u:p@h/d\" }",
                "source.url: holds a password",
            ),
            ("nats://a:1", "http://a:1", "exchange.url: is no address"),
            (
                "path = \"core.db\"\n",
                "path = \"core.db\"\n[publisher]\nquantum = \"2s\"\n",
                "publisher.quantum: is 2s",
            ),
            (
                "path = \"core.db\"\n",
                "path = \"core.db\"\n[gate]\ngood_samples = 0\n",
                "gate.good_samples: is 0",
            ),
            (
                "path = \"core.db\"\n",
                "path = \"core.db\"\n[gate.signals.database.active]\nstop = 20\nresume = 10\n",
                "gate.signals.database.active: SQLite shows nobody's activity",
            ),
            (
                "path = \"core.db\"\n",
                "path = \"core.db\"\n[lease]\nttl = \"10ms\"\n",
                "lease.ttl: is 10ms",
            ),
            (
                "recipients = [\"insurer-a\"]",
                "recipients = [\"insurer-a\"]\n[feed.masks.insurer-a]\nid = \"token\"",
                "feed.masks.insurer-a: column \"id\" is a cursor column of the feed",
            ),
            (
                "recipients = [\"insurer-a\"]",
                "recipients = [\"insurer-a\"]\n[feed.masks.insurer-a]\npsn_no = \"token\"",
                "feed.masks.insurer-a: masks \"psn_no\" as a token, and there is no key",
            ),
            (
                "recipients = [\"insurer-a\"]",
                "recipients = [\"insurer-a\"]\n[feed.masks.insurer-b]\npsn_no = \"drop\"",
                "feed.masks.insurer-b: is for nobody that the feed is for",
            ),
            (
                "recipients = [\"insurer-a\"]",
                "recipients = [\"insurer-a\"]\n[feed.masks.insurer-a]\npsn_no = { prefix = 0 }",
                "feed.masks.insurer-a: column \"psn_no\": a mask that keeps no character is written \"drop\"",
            ),
            ("[[feed]]", "[[feeed]]", "unknown field `feeed`"),
            ("key = [\"id\"]", "kee = [\"id\"]", "unknown field `kee`"),
            (
                "key = [\"id\"]",
                "key = [\"id\"]\ntypes = { a = \"decimall\" }",
                "gives column \"a\" the type \"decimall\"",
            ),
        ] {
            let told = first(|text| text.replace(from, to));
            assert!(told.contains(wanted), "{to}: {told}");
        }
        let twice = first(|text| format!("{text}{FEED}"));
        assert!(
            twice.contains("feed.name: \"setl\" is taken by another feed"),
            "{twice}"
        );
    }

    #[test]
    fn a_connection_key_among_the_trusted_is_named() {
        let user = nkeys::KeyPair::new_user().public_key();
        let told = first(|text| text.replace("insurer-a = [\"", &format!("insurer-a = [\"{user}\", \"")));
        assert!(told.contains("connection (user) key"), "{told}");
    }
}
