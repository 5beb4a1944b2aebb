//! Compares the store with its own receipts at the exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use schemas::name::Lane;
use schemas::receipt::{Behind, Receipt};
use store::merge::Place;
use store::{Identity, LaneReport};
use tokio::time::Instant;

use crate::evidence::{STORE_BEHIND, behind, behind_in_words, foreign, refill};
use crate::poller::CommercialParts;
use crate::receipts::{last, publish_behind};

/// The store is compared with its own receipts this often.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// What the last comparison found, and when the next one is due.
#[derive(Debug, Default)]
pub struct Comparison {
    last: Option<(Compared, Instant)>,
    is_doubted: bool,
}

impl Comparison {
    /// Compares again at the next opportunity: a connection that broke may lead to another store.
    pub fn doubt(&mut self) {
        self.is_doubted = true;
    }

    /// Compares where it is due: at the start, after doubt, and every some seconds.
    ///
    /// # Errors
    /// Why the comparison could not be made, in words. Nothing is known of the store then.
    pub async fn renew(&mut self, parts: &CommercialParts) -> Result<(), String> {
        let is_recent = |(_, at): &(Compared, Instant)| at.elapsed() < COMPARE_EVERY;
        if !self.is_doubted && self.last.as_ref().is_some_and(is_recent) {
            return Ok(());
        }
        self.last = None;
        self.last = Some((compare(parts).await?, Instant::now()));
        self.is_doubted = false;
        Ok(())
    }

    /// The store, where it was compared.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.last.as_ref().map(|(compared, _)| &compared.identity)
    }

    /// How far the receipts of each lane cover what the store holds. A lane whose store is behind them is left out.
    #[must_use]
    pub fn covered(&self) -> BTreeMap<Lane, Place> {
        self.last
            .as_ref()
            .map(|(compared, _)| compared.covered.clone())
            .unwrap_or_default()
    }

    /// Whether a lane's store is behind its receipts.
    #[must_use]
    pub fn is_behind(&self, lane: &Lane) -> bool {
        self.last
            .as_ref()
            .is_some_and(|(compared, _)| compared.behind.contains(lane))
    }
}

/// What a comparison found.
#[derive(Debug)]
struct Compared {
    /// The store.
    identity: Identity,
    /// Lanes whose store is behind their receipts.
    behind: BTreeSet<Lane>,
    /// What the receipts of the other lanes cover.
    covered: BTreeMap<Lane, Place>,
}

/// Reads the last receipt of each lane first and the store then, which can only be further: so what is behind is behind. Shows
/// what it finds, and publishes it.
async fn compare(parts: &CommercialParts) -> Result<Compared, String> {
    let identity = parts.store.identity().await.map_err(|error| error.to_string())?;
    let receipts = receipts(parts).await.map_err(|error| error.to_string())?;
    let named: Vec<Receipt> = receipts.iter().map(|(receipt, _)| receipt.clone()).collect();
    let other = foreign(&identity, &named);
    show_other(parts, &identity, other.as_deref(), &named);
    if other.is_some() {
        return Ok(Compared {
            identity,
            behind: BTreeSet::new(),
            covered: BTreeMap::new(),
        });
    }
    let reports = parts.store.reports().await.map_err(|error| error.to_string())?;
    let reports: BTreeMap<&Lane, &LaneReport> = reports.iter().map(|report| (&report.lane, report)).collect();
    let (mut found, mut covered) = (BTreeSet::new(), BTreeMap::new());
    for (receipt, sequence) in &receipts {
        let lane = receipt.lane();
        let held = behind(receipt, reports.get(&lane).copied());
        show_behind(parts, &lane, receipt, held);
        if let Some(held) = held {
            // A receipt of a version before names no store: this one does not claim what may be another's.
            if receipt.store.is_some() {
                let exchange = parts.exchange.as_ref();
                let store = (held, &identity.id);
                publish_behind(exchange, &parts.key, (receipt, *sequence), store).await?;
            }
            found.insert(lane);
        } else {
            let place = Place {
                epoch: receipt.epoch,
                number: receipt.to,
            };
            covered.insert(lane, place);
        }
    }
    Ok(Compared {
        identity,
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

/// Shows on every lane that nothing is fetched into it, or not any more.
fn show_other(parts: &CommercialParts, identity: &Identity, other: Option<&str>, receipts: &[Receipt]) {
    let mut before = None;
    parts.board.note(|status| {
        before.clone_from(&status.other_store);
        status.store = Some(identity.id.to_string());
        status.compared_at = Some(Timestamp::now());
        status.other_store = other.map(str::to_owned);
    });
    match (before.as_deref(), other) {
        (Some(before), Some(other)) if before == other => return,
        (None, None) => return,
        (_, Some(why)) => tracing::error!(why, "nothing is fetched: the receipts are another store's"),
        (Some(_), None) => tracing::info!("the receipts are this store's again"),
    }
    for receipt in receipts {
        parts.board.lane(&receipt.lane(), |status| {
            status.stopped = other.map(str::to_owned)
        });
    }
}

fn show_behind(parts: &CommercialParts, lane: &Lane, receipt: &Receipt, held: Option<Behind>) {
    let mut is_news = false;
    parts.board.lane(lane, |status| match held {
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
        tracing::error!(%lane, why, remedy = refill(lane, "receipt"), "the store lost chunks that it signed for");
    }
}
