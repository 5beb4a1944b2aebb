//! The value of `reconcile run`, `show` and `repair`.

pub(super) mod workbook;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reconciliation::{Difference, Finding, Header, KeyDigest};
use schemars::JsonSchema;
use schemas::name::{FeedName, Lane, RecipientName};
use serde::{Deserialize, Serialize};

use super::super::request::csv::{self, Cells};
use super::store_side::StoredKey;
use crate::failure::Failure;
use crate::output::{Report, Table, Time, View};

/// The maximum number of findings in a report.
const MAX_FINDINGS: usize = 10_000;

/// The maximum number of findings that are printed for people.
const MAX_PRINTED: usize = 40;

/// The maximum number of days that are printed for people.
const MAX_PRINTED_DAYS: usize = 31;

/// How a comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum Ending {
    /// The rows were compared.
    Compared,
    /// The store has not stored everything that it was sent.
    StoreBehind,
    /// The bureau sends other columns than the store has.
    ColumnsDiffer,
}

/// A comparison of a feed's rows at the core with those of the store.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "reconcile")]
pub(in crate::commands) struct ReconcileReport {
    /// `RECIPIENT.FEED`.
    lane: String,
    recipient: RecipientName,
    feed: FeedName,
    /// When it began.
    begun_at: Time,
    /// When it ended.
    ended_at: Time,
    /// How it ended.
    ending: Ending,
    /// Whether every row of the core that was sent is at the store, with the same values, and no other.
    pub(super) is_balanced: bool,
    /// The last chunk that was published before the core was read, as `EPOCH.NUMBER`; `null` before any.
    as_of: Option<String>,
    /// Rows of the feed at the core.
    core_rows: u64,
    /// Rows of the table at the store.
    pub(super) store_rows: u64,
    /// Rows of the core that are after the lane's position: they follow.
    late: u64,
    /// Rows that are marked as deleted.
    deleted: u64,
    /// Rows that the block list or a hold withholds.
    pub(super) withheld: u64,
    /// Rows that the feed sends as rejects.
    rejected: u64,
    /// Rows and sums of each day, as far as they were sent.
    pub(super) days: Vec<DayItem>,
    /// Buckets that were compared.
    pub(super) buckets: u64,
    /// Of these, buckets that differ.
    pub(super) buckets_differing: u64,
    /// Of these, buckets whose keys were not compared, because they have too many rows.
    pub(super) buckets_not_compared: u64,
    /// Whether the store was behind during the comparison of keys.
    pub(super) is_store_behind: bool,
    /// The number of findings of each kind: `missing`, `extra`, `different` and `doubled` are errors; `late`, `withheld`, `rejected`
    /// and `quarantined` are explained.
    findings_by_kind: BTreeMap<String, u64>,
    /// The findings, errors first; at most 10,000.
    findings: Vec<FindingItem>,
    /// The salt of the digests of keys.
    pub(super) salt: String,
    /// What each pass used of the core.
    pub(super) costs: Vec<CostItem>,
    /// What the bureau sent again before this comparison.
    #[serde(default)]
    pub(super) repairs: Vec<RepairItem>,
    /// Commands that repair what differs, in order. The first is the receiver's, the second the bureau's.
    repair: Vec<String>,
}

/// A day of the feed's time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct DayItem {
    /// `yyyy-mm-dd`; `null` for rows without a day.
    pub(super) day: Option<String>,
    /// Rows at the core.
    pub(super) core_rows: u64,
    /// Rows at the store.
    pub(super) store_rows: u64,
    /// Exact sums at the core.
    pub(super) core_sums: BTreeMap<String, String>,
    /// Exact sums at the store.
    pub(super) store_sums: BTreeMap<String, String>,
    /// Whether both sides have the same rows.
    pub(super) is_equal: bool,
}

/// A key in which the sides differ.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct FindingItem {
    /// `missing`, `extra`, `different`, `doubled`, `late`, `withheld`, `rejected` or `quarantined`.
    difference: String,
    /// Whether it is an error.
    is_error: bool,
    /// The digest of the key, under the salt of this comparison.
    key_digest: String,
    /// The values of the key; `null` if the store does not have it.
    key: Option<BTreeMap<String, String>>,
}

/// What a pass used of the core.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct CostItem {
    /// The id of its request.
    pub(super) request: String,
    /// Rows that were read.
    pub(super) rows_read: u64,
    /// Quanta of the gate.
    pub(super) quanta: u64,
    /// Time on the core, in milliseconds.
    pub(super) source_ms: u64,
    /// When the first row was read.
    pub(super) read_from: Option<Time>,
    /// When the last row was read.
    pub(super) read_to: Option<Time>,
}

