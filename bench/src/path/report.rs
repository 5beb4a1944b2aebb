//! Medians, ratios, the table and `target/bench/path.json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;

use crate::Outcome;
use crate::arguments::Counts;
use crate::settings::POLL;
use crate::stages::Payload;
use crate::whole::Run;

/// A measured subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Subject {
    /// `COPY … TO STDOUT`, drained.
    CopyOut,
    /// The source's reader.
    Read,
    /// Compressing and signing on one core.
    Sign,
    /// Publishing to the exchange.
    Publish,
    /// Verifying and unpacking on one core.
    Open,
    /// The store.
    Store,
    /// `COPY … FROM STDIN`.
    CopyIn,
    /// The whole path.
    Whole,
    /// The whole path, the exchange reached through a gateway.
    #[value(skip)]
    Https,
}

impl Subject {
    /// All subjects, in the order of the path.
    pub(crate) const ALL: [Self; 8] = [
        Self::CopyOut,
        Self::Read,
        Self::Sign,
        Self::Publish,
        Self::Open,
        Self::Store,
        Self::CopyIn,
        Self::Whole,
    ];

    /// Returns the name in tables and files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CopyOut => "copy-out",
            Self::Read => "read",
            Self::Sign => "sign",
            Self::Publish => "publish",
            Self::Open => "open",
            Self::Store => "store",
            Self::CopyIn => "copy-in",
            Self::Whole => "whole",
            Self::Https => "https",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::CopyOut => "ceiling: COPY (SELECT ...) TO STDOUT, drained",
            Self::Read => "source: read in quanta, packed into blocks",
            Self::Sign => "social: compress and sign, one core",
            Self::Publish => "exchange: compare-and-set, fsync each",
            Self::Open => "commercial: verify, unpack, total, one core",
            Self::Store => "store: rows and ledger, in the poller's batches",
            Self::CopyIn => "ceiling: COPY into an equal table with its key",
            Self::Whole => "social and commercial, first read to last commit",
            Self::Https => "the same over https://, through a gateway",
        }
    }

    /// Whether the whole path includes it; the ceilings are not part of it.
    fn is_stage(self) -> bool {
        matches!(
            self,
            Self::Read | Self::Sign | Self::Publish | Self::Open | Self::Store
        )
    }
}

/// Returns what a run measured.
fn subject(run: &Run) -> Subject {
    if run.transport == "https" {
        Subject::Https
    } else {
        Subject::Whole
    }
}

/// Returns rows per second.
pub(crate) fn rate(rows: u64, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64().max(1e-9)
}

/// The results so far.
pub(crate) struct Report {
    counts: Counts,
    row_bytes: f64,
    chunks: usize,
    compressed_share: f64,
    rates: BTreeMap<Subject, Vec<f64>>,
    runs: Vec<Run>,
    quarter: Option<Run>,
}

const TARGET_RATE: f64 = 100_000.0;
const TARGET_SHARE: f64 = 0.8;
const TARGET_OVER_HTTPS: f64 = 0.5;
const MAX_MEMORY: u64 = 256_000_000;

impl Report {
    /// Creates a report over these rows.
    pub(crate) fn new(counts: Counts, payload: &Payload) -> Self {
        Self {
            counts,
            row_bytes: payload.plain_bytes as f64 / payload.rows as f64,
            chunks: payload.chunks.len(),
            compressed_share: payload.published_bytes as f64 / payload.plain_bytes as f64,
            rates: BTreeMap::new(),
            runs: Vec::new(),
            quarter: None,
        }
    }

    /// Renders the header.
    pub(crate) fn head(&self) -> String {
        let Counts {
            rows,
            rounds,
            pollers,
        } = self.counts;
        format!(
            "{rows} rows of {:.0} packed bytes in {} chunks, compressed to {:.0} %; {} cores; {rounds} rounds; \
             {pollers} poller(s), a tick each {POLL}; autovacuum off",
            self.row_bytes,
            self.chunks,
            self.compressed_share * 100.0,
            cores(),
        )
    }

    /// Adds the result of a stage.
    pub(crate) fn stage(&mut self, subject: Subject, rows: u64, took: Duration) {
        self.rates.entry(subject).or_default().push(rate(rows, took));
    }

    /// Adds a run of the whole path.
    pub(crate) fn whole(&mut self, run: &Run) {
        self.rates.entry(subject(run)).or_default().push(run.rate());
        self.runs.push(run.clone());
    }

    /// Adds the run of a quarter of the rows.
    pub(crate) fn quarter(&mut self, run: &Run) {
        self.quarter = Some(run.clone());
    }

    fn median(&self, subject: Subject) -> Option<f64> {
        let mut rates = self.rates.get(&subject)?.clone();
        rates.sort_by(f64::total_cmp);
        let (upper, lower) = (rates.get(rates.len() / 2)?, rates.get((rates.len() - 1) / 2)?);
        Some(f64::midpoint(*upper, *lower))
    }

    fn slowest(&self) -> Option<(Subject, f64)> {
        let stages = Subject::ALL.into_iter().filter(|subject| subject.is_stage());
        let rates = stages.filter_map(|subject| Some((subject, self.median(subject)?)));
        rates.min_by(|one, other| one.1.total_cmp(&other.1))
    }

    fn share(&self) -> Option<f64> {
        Some(self.median(Subject::Whole)? / self.slowest()?.1)
    }

