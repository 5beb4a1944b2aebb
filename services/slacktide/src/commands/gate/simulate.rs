//! `slacktide gate simulate`: simulates another policy on recorded samples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gate::GateConfig;
use recordings::Records;
use recordings::simulate::{PolicyFigures, Scenario, Simulation, simulate};
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::gate::SimulateArgs;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Ratio, Report, Table, Time, View, millis};

/// Runs the command.
#[expect(clippy::unused_async, reason = "all subcommands are alike")]
pub(crate) async fn run(args: SimulateArgs) -> Outcome {
    let scenario = Scenario {
        rows_per_second: args.rows_per_second,
        kernel_idle: args.kernel,
        ..Scenario::new(policy(&args.policy)?.limits())
    };
    let records = read_samples(&args.samples)?;
    let simulation = simulate(&records.blocks, &scenario);
    output::report(&SimulationReport::new(&simulation), args.json)?;
    Ok(Exit::Done)
}

/// Reads recordings, and reports unreadable bytes.
pub(super) fn read_samples(path: &Path) -> Result<Records, Failure> {
    let records = recordings::read(path)
        .map_err(|error| Failure::usage(format!("{}: {error}; give --samples", path.display())))?;
    if records.skipped > 0 {
        output::note(&format!(
            "skipped {} bytes that are not a complete block",
            records.skipped
        ));
    }
    if records.samples() == 0 {
        return Err(Failure::usage(format!(
            "{}: no samples in it; record some with [gate.record] dir = \"samples\"",
            path.display()
        )));
    }
    Ok(records)
}

fn policy(path: &Path) -> Result<GateConfig, Failure> {
    let invalid = |what: &dyn std::fmt::Display| Failure::usage(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| invalid(&error))?;
    let mut file: toml::Table = text.parse().map_err(|error| invalid(&error))?;
    let config: GateConfig = match file.remove("gate") {
        Some(gate) => gate.try_into().map_err(|error| invalid(&error))?,
        None if file.contains_key("social") => GateConfig::default(),
        None => return Err(invalid(&"there is no [gate] table in it; write one")),
    };
    config.validate().map_err(|error| invalid(&error))?;
    Ok(config)
}

/// Two policies on the same recorded samples.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "gate simulate")]
pub(in crate::commands) struct SimulationReport {
    /// The samples.
    samples: u64,
    /// The time of the first one.
    from: Option<Time>,
    /// The time of the last one.
    until: Option<Time>,
    /// The time between samples that are too far apart.
    unseen_ms: u64,
    /// Samples that were not recorded.
    lost: u64,
    /// Signals of the policy that were not recorded.
    not_recorded: Vec<String>,
    /// Recorded signals that the policy does not have.
    not_in_policy: Vec<String>,
    /// Rows per second of full work.
    rows_per_second: Option<Ratio>,
    /// The policy of the recording.
    recorded: Figures,
    /// The simulated policy.
    candidate: Figures,
}

/// What a policy gives.
#[derive(Debug, Serialize, JsonSchema)]
struct Figures {
    /// Time with the gate open.
    open_ms: u64,
    /// Time with the gate limited.
    limited_ms: u64,
    /// Time with the gate closed.
    closed_ms: u64,
    /// Time of work.
    work_ms: u64,
    /// Rows that are processed; `null` without a speed.
    rows: Option<u64>,
    /// Time in which the gate was open although the core was busy.
    false_idle_ms: u64,
    /// Openings.
    openings: u64,
    /// Openings of less than 10 s.
    flaps: u64,
    /// Closings, by reason.
    closings: BTreeMap<String, u64>,
}

impl From<&PolicyFigures> for Figures {
    fn from(figures: &PolicyFigures) -> Self {
        Self {
            open_ms: millis(figures.open_s),
            limited_ms: millis(figures.limited_s),
            closed_ms: millis(figures.closed_s),
            work_ms: millis(figures.work_s),
            rows: figures.rows.map(whole),
            false_idle_ms: millis(figures.false_idle_s),
            openings: figures.openings,
            flaps: figures.flaps,
            closings: figures.closings.clone(),
        }
    }
}

/// Returns a number of rows without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a conversion of a float saturates"
)]
fn whole(rows: f64) -> u64 {
    rows.round() as u64
}

impl SimulationReport {
    fn new(simulation: &Simulation) -> Self {
        Self {
            samples: simulation.samples,
            from: simulation.from.map(Time),
            until: simulation.until.map(Time),
            unseen_ms: millis(simulation.unseen_s),
            lost: simulation.lost,
            not_recorded: simulation.not_recorded.clone(),
            not_in_policy: simulation.not_in_policy.clone(),
            rows_per_second: simulation.rows_per_second.map(Ratio),
            recorded: Figures::from(&simulation.recorded),
            candidate: Figures::from(&simulation.candidate),
        }
    }
}

impl Report for SimulationReport {
    fn view(&self) -> View {
        let mut table = Table::new().text("").number("recorded").number("this policy");
        let mut add_row = |name: &str, get: &dyn Fn(&Figures) -> String| {
            table.row([name.to_owned(), get(&self.recorded), get(&self.candidate)]);
        };
        let minutes = |ms: u64| format!("{}.{}", ms / 60_000, ms % 60_000 / 6_000);
        add_row("minutes open", &|figures| minutes(figures.open_ms));
        add_row("minutes limited", &|figures| minutes(figures.limited_ms));
        add_row("minutes closed", &|figures| minutes(figures.closed_ms));
        add_row("rows", &|figures| {
            figures
                .rows
                .map_or("not known".to_owned(), |rows| rows.to_string())
        });
        add_row("false-idle seconds", &|figures| {
            format!(
                "{}.{}",
                figures.false_idle_ms / 1_000,
                figures.false_idle_ms % 1_000 / 100
            )
        });
        add_row("openings", &|figures| figures.openings.to_string());
        add_row("flaps (under 10 s)", &|figures| figures.flaps.to_string());
        let kinds: BTreeSet<_> = self
            .recorded
            .closings
            .keys()
            .chain(self.candidate.closings.keys())
            .collect();
        for kind in kinds {
            add_row(&format!("closed by {kind}"), &|figures| {
                figures.closings.get(kind).copied().unwrap_or(0).to_string()
            });
        }
        let time = |at: Option<Time>| at.map(|at| at.to_string()).unwrap_or_default();
        let mut view = View::new();
        view.table(table).line(format!(
            "{} samples from {} to {}; {} s unseen, {} samples lost",
            self.samples,
            time(self.from),
            time(self.until),
            self.unseen_ms / 1_000,
            self.lost
        ));
        for (what, names) in [
            ("not recorded, so left out of this policy", &self.not_recorded),
            ("recorded, but not in this policy", &self.not_in_policy),
        ] {
            if !names.is_empty() {
                view.line(format!("{what}: {}", names.join(", ")));
            }
        }
        view
    }
}
