//! The bureau's file.
//!
//! Each table has its rules beside it; here is what only the whole file can tell.
//!
//! - [`source`] the system of record; [`trust`] whose word counts
//! - [`lease`] who works; [`publisher`] how it reads
//! - its other tables stand beside this folder, for they are shared or large

mod lease;
mod publisher;
mod source;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeSet;
use std::path::PathBuf;

use gate::GateConfig;
use requests::kind::KindConfig;
use runtime::health::HealthConfig;
use schemas::name::{PartyName, SourceName};
use schemas::origin::Origin;
use serde::{Deserialize, Serialize};

use super::blocklist::BlocklistTable;
use super::exchange::ExchangeTable;
use super::feed::FeedTable;
use super::file::Checked;
use super::key::SigningTable;
use super::masking::MaskingTable;
use super::priority::PriorityTable;
use super::requests::AnswerTable;
use super::rule::Broken;
use super::sealing::SocialSealing;

use lease::LeaseTable;
use publisher::PublisherTable;
use source::SourceTable;
use trust::SocialTrust;

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
    /// Where the newest control record that was in force is kept; none: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) high_water: Option<PathBuf>,
}

impl SocialFile {
    /// Where its messages belong.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            site: self.exchange.site.clone(),
            bureau: Some(self.social.name.clone()),
            source: Some(self.social.source.clone()),
        }
    }
}

impl Checked for SocialFile {
    fn broken(&self) -> Vec<Broken> {
        let mut broken = self.exchange.broken();
        broken.extend(self.sealing.broken());
        broken.extend(self.source.broken());
        if let Err(error) = self.gate.validate() {
            let key = format!("gate.{}", error.key);
            broken.push(Broken::new(&key, error.what, error.remedy));
        }
        broken.extend(self.lease.broken());
        broken.extend(self.publisher.broken(&self.source));
        broken.extend(self.source.lacks(&self.gate));
        if self.feeds.is_empty() && self.kinds.is_empty() {
            broken.push(Broken::new(
                "feed",
                "there is none",
                "describe at least one [[feed]], or one [[kind]] of requests",
            ));
        }
        broken.extend(self.broken_requests());
        let mut seen = BTreeSet::new();
        for (at, feed) in self.feeds.iter().enumerate() {
            broken.extend(feed.broken(at, self.source.kind, &mut seen));
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