/// Rows that the bureau sent again on request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct RepairItem {
    /// The id of the request.
    pub(super) request: String,
    /// The last chunk with the rows, as `EPOCH.NUMBER`; `null` if there was nothing to send.
    pub(super) chunk: Option<String>,
    /// Keys whose rows were sent.
    pub(super) sent: u64,
    /// Keys that are gone at the core.
    pub(super) gone: u64,
    /// Keys that were left as they are: their rows follow in the feed, are withheld or rejected, or did not fit.
    pub(super) left: u64,
}

impl ReconcileReport {
    /// Begins the report of a lane, with the salt of its digests.
    pub(super) fn begin(lane: &Lane, salt: String, at: Timestamp) -> Self {
        Self {
            lane: lane.to_string(),
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            begun_at: Time(at),
            ended_at: Time(at),
            ending: Ending::StoreBehind,
            is_balanced: false,
            as_of: None,
            core_rows: 0,
            store_rows: 0,
            late: 0,
            deleted: 0,
            withheld: 0,
            rejected: 0,
            days: Vec::new(),
            buckets: 0,
            buckets_differing: 0,
            buckets_not_compared: 0,
            is_store_behind: false,
            findings_by_kind: BTreeMap::new(),
            findings: Vec::new(),
            salt,
            costs: Vec::new(),
            repairs: Vec::new(),
            repair: Vec::new(),
        }
    }

    /// Takes the counts of the first pass.
    pub(super) fn take_header(&mut self, header: &Header) {
        self.as_of = (header.epoch > 0).then(|| format!("{}.{}", header.epoch, header.number));
        self.core_rows = header.rows_read;
        (self.late, self.deleted) = (header.late, header.deleted);
        (self.withheld, self.rejected) = (header.withheld, header.rejected);
    }

    /// Takes the findings; `stored` has the values of the store's keys.
    pub(super) fn take_findings(&mut self, findings: &[Finding], stored: &BTreeMap<KeyDigest, StoredKey>) {
        for finding in findings {
            let kind = finding.difference.word().to_owned();
            *self.findings_by_kind.entry(kind).or_default() += 1;
        }
        let item = |finding: &Finding| FindingItem {
            difference: finding.difference.word().to_owned(),
            is_error: finding.difference.is_error(),
            key_digest: finding.key.to_string(),
            key: stored.get(&finding.key).map(|stored| stored.values.clone()),
        };
        self.findings = findings.iter().take(MAX_FINDINGS).map(item).collect();
    }

    /// Ends the report.
    pub(super) fn end(mut self, ending: Ending, at: Timestamp) -> Self {
        (self.ending, self.ended_at) = (ending, Time(at));
        self.is_balanced = ending == Ending::Compared
            && self.errors() == 0
            && self.buckets_not_compared == 0
            && !self.is_store_behind;
        let (feed, recipient) = (&self.feed, &self.recipient);
        if !self.is_balanced && ending != Ending::ColumnsDiffer {
            self.repair = vec![
                format!("slacktide reconcile repair {feed} --actor NAME --reason TEXT --config FILE"),
                format!(
                    "slacktide feed resync {feed} --recipient {recipient} --actor NAME --reason TEXT --config FILE"
                ),
            ];
        }
        self
    }

    /// Returns the keys of the findings that are errors.
    pub(super) fn keys_to_repair(&self) -> impl Iterator<Item = KeyDigest> {
        let errors = self.findings.iter().filter(|finding| finding.is_error);
        errors.filter_map(|finding| finding.key_digest.parse().ok())
    }

    /// Returns whether the rows were compared.
    pub(super) fn is_comparable(&self) -> bool {
        self.ending == Ending::Compared
    }

    /// Returns the number of errors.
    pub(super) fn errors(&self) -> u64 {
        let is_error = |word: &str| {
            let errors = [
                Difference::Missing,
                Difference::Extra,
                Difference::Different,
                Difference::Doubled,
            ];
            errors.iter().any(|difference| difference.word() == word)
        };
        let errors = self.findings_by_kind.iter().filter(|(word, _)| is_error(word));
        errors.map(|(_, count)| count).sum()
    }

