//! What may be asked, by whom, how much of it; and how often both sides look.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use requests::kind::Kinds;
use requests::mask::Mask;
use requests::quota::Quota;
use runtime::config::Loaded;
use runtime::span::Span;
use schemas::name::RecipientName;
use schemas::person::PersonKey;
use schemas::sign::{PublicKey, SigningKey};
use serde::{Deserialize, Serialize};
use social::blocklist::{self, ListWatch};
use social::responder::{AnswerOptions, Answering};

use super::SocialFile;
use super::rule::Broken;
use crate::failure::Failure;

/// The `[requests]` table of the bureau.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AnswerTable {
    /// The second fixed interval: how long between looks for new requests.
    pub(crate) interval: Span,
    /// How often an answer that failed is tried again.
    pub(crate) retries: u32,
    /// One turn of this many at the gate is a feed's while feeds wait.
    pub(crate) feed_share: u32,
    /// Days for which the exchange keeps requests.
    pub(crate) retention_days: i32,
    /// By recipient: how much it may ask.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) quota: BTreeMap<RecipientName, Quota>,
}

impl Default for AnswerTable {
    fn default() -> Self {
        let options = AnswerOptions::default();
        Self {
            interval: Span::from_millis(u64::try_from(options.interval.as_millis()).unwrap_or(2_000)),
            retries: options.retries,
            feed_share: options.feed_share,
            retention_days: options.retention_days,
            quota: BTreeMap::new(),
        }
    }
}

/// The `[requests]` table of an insurer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AskTable {
    /// From look to look at outbox and replies. Left out: as `poll.interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interval: Option<Span>,
}

impl AskTable {
    pub(crate) fn broken(&self) -> Vec<Broken> {
        let odd = self.interval.filter(|span| !within(*span));
        odd.map(|span| {
            Broken::new(
                "requests.interval",
                format!("is {span}"),
                "give 10ms to 1h; 1s is usual",
            )
        })
        .into_iter()
        .collect()
    }
}

fn within(span: Span) -> bool {
    (Span::from_millis(10)..=Span::from_secs(3_600)).contains(&span)
}

impl SocialFile {
    /// Keys by which a recipient asks.
    fn askers(&self) -> BTreeMap<RecipientName, Vec<PublicKey>> {
        let mut askers = self.trust.receipts.clone();
        askers.extend(self.trust.requests.clone());
        askers
    }

    /// The rules of kinds, quotas and officers that the file breaks.
    pub(super) fn broken_requests(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        let mut say = |key: &str, what: String, remedy: &str| broken.push(Broken::new(key, what, remedy));
        let table = &self.requests;
        if !within(table.interval) {
            say(
                "requests.interval",
                format!("is {}", table.interval),
                "give 10ms to 1h; 2s is usual",
            );
        }
        if !(2..=100).contains(&table.feed_share) {
            say(
                "requests.feed_share",
                format!("is {}", table.feed_share),
                "give 2 to 100; 4 is usual",
            );
        }
        if !(1..=3_650).contains(&table.retention_days) {
            say(
                "requests.retention_days",
                format!("is {}", table.retention_days),
                "give the days for which the exchange keeps requests, at least 1",
            );
        }
        if let Err(error) = Kinds::new(self.kinds.clone()) {
            say(
                "kind",
                error.to_string(),
                "correct it; docs/requests.md shows a whole one",
            );
        }
        let askers = self.askers();
        for kind in &self.kinds {
            for grant in kind
                .grant
                .iter()
                .filter(|grant| !askers.contains_key(&grant.recipient))
            {
                say(
                    "kind.grant",
                    format!(
                        "kind {:?} is granted to {}, whose requests nobody could check",
                        kind.name, grant.recipient
                    ),
                    "put its sign.pub into [trust]: receipts.NAME or requests.NAME = [\"A…\"]",
                );
            }
            let token = kind.grant.iter().flat_map(|grant| &grant.masks);
            if self.masking.is_none()
                && let Some((column, _)) = { token }.find(|(_, mask)| **mask == Mask::Token)
            {
                say(
                    "kind.grant",
                    format!(
                        "kind {:?} masks {column:?} as a token, and there is no key to make tokens",
                        kind.name
                    ),
                    "write [masking] with key = { file = \"keys/masking.key\" }, at least 32 characters made at random",
                );
            }
            for feed in kind
                .feeds
                .iter()
                .filter(|feed| !self.feeds.iter().any(|known| known.name == **feed))
            {
                say(
                    "kind.feeds",
                    format!("kind {:?} names feed {feed}, which is not in the file", kind.name),
                    "correct the name, or leave feeds out: then a hold of any feed holds the kind",
                );
            }
            let officers = kind.approval.as_ref().map_or(0, |rule| rule.officers as usize);
            if officers > self.trust.officers.len() {
                say(
                    "trust.officers",
                    format!(
                        "kind {:?} waits for {officers} officers, and {} are named",
                        kind.name,
                        self.trust.officers.len()
                    ),
                    "name them with their sign.pub: officers = { li_na = [\"A…\"] }",
                );
            }
        }
        broken
    }
}

