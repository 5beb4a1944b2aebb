//! Compares the store with its own receipts at the exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use schemas::name::Lane;
use schemas::receipt::{Behind, Receipt};
use store::merge::ChunkNumber;
use store::{Identity, LaneReport};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::StepError;
use crate::evidence::{STORE_BEHIND, behind, behind_in_words, foreign, refill};
use crate::parts::CommercialParts;
use crate::receipts::{last, publish_behind};

/// The store is compared with its own receipts this often.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// The result of the last comparison.
#[derive(Debug)]
pub struct Comparison {
    last: Option<(ComparisonResult, Instant)>,
    is_doubted: bool,
    /// Whether the store is the one that signed its receipts; false until the first comparison.
    own_store: watch::Sender<bool>,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            last: None,
            is_doubted: false,
            own_store: watch::channel(false).0,
        }
    }
}

impl Comparison {
    /// Returns whether the store is the one that signed its receipts, as the last comparison found. Without that, nothing is
    /// fetched.
    #[must_use]
    pub fn own_store(&self) -> watch::Receiver<bool> {
        self.own_store.subscribe()
    }

    /// Requests a comparison at the next opportunity. A broken connection may lead to another store.
    pub fn doubt(&mut self) {
        self.is_doubted = true;
    }

    /// Compares if a comparison is due: at the start, after `doubt`, and every `COMPARE_EVERY`.
    ///
    /// # Errors
    /// Why the comparison failed. Nothing is known of the store then.
    pub async fn renew(&mut self, parts: &CommercialParts) -> Result<(), StepError> {
        let is_recent = |(_, at): &(ComparisonResult, Instant)| at.elapsed() < COMPARE_EVERY;
        if !self.is_doubted && self.last.as_ref().is_some_and(is_recent) {
            return Ok(());
        }
        self.last = None;
        let result = compare(parts).await?;
        self.own_store.send_replace(result.is_own);
        self.last = Some((result, Instant::now()));
        self.is_doubted = false;
        Ok(())
    }

    /// Returns the identity of the store, if it was compared.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.last.as_ref().map(|(compared, _)| &compared.identity)
    }

    /// Returns what the receipts of each lane cover. A lane whose store is behind its receipts is left out.
    #[must_use]
    pub fn covered(&self) -> BTreeMap<Lane, ChunkNumber> {
        self.last
            .as_ref()
            .map(|(compared, _)| compared.covered.clone())
            .unwrap_or_default()
    }

    /// Returns whether a lane's store is behind its receipts.
    #[must_use]
    pub fn is_behind(&self, lane: &Lane) -> bool {
        self.last
            .as_ref()
            .is_some_and(|(compared, _)| compared.behind.contains(lane))
    }
}

/// The result of a comparison.
#[derive(Debug)]
struct ComparisonResult {
    /// The store.
    identity: Identity,
    /// Whether it is the one that signed its receipts.
    is_own: bool,
    /// Lanes whose store is behind their receipts.
    behind: BTreeSet<Lane>,
    /// What the receipts of the other lanes cover.
    covered: BTreeMap<Lane, ChunkNumber>,
}

/// Reads the last receipt of each lane, then the store, which can only be further ahead. So a store that is behind
/// its receipt is really behind. Shows and publishes the result.
async fn compare(parts: &CommercialParts) -> Result<ComparisonResult, StepError> {
    let identity = parts.store.identity().await?;
    let receipts = receipts(parts).await?;
    let named: Vec<Receipt> = receipts.iter().map(|(receipt, _)| receipt.clone()).collect();
    let other = foreign(&identity, &named);
    show_other(parts, &identity, other.as_deref(), &named);
    if other.is_some() {
        return Ok(ComparisonResult {
            identity,
            is_own: false,
            behind: BTreeSet::new(),
            covered: BTreeMap::new(),
        });
    }
    let reports = parts.store.reports().await?;
    let reports: BTreeMap<&Lane, &LaneReport> = reports.iter().map(|report| (&report.lane, report)).collect();
    let (mut found, mut covered) = (BTreeSet::new(), BTreeMap::new());
    for (receipt, sequence) in &receipts {
        let lane = receipt.lane();
        let held = behind(receipt, reports.get(&lane).copied());
        show_behind(parts, &lane, receipt, held);
        if let Some(held) = held {
            // A receipt of an earlier version names no store. This store does not claim it, because it may belong to
            // another one.
            if receipt.store.is_some() {
                let exchange = parts.exchange.as_ref();
                let store = (held, &identity.id);
                publish_behind(exchange, &parts.key, (receipt, *sequence), store).await?;
            }
            found.insert(lane);
        } else {
            let chunk_number = ChunkNumber {
                epoch: receipt.epoch,
                number: receipt.to,
            };
            covered.insert(lane, chunk_number);
        }
    }
    Ok(ComparisonResult {
        identity,
        is_own: true,
        behind: found,
        covered,
    })
}

async fn receipts(parts: &CommercialParts) -> exchange::Result<Vec<(Receipt, u64)>> {
    let mut receipts = Vec::new();
    for lane in parts.exchange.receipted_lanes(&parts.recipient).await? {
        receipts.extend(last(parts.exchange.as_ref(), &lane).await?);
    }
    Ok(receipts)
}

/// Shows on every lane whether fetching is stopped because the receipts belong to another store.
fn show_other(parts: &CommercialParts, identity: &Identity, other: Option<&str>, receipts: &[Receipt]) {
    let mut before = None;
    parts.registry.note(|status| {
        before.clone_from(&status.other_store);
        status.store = Some(identity.id.to_string());
        status.compared_at = Some(Timestamp::now());
        status.other_store = other.map(str::to_owned);
    });
    match (before.as_deref(), other) {
        (Some(before), Some(other)) if before == other => return,
        (None, None) => return,
        (_, Some(why)) => tracing::error!(why, "fetching stopped: the receipts belong to another store"),
        (Some(_), None) => tracing::info!("fetching continues: the receipts belong to this store"),
    }
    for receipt in receipts {
        parts.registry.lane(&receipt.lane(), |status| {
            status.stopped = other.map(str::to_owned)
        });
    }
}

fn show_behind(parts: &CommercialParts, lane: &Lane, receipt: &Receipt, held: Option<Behind>) {
    let mut is_news = false;
    parts.registry.lane(lane, |status| match held {
        Some(held) => {
            let remedy = refill(lane, "receipt");
            let what = behind_in_words(receipt, held);
            is_news = status.unverified.set(STORE_BEHIND, what, remedy);
        }
        None => {
            status.unverified.clear(STORE_BEHIND);
        }
    });
    if let (true, Some(held)) = (is_news, held) {
        let why = behind_in_words(receipt, held);
        tracing::error!(%lane, why, remedy = refill(lane, "receipt"), "the store lost chunks that its receipts cover");
    }
}
