//! Lists the lanes: from the file, from the agent's page or from the streams.

use exchange::port::Stream;
use exchange::{AuditExchange, FeedExchange};
use nats::topology::Admin;
use schemas::name::{FeedName, Lane, PartyName, RecipientName};
use schemas::subject::Subject;
use serde_json::json;

use super::lane::LaneFacts;
use super::side::AgentFacts;
use crate::exchange_client::ExchangeClient;
use crate::settings::SocialFile;

/// Returns the lanes that the bureau publishes.
pub(super) fn configured(file: &SocialFile) -> Vec<LaneFacts> {
    let lanes = file.feeds.iter().flat_map(|feed| {
        feed.recipients.iter().map(move |recipient| {
            let lane = Lane {
                recipient: recipient.clone(),
                feed: feed.name.clone(),
            };
            LaneFacts::of(&lane, Some(feed.digest_for(recipient)))
        })
    });
    lanes.collect()
}

/// Returns the lanes of an insurer's agent, and those of the named feeds.
pub(super) fn received(recipient: &RecipientName, agent: &AgentFacts, named: &[FeedName]) -> Vec<LaneFacts> {
    let known = agent
        .page
        .as_ref()
        .and_then(|page| page.get("lanes")?.as_object());
    let mut feeds: Vec<FeedName> = known
        .into_iter()
        .flat_map(|lanes| lanes.keys())
        .filter_map(|name| name.split_once('.')?.1.parse().ok())
        .chain(named.iter().cloned())
        .collect();
    feeds.sort();
    feeds.dedup();
    let lane = |feed| Lane {
        recipient: recipient.clone(),
        feed,
    };
    feeds
        .into_iter()
        .map(|feed| LaneFacts::of(&lane(feed), None))
        .collect()
}

/// Returns every lane with a subject in the streams of chunks.
pub(super) async fn subjects(exchange: &ExchangeClient) -> Vec<LaneFacts> {
    let admin = exchange.nats().map(|exchange| Admin::new(exchange.clone()));
    let mut lanes = Vec::new();
    for party in exchange.parties(Stream::Data).await.unwrap_or_default() {
        match &admin {
            Some(admin) => lanes.extend(lanes_of_party(admin, &party).await),
            None => lanes.extend(receipted_lanes(exchange, &party).await),
        }
    }
    lanes
}

/// Returns the lanes of a recipient that have a receipt: a gateway does not list the others.
async fn receipted_lanes(exchange: &ExchangeClient, party: &PartyName) -> Vec<LaneFacts> {
    let Ok(recipient) = RecipientName::new(party.as_str()) else {
        return Vec::new();
    };
    let lanes = exchange.receipted_lanes(&recipient).await.unwrap_or_default();
    lanes.iter().map(|lane| LaneFacts::of(lane, None)).collect()
}

async fn lanes_of_party(admin: &Admin, party: &PartyName) -> Vec<LaneFacts> {
    let subject = format!("STREAM.INFO.DATA_{party}");
    let filter = json!({ "subjects_filter": "data.>" });
    let Ok(info) = admin.api(&subject, &filter).await else {
        return Vec::new();
    };
    let subjects = info
        .get("state")
        .and_then(|state| state.get("subjects")?.as_object());
    let lane = |subject: &String| match subject.parse() {
        Ok(Subject::Data(lane)) => Some(LaneFacts::of(&lane, None)),
        _ => None,
    };
    subjects
        .into_iter()
        .flat_map(|subjects| subjects.keys())
        .filter_map(lane)
        .collect()
}