/// What the responder goes by; none where the file has no kinds. Without a block list, nobody is on it.
pub(crate) fn answering(
    loaded: &Loaded<SocialFile>,
    key: &SigningKey,
    blocked: Option<ListWatch>,
) -> Result<Option<Answering>, Failure> {
    let file = &loaded.value;
    if file.kinds.is_empty() {
        return Ok(None);
    }
    let kinds = Kinds::new(file.kinds.clone()).map_err(|error| Failure::usage(error.to_string()))?;
    let blocked = match blocked {
        Some(blocked) => blocked,
        None => {
            let persons = PersonKey::of(key).map_err(|error| Failure::internal(&error))?;
            blocklist::nobody(&persons)
        }
    };
    let masking = file
        .masking
        .as_ref()
        .map(|table| table.key(loaded.folder()))
        .transpose()?;
    let answering = Answering {
        kinds: Arc::new(kinds),
        quotas: file.requests.quota.clone(),
        trusted_requests: file.askers(),
        officers: file.trust.officers.clone(),
        blocked,
        masking,
        history: file
            .gate
            .record
            .dir
            .as_deref()
            .map(|dir| history(&loaded.resolve(dir))),
        options: AnswerOptions {
            interval: file.requests.interval.get(),
            retries: file.requests.retries,
            feed_share: file.requests.feed_share,
            retention_days: file.requests.retention_days,
            ..AnswerOptions::default()
        },
    };
    answering
        .check()
        .map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Some(answering))
}

/// How often the recorded samples are read again.
const HISTORY_EVERY: std::time::Duration = std::time::Duration::from_secs(600);

