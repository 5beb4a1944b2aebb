//! The table, and `target/bench/peers.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::Outcome;
use crate::arguments::Workload;
use crate::peer::{Measurement, Peer};
use crate::stats::{Median, middle};

/// The aim of the initial copy: rows per second, relative to the peer.
const AIMS: [(Peer, f64); 2] = [(Peer::Copy, 0.8), (Peer::Logical, 1.0)];

/// The aims of the initial copy in CPU seconds a million rows: of all processes, and on the core's host.
const CPU_AIMS: (f64, f64) = (6.0, 2.0);

/// The results so far.
pub(crate) struct Report {
    rows: u64,
    rounds: usize,
    results: BTreeMap<(Workload, Peer), Vec<(usize, Measurement)>>,
}

impl Report {
    /// Creates a report.
    pub(crate) fn new(rows: u64, rounds: usize) -> Self {
        Self {
            rows,
            rounds,
            results: BTreeMap::new(),
        }
    }

    /// Adds a result.
    pub(crate) fn add(&mut self, workload: Workload, round: usize, measured: Measurement) {
        let results = self.results.entry((workload, measured.peer)).or_default();
        results.push((round, measured));
    }

    fn median(&self, key: (Workload, Peer), value: impl Fn(&Measurement) -> f64) -> f64 {
        let results = self.results.get(&key).map(Vec::as_slice).unwrap_or_default();
        let values: Vec<f64> = results.iter().map(|(_, result)| value(result)).collect();
        middle(&values, 1).middle
    }

    /// Returns the ratio of two tools' rates in the same round.
    fn ratio(&self, workload: Workload, one: Peer, other: Peer) -> Option<Median> {
        let of = |peer| self.results.get(&(workload, peer));
        let (one, other) = (of(one)?, of(other)?);
        let pairs = one.iter().filter_map(|(round, one)| {
            let (_, other) = other.iter().find(|(at, _)| at == round)?;
            Some(one.rate() / other.rate())
        });
        Some(middle(&pairs.collect::<Vec<f64>>(), 1))
    }

    /// Returns the ratios of Slacktide's rates to those of the other tools.
    fn ratios(&self) -> Vec<(Workload, Peer, Peer, Median)> {
        let workloads: BTreeSet<Workload> = self.results.keys().map(|(workload, _)| *workload).collect();
        let mut ratios = Vec::new();
        for workload in workloads {
            for one in [Peer::Nats, Peer::Https] {
                for other in [Peer::Copy, Peer::Logical] {
                    if let Some(ratio) = self.ratio(workload, one, other) {
                        ratios.push((workload, one, other, ratio));
                    }
                }
            }
        }
        ratios
    }

    /// Renders the table.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{} rows, {} rounds; medians; CPU seconds a million rows\n{:<9}{:<15}{:>10}{:>8}{:>13}\n",
            self.rows, self.rounds, "", "", "rows/s", "CPU", "core's host"
        );
        for (workload, peer) in self.results.keys().copied() {
            let key = (workload, peer);
            let _ = writeln!(
                text,
                "{:<9}{:<15}{:>10.0}{:>8.2}{:>13.2}",
                workload.name(),
                peer.name(),
                self.median(key, Measurement::rate),
                self.median(key, |result| result.per_million(result.cpu)),
                self.median(key, |result| result.per_million(result.core_host)),
            );
        }
        text.push('\n');
        for (workload, one, other, ratio) in self.ratios() {
            let _ = write!(
                text,
                "{}: {} to {}, rows/s {ratio}",
                workload.name(),
                one.name(),
                other.name()
            );
            let aim = AIMS.iter().find(|(peer, _)| *peer == other);
            match aim.filter(|_| workload == Workload::Initial && one == Peer::Nats) {
                Some((_, aim)) => {
                    let word = reached(ratio.middle >= *aim);
                    let _ = writeln!(text, "; aim {aim}: {word}");
                }
                None => text.push('\n'),
            }
        }
        let key = (Workload::Initial, Peer::Nats);
        if self.results.contains_key(&key) {
            let all = self.median(key, |result| result.per_million(result.cpu));
            let host = self.median(key, |result| result.per_million(result.core_host));
            let _ = writeln!(
                text,
                "initial: CPU seconds a million rows {all:.2}, aim {}: {}; on the core's host {host:.2}, aim {}: {}",
                CPU_AIMS.0,
                reached(all <= CPU_AIMS.0),
                CPU_AIMS.1,
                reached(host <= CPU_AIMS.1),
            );
        }
        let results = || self.results.values().flatten();
        let others: f64 = results().map(|(_, result)| result.others).sum();
        let own: f64 = results().map(|(_, result)| result.cpu).sum();
        if others > own / 10.0 {
            let _ = writeln!(
                text,
                "other work on this machine took {others:.0} CPU seconds in addition to {own:.0} measured ones: rates mean \
                 little, repeat on an idle machine"
            );
        }
        text
    }

    /// Writes `target/bench/peers.json`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self) -> Outcome<PathBuf> {
        let results: Vec<_> = self
            .results
            .iter()
            .flat_map(|((workload, _), results)| {
                results.iter().map(|(round, result)| {
                    json!({"workload": workload.name(), "round": round + 1, "rows_per_second": result.rate(), "result": result})
                })
            })
            .collect();
        let ratios: Vec<_> = self
            .ratios()
            .into_iter()
            .map(|(workload, one, other, ratio)| {
                json!({"workload": workload.name(), "of": one, "to": other, "rows_per_second": ratio})
            })
            .collect();
        let report = json!({"rows": self.rows, "rounds": self.rounds, "fsync": true, "results": results, "ratios": ratios});
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| harness::workspace().join("target"), PathBuf::from);
        let path = target.join("bench/peers.json");
        std::fs::create_dir_all(target.join("bench"))?;
        std::fs::write(&path, format!("{report:#}\n"))?;
        Ok(path)
    }
}

fn reached(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "not reached" }
}
