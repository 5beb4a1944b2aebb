//! The results: a table, `harm.json` and the diagram.

mod checks;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::latency::Service;
use crate::slots::Slot;
use crate::stats::{Median, middle};
use crate::{Outcome, plot};

/// All results.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    seed: u64,
    full: bool,
    rows: u64,
    machine: String,
    kernel: String,
    revision: String,
    postgres: String,
    highest_rate: f64,
    slots: Vec<Slot>,
    /// Rows per second on an idle machine, by variant.
    idle: BTreeMap<&'static str, Vec<f64>>,
    /// Rows per second over a quiet period of 60 s, by variant.
    spell: BTreeMap<&'static str, Vec<f64>>,
    /// CPU of an agent whose gate is closed, in percent of a core, and rows that it read.
    closed: Option<(f64, u64)>,
    /// Time to yield after the gate closed, by variant.
    yields: BTreeMap<&'static str, Yields>,
    lines: Vec<Line>,
    #[serde(skip)]
    out: PathBuf,
}

/// Closings that interrupted work.
#[derive(Debug, Clone, Copy, Serialize)]
struct Yields {
    count: u64,
    /// Of these, those whose work ended within 100 ms of the sample that closed the gate.
    within: u64,
    longest_ms: f64,
}

impl std::fmt::Display for Yields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            count,
            within,
            longest_ms,
        } = self;
        write!(
            f,
            "{within} of {count} yields within 100 ms, the longest {longest_ms:.1} ms"
        )
    }
}

/// The results of one variant at one load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) load: String,
    pub(crate) variant: &'static str,
    pub(crate) p50: Median,
    pub(crate) p95: Median,
    pub(crate) p99: Median,
    pub(crate) whole_p99: Median,
    pub(crate) whole_p999: Median,
    pub(crate) rate: Median,
    pub(crate) rows_per_second: f64,
    /// The same in the quiet period after a burst.
    pub(crate) quiet_rows_per_second: Option<f64>,
    /// Share of the rows that the timer reads on an idle machine, in the time that the business leaves.
    pub(crate) of_slack: Option<f64>,
    /// Closings that interrupted work, those that yielded within 100 ms, the longest time in milliseconds.
    pub(crate) yields: (u64, u64, f64),
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn number(value: u64) -> f64 {
    value as f64
}

/// Returns the first line of a program's output, or an empty string.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let ran = std::process::Command::new(program).args(arguments).output();
    let text = ran
        .map(|ran| String::from_utf8_lossy(&ran.stdout).into_owned())
        .unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / number(values.len().max(1) as u64)
}