/// The gate's history by its recording, read again and again for as long as somebody looks at it.
fn history(dir: &Path) -> tokio::sync::watch::Receiver<Arc<gate::forecast::History>> {
    let (sender, receiver) = tokio::sync::watch::channel(Arc::default());
    let dir = dir.to_owned();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(HISTORY_EVERY);
        while !sender.is_closed() {
            tick.tick().await;
            let dir = dir.clone();
            let began = Timestamp::now();
            let read = tokio::task::spawn_blocking(move || gate::record::read(&dir)).await;
            match read {
                Ok(Ok(records)) => {
                    sender.send_replace(Arc::new(gate::forecast::History::of(&records.blocks)));
                }
                // There may be nothing recorded yet.
                Ok(Err(error)) => tracing::debug!(%error, %began, "no history for forecasts"),
                Err(error) => tracing::warn!(%error, "reading the gate's history ended early"),
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::file::Checked;

    const HEAD: &str = "[social]\nname = \"bureau\"\nsource = \"core\"\n[exchange]\nurl = \"nats://a:1\"\n\
         user = \"bureau\"\nseed = { env = \"S\" }\n[signing]\nseed = { env = \"T\" }\n[source]\nkind = \"postgres\"\n\
         url = { env = \"U\" }\n[masking]\nkey = { env = \"M\" }\n";

    fn text(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::fs::read_to_string(root.join(path)).unwrap()
    }

    /// A bureau's file with these kinds, officers and keys of insurer-a.
    fn file(kinds: &str) -> Result<SocialFile, String> {
        let key = SigningKey::generate();
        let officers = ["li_na", "wang_wei"].map(|name| format!("{name} = [\"{}\"]\n", key.public()));
        let trust = format!(
            "[trust.receipts]\ninsurer-a = [\"{0}\"]\ninsurer-b = [\"{0}\"]\n[trust.officers]\n{1}",
            key.public(),
            officers.concat()
        );
        toml::from_str(&format!("{HEAD}{trust}{kinds}")).map_err(|error| error.to_string())
    }

    fn told(kinds: &str) -> String {
        match file(kinds) {
            Ok(file) => {
                let broken = file.broken();
                broken.iter().map(|one| format!("{one}\n")).collect()
            }
            Err(error) => error,
        }
    }

    /// The blocks of TOML in a page.
    fn blocks(page: &str) -> impl Iterator<Item = &str> {
        page.split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
    }

    #[test]
    fn the_example_in_the_documentation_is_a_whole_kind() {
        let page = text("docs/requests.md");
        let kinds: Vec<&str> = blocks(&page).filter(|block| block.contains("[[kind]]")).collect();
        assert_eq!(kinds.len(), 1);
        // The example answers with a feed's rows.
        let kind = format!("{}{}", kinds[0], text("config/feeds/setl.toml"));
        assert_eq!(told(&kind), "");
        let file = file(&kind).unwrap();
        assert_eq!(file.requests.quota.len(), 0);
        let tables: Vec<&str> = blocks(&page)
            .filter(|block| block.contains("[requests.quota."))
            .collect();
        assert_eq!(tables.len(), 1);
        let file = file_with(&format!("{}{kind}", tables[0]));
        assert_eq!(file.requests.quota.len(), 1);
    }

    fn file_with(kinds: &str) -> SocialFile {
        assert_eq!(told(kinds), "");
        file(kinds).unwrap()
    }

    #[test]
    fn the_kinds_that_ship_are_whole_and_need_no_more_than_the_feed_of_settlements() {
        let feed = text("config/feeds/setl.toml");
        for name in ["setl_by_person", "setl_sums"] {
            let file = file_with(&format!("{feed}{}", text(&format!("config/kinds/{name}.toml"))));
            assert_eq!(file.kinds.len(), 1, "{name}");
        }
    }

    #[test]
    fn a_file_has_kinds_or_feeds_or_both() {
        let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
        assert_eq!(told(&kind), "");
        assert!(told("").contains("one [[kind]] of requests"));
    }

    #[test]
    fn each_fault_names_the_kind_and_what_to_do() {
        let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
        for (from, to, wanted) in [
            ("psn_no = $1", "psn_no = 'x'", "kind \"setl.by_person\": sql: "),
            (
                "recipient = \"insurer-a\"",
                "recipient = \"insurer-c\"",
                "kind \"setl.by_person\" is granted to insurer-c, whose requests nobody could check",
            ),
            (
                "most_rows = 1000\n",
                "most_rows = 1000\nfeeds = [\"fee\"]\n",
                "kind \"setl.by_person\" names feed fee, which is not in the file",
            ),
            (
                "most_rows = 1000\n",
                "most_rows = 1000\napproval = { officers = 3 }\n",
                "trust.officers: kind \"setl.by_person\" waits for 3 officers, and 2 are named",
            ),
            ("most_rows", "most_row", "unknown field `most_row`"),
        ] {
            let told = told(&kind.replace(from, to));
            assert!(told.contains(wanted), "{to}: {told}");
        }
        let keyless = HEAD.replace("[masking]\nkey = { env = \"M\" }\n", "");
        let key = SigningKey::generate();
        let file: SocialFile = toml::from_str(&format!(
            "{keyless}[trust.receipts]\ninsurer-a = [\"{}\"]\n{}",
            key.public(),
            kind.replace("psn_no = { keep = { last = 4 } }", "psn_no = \"token\"")
        ))
        .unwrap();
        let told: String = file.broken().iter().map(ToString::to_string).collect();
        assert!(
            told.contains("masks \"psn_no\" as a token, and there is no key"),
            "{told}"
        );
    }

    #[test]
    fn who_asks_by_other_keys_is_known_by_those_alone() {
        let (receipts, asks) = (SigningKey::generate(), SigningKey::generate());
        let kind = text("config/kinds/setl_by_person.toml").replace("feeds = [\"setl\"]", "");
        let file: SocialFile = toml::from_str(&format!(
            "{HEAD}[trust.receipts]\ninsurer-a = [\"{}\"]\n[trust.requests]\ninsurer-a = [\"{}\"]\n{kind}",
            receipts.public(),
            asks.public()
        ))
        .unwrap();
        let askers = file.askers();
        assert_eq!(askers.values().next(), Some(&vec![asks.public().clone()]));
    }
}
