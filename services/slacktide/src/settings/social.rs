//! The bureau's file. Each table's module has its rules; this module has the rules that need the whole file.
//!
//! - [`source`] the system of record; [`trust`] trusted keys
//! - [`lease`] the lease; [`publisher`] quanta and polling
//! - the other tables are in the parent module: they are shared or large

mod blocklist;
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
use traces::TelemetryConfig;

use super::encryption::SocialEncryption;
use super::exchange::ExchangeTable;
use super::feed::FeedTable;
use super::file::Validate;
use super::key::SigningTable;
use super::masking::MaskingTable;
use super::priority::PriorityTable;
use super::reconcile::ReconcileTable;
use super::requests::ResponderTable;
use super::status::StatusTable;
use super::telemetry;
use super::violation::ConfigViolation;

use blocklist::BlocklistTable;
use lease::LeaseTable;
use publisher::PublisherTable;
use source::SourceTable;
use trust::SocialTrust;

/// The configuration of `slacktide social`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocialFile {
    /// The party and its system of record.
    pub(crate) social: SocialTable,
    /// The connection to the exchange.
    pub(crate) exchange: ExchangeTable,
    /// The key that signs chunks.
    pub(crate) signing: SigningTable,
    /// The trusted keys.
    #[serde(default)]
    pub(crate) trust: SocialTrust,
    /// The encryption keys.
    #[serde(default)]
    pub(crate) encryption: SocialEncryption,
    /// The system of record.
    pub(crate) source: SourceTable,
    /// Persons about whom no rows are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blocklist: Option<BlocklistTable>,
    /// The secret for the tokens of masked columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masking: Option<MaskingTable>,
    /// When the system of record may be read.
    #[serde(default)]
    pub(crate) gate: GateConfig,
    /// The priority of the agent's process.
    #[serde(default)]
    pub(crate) priority: PriorityTable,
    /// The lease among several agents.
    #[serde(default)]
    pub(crate) lease: LeaseTable,
    /// Quanta and polling.
    #[serde(default)]
    pub(crate) publisher: PublisherTable,
    /// The status page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<HealthConfig>,
    /// The publication of the status at the exchange.
    #[serde(default)]
    pub(crate) status: StatusTable,
    /// Traces; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) telemetry: Option<TelemetryConfig>,
    /// Settings of data requests.
    #[serde(default)]
    pub(crate) requests: ResponderTable,
    /// Whether recipients may compare their stores with the core.
    #[serde(default)]
    pub(crate) reconcile: ReconcileTable,
    /// The published feeds.
    #[serde(default, rename = "feed")]
    pub(crate) feeds: Vec<FeedTable>,
    /// The kinds of data requests.
    #[serde(default, rename = "kind", skip_serializing_if = "Vec::is_empty")]
    pub(crate) kinds: Vec<KindConfig>,
}

/// The `[social]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocialTable {
    /// The party.
    pub(crate) name: PartyName,
    /// The name of the system of record, and of its lease.
    pub(crate) source: SourceName,
    /// The file that keeps the newest control record that was in force; `None`: not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) high_water: Option<PathBuf>,
}

impl SocialFile {
    /// The origin that its messages carry.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            site: self.exchange.site.clone(),
            bureau: Some(self.social.name.clone()),
            source: Some(self.social.source.clone()),
        }
    }
}

impl Validate for SocialFile {
    fn violations(&self) -> Vec<ConfigViolation> {
        let mut violations = self.exchange.violations();
        violations.extend(telemetry::violations(self.telemetry.as_ref()));
        violations.extend(self.encryption.violations());
        violations.extend(self.source.violations());
        if let Err(error) = self.gate.validate() {
            let key = format!("gate.{}", error.key);
            violations.push(ConfigViolation::new(&key, error.what, error.remedy));
        }
        violations.extend(self.lease.violations());
        violations.extend(self.publisher.violations(&self.source));
        violations.extend(self.source.unsupported_signals(&self.gate));
        if self.feeds.is_empty() && self.kinds.is_empty() {
            violations.push(ConfigViolation::new(
                "feed",
                "is missing",
                "describe at least one [[feed]], or one [[kind]] of requests",
            ));
        }
        violations.extend(self.request_violations());
        let mut seen = BTreeSet::new();
        for (index, feed) in self.feeds.iter().enumerate() {
            violations.extend(feed.violations(index, self.source.kind, &mut seen));
            violations.extend(feed.mask_violations(index, self.masking.is_some()));
            for recipient in feed
                .recipients
                .iter()
                .filter(|name| !self.trust.receipts.contains_key(name))
            {
                violations.push(ConfigViolation::in_feed(
                    index,
                    "recipients",
                    format!("names {recipient}, whose receipts no key could verify"),
                    format!("put its sign.pub into [trust]: receipts.{recipient} = [\"A…\"]"),
                ));
            }
        }
        violations
    }
}
