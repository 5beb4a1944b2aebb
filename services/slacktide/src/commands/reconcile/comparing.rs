//! Runs a comparison: buckets first, then the keys of the buckets that differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use reconciliation::comparison::{compare_keys, differing_buckets};
use reconciliation::{Finding, Header, KeyDigest, PassRequest, StoreKey};
use runtime::config::Loaded;
use schemas::name::Lane;
use slacktide_client::Client;
use store::StoredRows;
use store::merge::ChunkNumber;
use tokio::time::Instant;

use super::super::request;
use super::pass::{self, Pass};
use super::report::{CostItem, DayItem, Ending, ReconcileReport};
use super::store_side::{self, StoreSide, StoredKey};
use crate::failure::Failure;
use crate::output;
use crate::settings::CommercialFile;

/// The number of buckets. The rows of a bucket whose keys are compared are few enough, and so are the buckets of an answer.
pub(super) const BUCKETS: usize = 4_096;

/// The maximum number of rows whose keys are compared in one pass.
const MAX_KEYS: u64 = 200_000;

/// How long the store may take to store what the bureau has published.
const CATCH_UP: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(300);

/// Compares a lane, keeps the report in the store, and returns it.
pub(super) async fn compare(
    loaded: &Loaded<CommercialFile>,
    store: &dyn StoredRows,
    lane: &Lane,
    actor: &str,
    timeout: Duration,
) -> Result<ReconcileReport, Failure> {
    let client = request::client(loaded).await?;
    let comparison = Comparison {
        client: &client,
        store,
        lane,
        actor,
        salt: format!("{:032x}", rand::random::<u128>()),
        until: Instant::now() + timeout,
    };
    let compared = comparison.run().await;
    client.close().await;
    let (report, as_of) = compared?;
    let text = serde_json::to_string(&report).map_err(|error| Failure::internal(&error))?;
    store.keep_report(lane, &text).await?;
    if report.is_balanced {
        store.settle(lane, as_of).await?;
    }
    Ok(report)
}

struct Comparison<'a> {
    client: &'a Client,
    store: &'a dyn StoredRows,
    lane: &'a Lane,
    actor: &'a str,
    salt: String,
    until: Instant,
}

