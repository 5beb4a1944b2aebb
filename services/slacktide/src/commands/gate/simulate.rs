//! `slacktide gate simulate`: simulates another policy on recorded samples.

use std::path::{Path, PathBuf};

use clap::Args;
use gate::GateConfig;
use recordings::Records;
use recordings::simulate::{PolicyFigures, Scenario, Simulation, simulate};
use runtime::exit::Exit;

use crate::failure::{Failure, Outcome};
use crate::output;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The policy to simulate: an agent's file, or one with only a [gate] table.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Recorded samples: a file, or the folder of `[gate.record]`.
    #[arg(long, value_name = "PATH")]
    samples: PathBuf,
    /// Rows per second of full work. Default: as measured in the recording.
    #[arg(long, value_name = "ROWS")]
    rows_per_second: Option<f64>,
    /// Simulate kernel-idle priority of the agent.
    #[arg(long)]
    kernel: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

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
    if args.json {
        output::json(&simulation)?;
    } else {
        output::lines(table(&simulation));
    }
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

fn table(simulation: &Simulation) -> Vec<String> {
    let mut lines = vec![format!("{:<28}{:>14}{:>14}", "", "recorded", "this policy")];
    let mut add_row = |name: &str, get: &dyn Fn(&PolicyFigures) -> String| {
        let (recorded, candidate) = (get(&simulation.recorded), get(&simulation.candidate));
        lines.push(format!("{name:<28}{recorded:>14}{candidate:>14}"));
    };
    let minutes = |seconds: f64| format!("{:.1}", seconds / 60.0);
    add_row("minutes open", &|figures| minutes(figures.open_s));
    add_row("minutes limited", &|figures| minutes(figures.limited_s));
    add_row("minutes shut", &|figures| minutes(figures.shut_s));
    add_row("rows", &|figures| {
        figures
            .rows
            .map_or("not known".to_owned(), |rows| format!("{rows:.0}"))
    });
    add_row("false-idle seconds", &|figures| {
        format!("{:.1}", figures.false_idle_s)
    });
    add_row("openings", &|figures| figures.openings.to_string());
    add_row("flaps (under 10 s)", &|figures| figures.flaps.to_string());
    let kinds: std::collections::BTreeSet<_> = simulation
        .recorded
        .shuts
        .keys()
        .chain(simulation.candidate.shuts.keys())
        .collect();
    for kind in kinds {
        add_row(&format!("shut by {kind}"), &|figures| {
            figures.shuts.get(kind).copied().unwrap_or(0).to_string()
        });
    }
    let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    lines.push(format!(
        "{} samples from {} to {}; {:.0} s unseen, {} samples lost",
        simulation.samples,
        time(simulation.from),
        time(simulation.until),
        simulation.unseen_s,
        simulation.lost
    ));
    for (what, names) in [
        (
            "not recorded, so left out of this policy",
            &simulation.not_recorded,
        ),
        ("recorded, but not in this policy", &simulation.not_in_policy),
    ] {
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    }
    lines
}
