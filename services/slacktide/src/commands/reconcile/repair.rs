//! `slacktide reconcile repair`: has the bureau send the rows that differ, and stores again what the exchange has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ::commercial::refill::{From, RefillParts, refill};
use ::exchange::Exchange;
use ::store::{Approval, Refill, StoredRows};
use reconciliation::{KeyDigest, PassRequest};
use runtime::config::Loaded;
use schemas::name::Lane;

use super::comparing::{BUCKETS, compare};
use super::pass::{self, MAX_KEYS};
use super::report::{ReconcileReport, RepairItem};
use super::{finish, lane, open_store};
use crate::cli::reconcile::RepairArgs;
use crate::commands::{agent, feed, request, store};
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// The maximum number of requests of one command: each of them reads the core's table once.
const MAX_REQUESTS: usize = 5;

/// Compares, and if core and store differ, records the decision, repairs, and compares again.
pub(super) async fn run(args: RepairArgs) -> Outcome {
    args.decision.check()?;
    let loaded: Loaded<CommercialFile> = load(&args.pass.config.config)?;
    let rows = open_store(&loaded).await?;
    let repair = Repair {
        loaded: &loaded,
        rows: rows.as_ref(),
        lane: lane(&loaded, args.pass.feed.clone()),
        by: Approval {
            actor: args.decision.actor.clone(),
            reason: args.decision.reason.clone(),
        },
        timeout: args.pass.timeout.get(),
    };
    let repaired = repair.run(args.pass.json).await;
    rows.close().await;
    repaired
}

/// Compares, and if core and store differ in rows that few requests can repair, records that and repairs them. Returns the last
/// comparison.
pub(super) async fn automatically(
    loaded: &Loaded<CommercialFile>,
    rows: &dyn StoredRows,
    lane: &Lane,
    by: Approval,
    timeout: Duration,
) -> Result<ReconcileReport, Failure> {
    let repair = Repair {
        loaded,
        rows,
        lane: lane.clone(),
        by,
        timeout,
    };
    let report = repair.compare().await?;
    let too_many = report.errors() > (MAX_KEYS * MAX_REQUESTS) as u64 || report.buckets_not_compared > 0;
    if report.is_balanced || !report.is_comparable() || too_many {
        return Ok(report);
    }
    repair.record(&report).await?;
    repair.ask_for_rows(report).await
}

struct Repair<'a> {
    loaded: &'a Loaded<CommercialFile>,
    rows: &'a dyn StoredRows,
    lane: Lane,
    by: Approval,
    timeout: Duration,
}

impl Repair<'_> {
    async fn run(&self, json: bool) -> Outcome {
        let mut report = self.compare().await?;
        if report.is_balanced {
            return finish(&report, json);
        }
        if !json {
            output::report(&report, false)?;
        }
        self.record(&report).await?;
        // Many rows, or all of a table, are cheaper to store again: nothing of that reads the core.
        if !report.is_comparable() || report.errors() > MAX_KEYS as u64 || report.buckets_not_compared > 0 {
            self.store_again().await?;
            report = self.compare().await?;
        }
        finish(&self.ask_for_rows(report).await?, json)
    }

    /// Has the bureau send rows again until core and store are equal, as long as each request leaves fewer differences. Returns the last
    /// comparison.
    async fn ask_for_rows(&self, mut report: ReconcileReport) -> Result<ReconcileReport, Failure> {
        let mut repairs = Vec::new();
        while !report.is_balanced && report.is_comparable() && repairs.len() < MAX_REQUESTS {
            let errors = report.errors();
            let keys: BTreeSet<KeyDigest> = report.keys_to_repair().take(MAX_KEYS).collect();
            if keys.is_empty() {
                break;
            }
            repairs.push(self.ask(report.salt.clone(), keys).await?);
            report = self.compare().await?;
            if report.errors() >= errors {
                break;
            }
        }
        report.repairs = repairs;
        Ok(report)
    }

    async fn compare(&self) -> Result<ReconcileReport, Failure> {
        compare(self.loaded, self.rows, &self.lane, &self.by.actor, self.timeout).await
    }

    /// Has the bureau send the rows of these keys again.
    async fn ask(&self, salt: String, keys: BTreeSet<KeyDigest>) -> Result<RepairItem, Failure> {
        let wanted = PassRequest {
            salt,
            buckets: BUCKETS,
            only: None,
            keys: BTreeSet::new(),
            repair: keys,
        };
        let client = request::client(self.loaded).await?;
        let answered = pass::ask(&client, &self.lane.feed, &wanted, &self.by.actor, self.timeout).await;
        client.close().await;
        let pass = answered?;
        let repaired = pass.answer.header.repaired.unwrap_or_default();
        Ok(RepairItem {
            request: pass.id,
            chunk: (repaired.epoch > 0).then(|| format!("{}.{}", repaired.epoch, repaired.number)),
            sent: repaired.sent,
            gone: repaired.gone,
            left: repaired.left,
        })
    }

    /// Records the decision in the audit chain.
    async fn record(&self, report: &ReconcileReport) -> Result<(), Failure> {
        let detail = BTreeMap::from([
            ("lane".to_owned(), self.lane.to_string()),
            ("errors".to_owned(), report.errors().to_string()),
        ]);
        let exchange = self.connect().await?;
        let signed = store::sign(self.loaded, &exchange, &self.by, ("store.reconcile", detail)).await;
        exchange.close().await;
        signed
    }

    async fn connect(&self) -> Result<Arc<ExchangeClient>, Failure> {
        let options = self.loaded.value.exchange.command_options(self.loaded.folder())?;
        Ok(Arc::new(ExchangeClient::connect(options).await?))
    }

    /// Stores the lane's chunks again, from the first one that the exchange keeps.
    async fn store_again(&self) -> Result<(), Failure> {
        let (file, folder) = (&self.loaded.value, self.loaded.folder());
        let stop = agent::stop_on_signals()?;
        let store: Arc<dyn Refill> = compose::refill(self.loaded)?;
        store.prepare().await?;
        let exchange = self.connect().await?;
        let parts = RefillParts {
            exchange: Arc::<ExchangeClient>::clone(&exchange),
            store: Arc::clone(&store),
            lane: self.lane.clone(),
            trusted: file.trust.chunks.clone(),
            here: file.origin(),
            decryption_keys: file.encryption.decryption_keys(folder)?,
        };
        let done = refill(&parts, From::Start, stop.token(), |_| {}).await;
        store.close().await;
        exchange.close().await;
        done.map(|_| ()).map_err(feed::refill::failed)
    }
}