    /// Returns the rate over HTTPS compared with that over NATS.
    fn share_over_https(&self) -> Option<f64> {
        Some(self.median(Subject::Https)? / self.median(Subject::Whole)?)
    }

    /// Returns the CPU seconds per million rows over the whole path.
    fn cpu_per_million(&self) -> Option<f64> {
        let mut each: Vec<f64> = self
            .runs
            .iter()
            .filter(|run| subject(run) == Subject::Whole)
            .map(|run| run.cpu.sum() * 1e6 / run.rows as f64)
            .collect();
        each.sort_by(f64::total_cmp);
        each.get(each.len() / 2).copied()
    }

    fn peaks(run: &Run) -> [(&'static str, u64); 2] {
        [("social", run.peak.social), ("commercial", run.peak.commercial)]
    }

    /// Renders the table.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<10}{:>12}{:>24}   what\n", "", "rows/s", "rounds");
        for (subject, rates) in &self.rates {
            let each: Vec<String> = rates.iter().map(|rate| format!("{:.0}k", rate / 1e3)).collect();
            let median = self.median(*subject).unwrap_or_default();
            let _ = writeln!(
                text,
                "{:<10}{median:>12.0}{:>24}   {}",
                subject.name(),
                each.join(" "),
                subject.what()
            );
        }
        if let (Some(share), Some((slowest, _))) = (self.share(), self.slowest()) {
            let _ = writeln!(
                text,
                "\nthe whole path reaches {share:.2} of its slowest stage, {}",
                slowest.name()
            );
        }
        if let Some(share) = self.share_over_https() {
            let _ = writeln!(
                text,
                "over https:// the whole path reaches {share:.2} of its rate over nats://"
            );
        }
        if let Some(cpu) = self.cpu_per_million() {
            let bound = cores() as f64 * 1e6 / cpu;
            let _ = writeln!(
                text,
                "a million rows take {cpu:.1} CPU seconds in all processes together; the limit of {} cores is {bound:.0} rows/s",
                cores(),
            );
        }
        let others: f64 = self.runs.iter().map(|run| run.others).sum();
        let ours: f64 = self.runs.iter().map(|run| run.cpu.sum()).sum();
        if others > ours / 10.0 {
            let _ = writeln!(
                text,
                "other work on this machine took {others:.0} CPU seconds in addition to {ours:.0} of ours: repeat on an idle machine",
            );
        }
        let greatest = self
            .runs
            .iter()
            .max_by_key(|run| run.peak.social + run.peak.commercial);
        if let (Some(quarter), Some(run)) = (&self.quarter, greatest) {
            for ((name, few), (_, many)) in Self::peaks(quarter).into_iter().zip(Self::peaks(run)) {
                let megabytes = |bytes: u64| bytes as f64 / 1e6;
                let (few, many) = (megabytes(few), megabytes(many));
                let _ = writeln!(
                    text,
                    "peak memory of {name}: {few:.0} MB for {} rows, {many:.0} MB for {}",
                    quarter.rows, run.rows
                );
            }
        }
        text
    }

    /// Writes `target/bench/path.json`.
    pub(crate) fn write(&self) -> Outcome<PathBuf> {
        let stages: BTreeMap<&str, _> = self
            .rates
            .iter()
            .map(|(subject, rates)| {
                (
                    subject.name(),
                    json!({"median": self.median(*subject), "rounds": rates}),
                )
            })
            .collect();
        let report = json!({
            "rows": self.counts.rows,
            "rounds": self.counts.rounds,
            "pollers": self.counts.pollers,
            "cores": cores(),
            "packed_bytes_per_row": self.row_bytes,
            "chunks": self.chunks,
            "compressed_to": self.compressed_share,
            "fsync": true,
            "rows_per_second": stages,
            "slowest_stage": self.slowest().map(|(subject, _)| subject.name()),
            "whole_to_slowest": self.share(),
            "https_to_nats": self.share_over_https(),
            "cpu_seconds_per_million_rows": self.cpu_per_million(),
            "whole": self.runs,
            "quarter": self.quarter,
        });
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| harness::workspace().join("target"), PathBuf::from);
        let path = target.join("bench/path.json");
        std::fs::create_dir_all(target.join("bench"))?;
        std::fs::write(&path, format!("{report:#}\n"))?;
        Ok(path)
    }

    /// Prints the targets and results. Only memory is enforced; rates depend on the machine and its other load.
    pub(crate) fn verdict(&self) -> Outcome<()> {
        if let (Some(rate), Some(share)) = (self.median(Subject::Whole), self.share()) {
            let word = |reached: bool| if reached { "reached" } else { "not reached" };
            println!("target {TARGET_RATE:.0} rows/s: {}", word(rate >= TARGET_RATE));
            println!(
                "target {TARGET_SHARE} of the slowest stage: {}",
                word(share >= TARGET_SHARE)
            );
        }
        if let Some(share) = self.share_over_https() {
            let word = if share >= TARGET_OVER_HTTPS {
                "reached"
            } else {
                "not reached"
            };
            println!("target {TARGET_OVER_HTTPS} of the rate over nats://: {word}");
        }
        let peaks = self.runs.iter().flat_map(Self::peaks);
        match peaks.max_by_key(|(_, bytes)| *bytes) {
            Some((name, bytes)) if bytes > MAX_MEMORY => {
                Err(format!("peak memory of {name} is {bytes} bytes, more than {MAX_MEMORY}").into())
            }
            _ => Ok(()),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}
