//! One look at everything: the own agent, then the exchange, each in its time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ::exchange::Exchange;
use jiff::Timestamp;
use nats::JetStream;
use runtime::config::Loaded;
use schemas::name::{FeedName, Lane, PartyName, RecipientName};
use social::changed::Now;

use super::eyes::{Eyes, Keys};
use super::known::{AgentFacts, Facts, Side};
use super::lane::LaneFacts;
use super::{believed, exchange, lanes};
use crate::demo::page;
use crate::failure::Failure;
use crate::settings::{Kind, SocialFile, load_any};

/// No look takes longer.
const WITHIN: Duration = Duration::from_secs(10);

/// Who asks, by which file.
pub(crate) struct SeenBy {
    kind: Kind,
    feeds: Vec<FeedName>,
    bureau: PartyName,
}

impl SeenBy {
    /// By the file.
    pub(crate) fn new(path: &Path, feeds: Vec<FeedName>, bureau: PartyName) -> Result<Self, Failure> {
        Ok(Self {
            kind: load_any(path)?,
            feeds,
            bureau,
        })
    }

    /// Looks once, over a connection that is handed back for the next look.
    pub(crate) async fn look(&self, connection: Option<JetStream>) -> (Facts, Option<JetStream>) {
        let eyes = Eyes::of(&self.kind);
        let mut facts = Facts::new(eyes.side, eyes.user);
        if let Some(address) = eyes.health {
            facts.agent.page = page::status(&address).await;
            facts.agent.address = Some(address);
        }
        let connected = match (connection, eyes.options) {
            (Some(connection), _) => Ok(connection),
            (None, Ok(options)) => JetStream::connect(options)
                .await
                .map_err(|error| error.to_string()),
            (None, Err(failure)) => Err(failure.to_string()),
        };
        let exchange = match connected {
            Ok(exchange) => exchange,
            Err(why) => {
                facts.exchange.trouble = Some(why);
                facts.lanes = self.lanes(&facts.agent, None).await;
                return (facts, None);
            }
        };
        facts.lanes = self.lanes(&facts.agent, Some(&exchange)).await;
        let looked = tokio::time::timeout(WITHIN, self.ask(&exchange, &eyes.keys, &mut facts)).await;
        facts.at = Timestamp::now();
        match looked {
            Ok(()) => (facts, Some(exchange)),
            Err(_) => {
                facts.exchange.trouble = Some(format!("it did not answer within {} s", WITHIN.as_secs()));
                (facts, None)
            }
        }
    }

    /// Looks once for the agent of the file itself, whose page is at hand.
    pub(crate) async fn gather(&self, exchange: &JetStream, page: serde_json::Value) -> Facts {
        let mut facts = self.unseen(page);
        let keys = Eyes::of(&self.kind).keys;
        let looked = tokio::time::timeout(WITHIN, self.ask(exchange, &keys, &mut facts)).await;
        if looked.is_err() {
            facts.exchange.trouble = Some(format!("it did not answer within {} s", WITHIN.as_secs()));
        }
        facts
    }

    /// What is known without the exchange.
    pub(crate) fn unseen(&self, page: serde_json::Value) -> Facts {
        let eyes = Eyes::of(&self.kind);
        let agent = AgentFacts {
            address: eyes.health,
            page: Some(page),
        };
        Facts {
            lanes: self.known_lanes(&agent),
            agent,
            ..Facts::new(eyes.side, eyes.user)
        }
    }

    async fn lanes(&self, agent: &AgentFacts, exchange: Option<&JetStream>) -> Vec<LaneFacts> {
        match (&self.kind, exchange) {
            (Kind::Party(_), Some(exchange)) => lanes::subjects(exchange).await,
            _ => self.known_lanes(agent),
        }
    }

    /// The lanes that are known without the exchange.
    fn known_lanes(&self, agent: &AgentFacts) -> Vec<LaneFacts> {
        match &self.kind {
            Kind::Social(file) => lanes::configured(&file.value),
            Kind::Commercial(file) => lanes::received(&file.value.commercial.recipient, agent, &self.feeds),
            Kind::Party(_) => Vec::new(),
        }
    }

    async fn ask(&self, exchange: &JetStream, keys: &Keys, facts: &mut Facts) {
        match exchange.ping().await {
            Ok(took) => facts.exchange.round_trip_ms = u64::try_from(took.as_millis()).ok(),
            Err(error) => {
                facts.exchange.trouble = Some(error.to_string());
                return;
            }
        }
        facts.exchange.data_full_percent = match facts.side {
            // The bureau's and the insurer's credentials may not ask.
            Side::Bureau | Side::Insurer => None,
            Side::Other => exchange::fullness(exchange).await,
        };
        match &self.kind {
            Kind::Social(file) => {
                let social = &file.value.social;
                facts.lease = exchange::lease(exchange, &social.source, facts.at).await;
                believed::orders(exchange, &social.name, keys, facts).await;
            }
            Kind::Commercial(file) => {
                let recipient = &file.value.commercial.recipient;
                let told = believed::bureau_says(exchange, &self.bureau, recipient, keys).await;
                // A feed that nothing came of yet.
                for feed in told.keys().filter_map(|feed| feed.parse::<FeedName>().ok()) {
                    if facts.lanes.iter().all(|lane| lane.feed != feed) {
                        let recipient = recipient.clone();
                        facts.lanes.push(LaneFacts::of(&Lane { recipient, feed }, None));
                    }
                }
            }
            Kind::Party(_) => {}
        }
        let bureau = match &self.kind {
            Kind::Social(file) => &file.value.social.name,
            Kind::Commercial(_) | Kind::Party(_) => &self.bureau,
        };
        let mut told: BTreeMap<RecipientName, BTreeMap<String, String>> = BTreeMap::new();
        for lane in &mut facts.lanes {
            if !told.contains_key(&lane.recipient) {
                let says = believed::bureau_says(exchange, bureau, &lane.recipient, keys).await;
                told.insert(lane.recipient.clone(), says);
            }
            let says = told
                .get(&lane.recipient)
                .and_then(|of| of.get(lane.feed.as_str()));
            lane.bureau_says = says.cloned();
        }
        for lane in &mut facts.lanes {
            believed::both(exchange, lane, keys).await;
            if let Kind::Social(file) = &self.kind
                && let Some(feed) = file.value.feeds.iter().find(|feed| feed.name == lane.feed)
            {
                lane.compare(&Now::of(&feed.definition()));
            }
        }
    }
}

/// What the bureau sees, for commands that have its file at hand.
pub(crate) async fn of_social(file: &Loaded<SocialFile>) -> Facts {
    // The name of the bureau is only asked for by insurers.
    let seen_by = SeenBy {
        kind: Kind::Social(Box::new(file.clone())),
        feeds: Vec::new(),
        bureau: file.value.social.name.clone(),
    };
    seen_by.look(None).await.0
}