    /// Returns the findings as CSV, with a column for each column of the key.
    pub(super) fn findings_csv(&self, cells: Cells) -> Result<String, Failure> {
        let columns = self.key_columns();
        let mut names = vec!["difference", "is_error", "key_digest"];
        names.extend(columns.iter().map(|name| name.as_str()));
        let row = |finding: &FindingItem| {
            let value = |name: &&String| finding.key.as_ref().and_then(|key| key.get(*name).cloned());
            let own = [
                Some(finding.difference.clone()),
                Some(finding.is_error.to_string()),
                Some(finding.key_digest.clone()),
            ];
            own.into_iter().chain(columns.iter().map(value)).collect()
        };
        let rows: Vec<Vec<Option<String>>> = self.findings.iter().map(row).collect();
        csv::records(&names, &rows, cells)
    }

    /// Returns the columns of the findings' keys.
    fn key_columns(&self) -> BTreeSet<&String> {
        let keys = self.findings.iter().filter_map(|finding| finding.key.as_ref());
        keys.flat_map(BTreeMap::keys).collect()
    }

    fn explained(&self) -> String {
        let counts = [
            (self.late, "late"),
            (self.deleted, "marked as deleted"),
            (self.withheld, "withheld"),
            (self.rejected, "rejected"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let texts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
        texts.join(", ")
    }

    fn verdict(&self) -> String {
        match self.ending {
            Ending::StoreBehind => {
                "not compared: the store has not stored everything that it was sent".to_owned()
            }
            Ending::ColumnsDiffer => {
                "not compared: the bureau sends other columns than the store has".to_owned()
            }
            Ending::Compared if self.is_balanced => "balanced".to_owned(),
            Ending::Compared if self.errors() > 0 => format!("{} rows differ", self.errors()),
            Ending::Compared => "not all differences could be compared: repair, and compare again".to_owned(),
        }
    }
}

fn sums(sums: &BTreeMap<String, String>) -> String {
    let texts: Vec<String> = sums.iter().map(|(name, sum)| format!("{name} {sum}")).collect();
    texts.join(", ")
}

impl Report for ReconcileReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!("{}: {}", self.lane, self.verdict()));
        let as_of = self.as_of.as_deref().unwrap_or("the beginning");
        view.line(format!(
            "  core {} rows, store {} rows, as of chunk {as_of}",
            self.core_rows, self.store_rows
        ));
        let explained = self.explained();
        if !explained.is_empty() {
            view.line(format!("  of the core's rows: {explained}"));
        }
        for cost in &self.costs {
            view.line(format!(
                "  request {} read {} rows of the core in {} quanta, {} ms",
                cost.request, cost.rows_read, cost.quanta, cost.source_ms
            ));
        }
        for repair in &self.repairs {
            let chunk = repair.chunk.as_deref().unwrap_or("none");
            view.line(format!(
                "  request {} repaired {} rows and removed {} keys, in chunk {chunk}; {} keys were left",
                repair.request, repair.sent, repair.gone, repair.left
            ));
        }
        if self.buckets_not_compared > 0 {
            view.line(format!(
                "  {} of {} differing buckets have too many rows for one comparison",
                self.buckets_not_compared, self.buckets_differing
            ));
        }
        let unequal: Vec<&DayItem> = self.days.iter().filter(|day| !day.is_equal).collect();
        if !unequal.is_empty() {
            let mut table = Table::new()
                .fixed("DAY")
                .number("CORE")
                .number("STORE")
                .text("SUMS AT CORE")
                .text("SUMS AT STORE");
            for day in unequal.iter().rev().take(MAX_PRINTED_DAYS) {
                table.row([
                    day.day.clone().unwrap_or_else(|| "none".to_owned()),
                    day.core_rows.to_string(),
                    day.store_rows.to_string(),
                    sums(&day.core_sums),
                    sums(&day.store_sums),
                ]);
            }
            view.blank().table(table);
        }
        if !self.findings.is_empty() {
            let mut table = Table::new().fixed("DIFFERENCE").fixed("KEY DIGEST").text("KEY");
            for finding in self.findings.iter().take(MAX_PRINTED) {
                table.row([
                    finding.difference.clone(),
                    finding.key_digest.clone(),
                    finding
                        .key
                        .as_ref()
                        .map_or_else(|| "not at the store".to_owned(), sums),
                ]);
            }
            view.blank().table(table);
            if self.findings.len() > MAX_PRINTED {
                view.line(format!(
                    "  and {} more, with --json",
                    self.findings.len() - MAX_PRINTED
                ));
            }
        }
        if let [store, bureau] = self.repair.as_slice() {
            view.blank().line("  repair the rows that differ:");
            view.command(4, store.clone());
            view.line("  if rows still differ, have the bureau send every row again:");
            view.command(4, bureau.clone());
        }
        view
    }
}