impl Comparison<'_> {
    /// Returns the report, and the lane's last chunk before the first row was read.
    async fn run(&self) -> Result<(ReconcileReport, ChunkNumber), Failure> {
        let mut report = ReconcileReport::begin(self.lane, self.salt.clone(), Timestamp::now());
        let all = self.pass(None, BTreeSet::new(), &mut report).await?;
        let as_of = place_of(&all.answer.header);
        let ending = self.compare(&all, &mut report).await?;
        Ok((report.end(ending, Timestamp::now()), as_of))
    }

    /// Compares the buckets, and the keys of those that differ.
    async fn compare(&self, all: &Pass, report: &mut ReconcileReport) -> Result<Ending, Failure> {
        let header = &all.answer.header;
        report.take_header(header);
        if !self.is_caught_up(header).await? {
            return Ok(Ending::StoreBehind);
        }
        let stored = store_side::tree(self.store, self.lane, self.place(), header).await?;
        report.store_rows = stored.rows;
        if stored.columns != header.columns {
            return Ok(Ending::ColumnsDiffer);
        }
        report.days = days(all, &stored);
        let differing = differing_buckets(&all.answer.buckets, &stored.tree);
        report.buckets = BUCKETS as u64;
        report.buckets_differing = differing.len() as u64;
        if differing.is_empty() {
            return Ok(Ending::Compared);
        }
        let asked = bounded(&differing, all, &stored);
        report.buckets_not_compared = (differing.len() - asked.len()) as u64;
        let findings = self.compare_keys(asked, report).await?;
        report.take_findings(&findings.0, &findings.1);
        Ok(Ending::Compared)
    }

    fn place(&self) -> (&str, usize) {
        (&self.salt, BUCKETS)
    }

    /// Has the core read once.
    async fn pass(
        &self,
        only: Option<BTreeSet<usize>>,
        keys: BTreeSet<KeyDigest>,
        report: &mut ReconcileReport,
    ) -> Result<Pass, Failure> {
        let wanted = PassRequest {
            salt: self.salt.clone(),
            buckets: BUCKETS,
            only,
            keys,
            repair: BTreeSet::new(),
        };
        let left = self.until.saturating_duration_since(Instant::now());
        let pass = pass::ask(self.client, &self.lane.feed, &wanted, self.actor, left).await?;
        let header = &pass.answer.header;
        report.costs.push(CostItem {
            request: pass.id.clone(),
            rows_read: header.rows_read,
            quanta: header.quanta,
            source_ms: header.source_ms,
            read_from: pass.read_from.map(output::Time),
            read_to: pass.read_to.map(output::Time),
        });
        Ok(pass)
    }

    /// Compares the keys of these buckets, in a pass of its own: what changed since the first one is late then.
    async fn compare_keys(
        &self,
        only: BTreeSet<usize>,
        report: &mut ReconcileReport,
    ) -> Result<(Vec<Finding>, BTreeMap<KeyDigest, StoredKey>), Failure> {
        let known = if report.withheld > 0 {
            let nothing = Header::default();
            let stored = store_side::keys(self.store, self.lane, self.place(), &nothing, &only).await?;
            pass::fitting(stored.keys.into_keys())
        } else {
            BTreeSet::new()
        };
        let pass = self.pass(Some(only.clone()), known, report).await?;
        let header = &pass.answer.header;
        if !self.is_caught_up(header).await? {
            report.is_store_behind = true;
        }
        let stored = store_side::keys(self.store, self.lane, self.place(), header, &only).await?;
        let quarantined = store_side::quarantined(self.store, self.lane, &self.salt).await?;
        let compared: BTreeMap<KeyDigest, StoreKey> = stored
            .keys
            .iter()
            .map(|(key, stored)| (*key, stored.compared))
            .collect();
        let findings = compare_keys(&pass.answer.keys, &compared, &quarantined);
        Ok((findings, stored.keys))
    }

    /// Waits until the store has everything that was published before the core was read.
    async fn is_caught_up(&self, header: &Header) -> Result<bool, Failure> {
        let wanted = place_of(header);
        if header.epoch == 0 {
            return Ok(true);
        }
        let until = Instant::now() + CATCH_UP;
        loop {
            let reports = self.store.reports().await?;
            let of_lane = reports.iter().find(|report| report.lane == *self.lane);
            let is_awaited = of_lane.is_some_and(|report| report.refill_until.is_some());
            if of_lane.is_some_and(|report| report.chunk_number() >= wanted) && !is_awaited {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Returns the lane's last chunk before the core was read.
fn place_of(header: &Header) -> ChunkNumber {
    ChunkNumber {
        epoch: header.epoch,
        number: header.number,
    }
}

/// Returns as many of the differing buckets as one pass compares, at least one.
fn bounded(differing: &BTreeSet<usize>, core: &Pass, store: &StoreSide) -> BTreeSet<usize> {
    let (mut rows, mut asked) = (0, BTreeSet::new());
    for place in differing {
        let of_core = core.answer.buckets.get(place).map_or(0, |bucket| bucket.rows);
        let of_store = store.tree.buckets.get(*place).map_or(0, |bucket| bucket.rows);
        rows += of_core.max(of_store);
        if rows > MAX_KEYS && !asked.is_empty() {
            break;
        }
        asked.insert(*place);
    }
    asked
}

fn days(core: &Pass, store: &StoreSide) -> Vec<DayItem> {
    let days: BTreeSet<&String> = core.answer.days.keys().chain(store.tree.days.keys()).collect();
    let money = &core.answer.header.money;
    let sums = |sums: Option<Vec<String>>| {
        let sums = sums.unwrap_or_default();
        money.iter().cloned().zip(sums).collect()
    };
    let item = |day: &&String| {
        let (of_core, of_store) = (core.answer.days.get(*day), store.tree.days.get(*day));
        DayItem {
            day: Some((*day).clone()).filter(|day| !day.is_empty()),
            core_rows: of_core.map_or(0, |of_core| of_core.rows),
            store_rows: of_store.map_or(0, |of_store| of_store.rows),
            core_sums: sums(of_core.map(|of_core| of_core.sums.clone())),
            store_sums: sums(of_store.map(reconciliation::Summary::sums)),
            is_equal: match (of_core, of_store) {
                (Some(core), Some(store)) => store.equals(core.rows, &core.digest),
                _ => false,
            },
        }
    };
    days.iter().map(item).collect()
}
