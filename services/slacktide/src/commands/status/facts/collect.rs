//! Collects all facts: from the own agent, then from the exchange.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ::exchange::Exchange;
use jiff::Timestamp;
use runtime::config::Loaded;
use schemas::name::{FeedName, Lane, PartyName, RecipientName};
use social::definition_diff::CurrentDefinition;

use super::lane::LaneFacts;
use super::side::{AgentFacts, Facts, Side};
use super::viewer::{Keys, Viewer};
use super::{exchange, lanes, verified};
use crate::exchange_client::ExchangeClient;
use crate::failure::Failure;
use crate::settings::{ConfigFile, SocialFile, load_any};
use crate::status_page;

/// The timeout of the reads at the exchange.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Collects the facts that the viewer of a configuration file may read.
pub(crate) struct StatusCollector {
    kind: ConfigFile,
    feeds: Vec<FeedName>,
    bureau: PartyName,
}

impl StatusCollector {
    /// Creates it from the file.
    pub(crate) fn new(path: &Path, feeds: Vec<FeedName>, bureau: PartyName) -> Result<Self, Failure> {
        Ok(Self {
            kind: load_any(path)?,
            feeds,
            bureau,
        })
    }

    /// Collects once; returns the connection for the next call.
    pub(crate) async fn collect(
        &self,
        connection: Option<ExchangeClient>,
    ) -> (Facts, Option<ExchangeClient>) {
        let viewer = Viewer::of(&self.kind);
        let mut facts = Facts::new(viewer.side, viewer.user);
        if let Some(address) = viewer.health {
            facts.agent.page = status_page::status(&address).await;
            facts.agent.address = Some(address);
        }
        let connected = match (connection, viewer.options) {
            (Some(connection), _) => Ok(connection),
            (None, Ok(options)) => ExchangeClient::connect(options)
                .await
                .map_err(|error| error.to_string()),
            (None, Err(failure)) => Err(failure.to_string()),
        };
        let exchange = match connected {
            Ok(exchange) => exchange,
            Err(why) => {
                facts.exchange.error = Some(why);
                facts.lanes = self.lanes(&facts.agent, None).await;
                return (facts, None);
            }
        };
        facts.lanes = self.lanes(&facts.agent, Some(&exchange)).await;
        let result =
            tokio::time::timeout(TIMEOUT, self.read_exchange(&exchange, &viewer.keys, &mut facts)).await;
        facts.at = Timestamp::now();
        match result {
            Ok(()) => (facts, Some(exchange)),
            Err(_) => {
                facts.exchange.error = Some(format!("it did not answer within {} s", TIMEOUT.as_secs()));
                (facts, None)
            }
        }
    }

    /// Collects once for the agent itself, given its own page.
    pub(crate) async fn collect_for_agent(
        &self,
        exchange: &ExchangeClient,
        page: serde_json::Value,
    ) -> Facts {
        let mut facts = self.local_facts(page);
        let keys = Viewer::of(&self.kind).keys;
        let result = tokio::time::timeout(TIMEOUT, self.read_exchange(exchange, &keys, &mut facts)).await;
        if result.is_err() {
            facts.exchange.error = Some(format!("it did not answer within {} s", TIMEOUT.as_secs()));
        }
        facts
    }

    /// Returns the facts that are known without the exchange.
    pub(crate) fn local_facts(&self, page: serde_json::Value) -> Facts {
        let viewer = Viewer::of(&self.kind);
        let agent = AgentFacts {
            address: viewer.health,
            page: Some(page),
        };
        Facts {
            lanes: self.known_lanes(&agent),
            agent,
            ..Facts::new(viewer.side, viewer.user)
        }
    }

    async fn lanes(&self, agent: &AgentFacts, exchange: Option<&ExchangeClient>) -> Vec<LaneFacts> {
        match (&self.kind, exchange) {
            (ConfigFile::Party(_), Some(exchange)) => lanes::subjects(exchange).await,
            _ => self.known_lanes(agent),
        }
    }

    /// Returns the lanes that are known without the exchange.
    fn known_lanes(&self, agent: &AgentFacts) -> Vec<LaneFacts> {
        match &self.kind {
            ConfigFile::Social(file) => lanes::configured(&file.value),
            ConfigFile::Commercial(file) => {
                lanes::received(&file.value.commercial.recipient, agent, &self.feeds)
            }
            ConfigFile::Party(_) => Vec::new(),
        }
    }

    async fn read_exchange(&self, exchange: &ExchangeClient, keys: &Keys, facts: &mut Facts) {
        match exchange.ping().await {
            Ok(took) => facts.exchange.round_trip_ms = u64::try_from(took.as_millis()).ok(),
            Err(error) => {
                facts.exchange.error = Some(error.to_string());
                return;
            }
        }
        facts.exchange.data_full_percent = match facts.side {
            // The bureau's and the insurer's credentials may not read it.
            Side::Bureau | Side::Insurer => None,
            Side::Other => exchange::fullness(exchange).await,
        };
        match &self.kind {
            ConfigFile::Social(file) => {
                let social = &file.value.social;
                facts.lease = exchange::lease(exchange, &social.source, facts.at).await;
                verified::read_orders(exchange, &social.name, keys, facts).await;
            }
            ConfigFile::Commercial(file) => {
                let recipient = &file.value.commercial.recipient;
                let notices = verified::read_bureau_notices(exchange, &self.bureau, recipient, keys).await;
                // A feed without chunks so far.
                for feed in notices.keys().filter_map(|feed| feed.parse::<FeedName>().ok()) {
                    if facts.lanes.iter().all(|lane| lane.feed != feed) {
                        let recipient = recipient.clone();
                        facts.lanes.push(LaneFacts::of(&Lane { recipient, feed }, None));
                    }
                }
            }
            ConfigFile::Party(_) => {}
        }
        let bureau = match &self.kind {
            ConfigFile::Social(file) => &file.value.social.name,
            ConfigFile::Commercial(_) | ConfigFile::Party(_) => &self.bureau,
        };
        let mut notices: BTreeMap<RecipientName, BTreeMap<String, String>> = BTreeMap::new();
        for lane in &mut facts.lanes {
            if !notices.contains_key(&lane.recipient) {
                let by_feed = verified::read_bureau_notices(exchange, bureau, &lane.recipient, keys).await;
                notices.insert(lane.recipient.clone(), by_feed);
            }
            let notice = notices
                .get(&lane.recipient)
                .and_then(|by_feed| by_feed.get(lane.feed.as_str()));
            lane.bureau_notice = notice.cloned();
        }
        for lane in &mut facts.lanes {
            verified::read_lane(exchange, lane, keys).await;
            if let ConfigFile::Social(file) = &self.kind
                && let Some(feed) = file.value.feeds.iter().find(|feed| feed.name == lane.feed)
            {
                lane.compare(&CurrentDefinition::of(&feed.definition()));
            }
        }
    }
}

/// Collects the bureau's facts, for commands that have loaded its file.
pub(crate) async fn collect_for_bureau(file: &Loaded<SocialFile>) -> Facts {
    // Only an insurer needs the name of the bureau.
    let collector = StatusCollector {
        kind: ConfigFile::Social(Box::new(file.clone())),
        feeds: Vec::new(),
        bureau: file.value.social.name.clone(),
    };
    collector.collect(None).await.0
}