impl Report {
    pub(crate) fn new(arguments: &Arguments, max_rate: f64) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .unwrap_or("");
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        Self {
            seed: arguments.seed,
            full: arguments.full,
            rows: arguments.rows,
            machine: format!("{cores} cores, {}", model.trim_start_matches([' ', '\t', ':'])),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            revision: first_line("git", &["rev-parse", "HEAD"]),
            postgres: first_line(
                &harness::postgres_bin().join("postgres").to_string_lossy(),
                &["--version"],
            ),
            highest_rate: max_rate,
            slots: Vec::new(),
            idle: BTreeMap::new(),
            spell: BTreeMap::new(),
            closed: None,
            yields: BTreeMap::new(),
            lines: Vec::new(),
            out: arguments.out.clone(),
        }
    }

    pub(crate) fn closed(&mut self, cpu_us: u64, of_us: u64, rows: u64) {
        let percent = number(cpu_us) * 100.0 / number(of_us);
        println!("closed gate, including the whole agent: {percent:.2} % of a core, {rows} rows read");
        self.closed = Some((percent, rows));
    }

    pub(crate) fn yields(&mut self, variant: &'static str, status: &Value) {
        let of = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let seen = Yields {
            count: of("/gate/yields/count"),
            within: of("/gate/yields/buckets/6"),
            longest_ms: number(of("/gate/yields/max_us")) / 1e3,
        };
        println!("closed during work, business at 85 %: {variant:<7} {seen}");
        self.yields.insert(variant, seen);
    }

    pub(crate) fn idle(&mut self, variant: &'static str, rate: f64, gate: &Value) {
        println!(
            "idle machine: {variant:<7} {rate:>9.0} rows/s{}",
            gate_summary(gate)
        );
        self.idle.entry(variant).or_default().push(rate);
    }

    pub(crate) fn spell(&mut self, variant: &'static str, rate: f64) {
        println!("quiet period of 60 s: {variant:<7} {rate:>9.0} rows/s on average");
        self.spell.entry(variant).or_default().push(rate);
    }

    pub(crate) fn slot(&mut self, slot: Slot) {
        let ratio = ratios(&slot);
        println!(
            "{:>6} {:<7} p50 {:.2}, p95 {:.2}, p99 {:.2}; whole p99 {:.2}, p99.9 {:.2}; {:>7.0} rows/s, base p99 {} us{}",
            slot.load,
            slot.variant,
            ratio[0],
            ratio[1],
            ratio[2],
            ratio[3],
            ratio[4],
            slot.rows_per_second,
            base(&slot, |service| service.second_p99).round(),
            gate_summary(&slot.gate)
        );
        self.slots.push(slot);
    }

    /// Renders the table and the checks.
    pub(crate) fn table(&mut self) -> String {
        let mut keys: Vec<(String, &'static str)> = Vec::new();
        for slot in &self.slots {
            let key = (slot.load.clone(), slot.variant);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        self.lines = keys
            .iter()
            .map(|(load, variant)| self.line(load, variant))
            .collect();
        let mut text = String::from(
            "business with the extractor relative to without, paired; median [95 % interval by bootstrap]; p50, p95, p99 of the typical second\n\
             load    variant  p50                 p95                 p99                 whole p99           whole p99.9         rows/s   of slack\n",
        );
        for line in &self.lines {
            let slack = line
                .of_slack
                .map_or(String::from("-"), |share| format!("{:.0} %", share * 100.0));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:<7} {:<8} {:<19} {:<19} {:<19} {:<19} {:<19} {:>7.0}  {slack:>7}",
                line.load,
                line.variant,
                line.p50.to_string(),
                line.p95.to_string(),
                line.p99.to_string(),
                line.whole_p99.to_string(),
                line.whole_p999.to_string(),
                line.rows_per_second
            );
        }
        text.push_str(&self.checks());
        text
    }

    fn line(&self, load: &str, variant: &'static str) -> Line {
        let slots: Vec<&Slot> = self
            .slots
            .iter()
            .filter(|slot| slot.load == load && slot.variant == variant)
            .collect();
        let of = |at: usize| {
            let all: Vec<f64> = slots.iter().map(|slot| ratios(slot)[at]).collect();
            middle(&all, self.seed)
        };
        let rows: Vec<f64> = slots.iter().map(|slot| slot.rows_per_second).collect();
        let quiet: Vec<f64> = slots
            .iter()
            .filter_map(|slot| slot.quiet_rows_per_second)
            .collect();
        let busy = load
            .trim_end_matches(" %")
            .parse::<f64>()
            .map_or(0.45, |percent| percent / 100.0);
        let of_slack = self
            .idle
            .get("timer")
            .map(|timer| mean(&rows) / (mean(timer) * (1.0 - busy)));
        let sum = |pointer: &str| -> u64 {
            let value = |slot: &&Slot| slot.gate.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            slots.iter().map(value).sum()
        };
        let longest = slots
            .iter()
            .filter_map(|slot| slot.gate.pointer("/yields/max_us")?.as_u64())
            .max();
        Line {
            load: load.to_owned(),
            variant,
            p50: of(0),
            p95: of(1),
            p99: of(2),
            whole_p99: of(3),
            whole_p999: of(4),
            rate: of(5),
            rows_per_second: mean(&rows),
            quiet_rows_per_second: (!quiet.is_empty()).then(|| mean(&quiet)),
            of_slack,
            yields: (
                sum("/yields/count"),
                sum("/yields/buckets/6"),
                number(longest.unwrap_or(0)) / 1e3,
            ),
        }
    }

    /// Writes the data and the diagram.
    pub(crate) fn write(&self) -> Outcome<Vec<PathBuf>> {
        let (data, picture) = (self.out.join("harm.json"), self.out.join("harm.svg"));
        std::fs::write(&data, serde_json::to_vec_pretty(self)?)?;
        plot::draw(&self.lines, &picture)?;
        Ok(vec![data, picture])
    }
}

/// Returns the ratios with to without: p50, p95, p99 of the typical second; p99, p99.9 of the whole; rate.
fn ratios(slot: &Slot) -> [f64; 6] {
    let of = |field: fn(&Service) -> u64| number(field(&slot.service).max(1)) / base(slot, field);
    [
        of(|service| service.second_p50),
        of(|service| service.second_p95),
        of(|service| service.second_p99),
        of(|service| service.p99),
        of(|service| service.p999),
        slot.service.rate / slot.without.rate.max(1e-9),
    ]
}

/// Returns the mean of the values before and after.
fn base(slot: &Slot, field: fn(&Service) -> u64) -> f64 {
    number(field(&slot.without).max(1))
}

fn gate_summary(gate: &Value) -> String {
    if gate.is_null() {
        return String::new();
    }
    let text = |pointer: &str| {
        gate.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let milli = |pointer: &str| gate.pointer(pointer).and_then(Value::as_i64);
    format!(
        ", {} ({}), duty {:?}, harm {:?} +- {:?}, closings {}",
        text("/state"),
        text("/reason_kind"),
        milli("/duty_milli").unwrap_or(0),
        milli("/harm/estimate_milli"),
        milli("/harm/error_milli"),
        gate.pointer("/closings_by_reason")
            .map(ToString::to_string)
            .unwrap_or_default()
    )
}
