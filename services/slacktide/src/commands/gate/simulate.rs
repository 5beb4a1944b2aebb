//! `slacktide gate simulate`: what another policy would have done.

use std::path::{Path, PathBuf};

use clap::Args;
use gate::GateConfig;
use gate::record::{self, Records};
use gate::simulate::{Answer, Figures, Question, simulate};
use runtime::exit::Exit;

use crate::failure::{Failure, Outcome};
use crate::output;

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The policy to try: an agent's file, or one with a [gate] table alone.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Recorded samples: a file, or the folder of `[gate.record]`.
    #[arg(long, value_name = "PATH")]
    samples: PathBuf,
    /// Rows that move in a second of full work. Left out: as measured in the recording.
    #[arg(long, value_name = "ROWS")]
    rows_per_second: Option<f64>,
    /// As if the kernel put our work behind the business's.
    #[arg(long)]
    kernel: bool,
    /// Prints the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
#[expect(clippy::unused_async, reason = "all subcommands are alike")]
pub(crate) async fn run(args: SimulateArgs) -> Outcome {
    let question = Question {
        rows_per_second: args.rows_per_second,
        kernel: args.kernel,
        ..Question::new(policy(&args.policy)?.limits())
    };
    let records = recorded(&args.samples)?;
    let answer = simulate(&records.blocks, &question);
    if args.json {
        output::json(&answer)?;
    } else {
        output::lines(table(&answer));
    }
    Ok(Exit::Done)
}

/// Reads recordings, and says what was spoilt.
pub(super) fn recorded(path: &Path) -> Result<Records, Failure> {
    let records = record::read(path)
        .map_err(|error| Failure::usage(format!("{}: {error}; give --samples", path.display())))?;
    if records.skipped > 0 {
        output::note(&format!(
            "skipped {} bytes that are no whole block",
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
    let wrong = |what: &dyn std::fmt::Display| Failure::usage(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let mut file: toml::Table = text.parse().map_err(|error| wrong(&error))?;
    let config: GateConfig = match file.remove("gate") {
        Some(gate) => gate.try_into().map_err(|error| wrong(&error))?,
        None if file.contains_key("social") => GateConfig::default(),
        None => return Err(wrong(&"there is no [gate] table in it; write one")),
    };
    config.validate().map_err(|error| wrong(&error))?;
    Ok(config)
}

fn table(answer: &Answer) -> Vec<String> {
    let mut lines = vec![format!("{:<28}{:>14}{:>14}", "", "recorded", "this policy")];
    let mut add = |name: &str, get: &dyn Fn(&Figures) -> String| {
        let (was, is) = (get(&answer.recorded), get(&answer.candidate));
        lines.push(format!("{name:<28}{was:>14}{is:>14}"));
    };
    let minutes = |seconds: f64| format!("{:.1}", seconds / 60.0);
    add("minutes open", &|figures| minutes(figures.open_s));
    add("minutes limited", &|figures| minutes(figures.limited_s));
    add("minutes shut", &|figures| minutes(figures.shut_s));
    add("rows", &|figures| {
        figures
            .rows
            .map_or("not known".to_owned(), |rows| format!("{rows:.0}"))
    });
    add("false-idle seconds", &|figures| {
        format!("{:.1}", figures.false_idle_s)
    });
    add("openings", &|figures| figures.openings.to_string());
    add("flaps (under 10 s)", &|figures| figures.flaps.to_string());
    let kinds: std::collections::BTreeSet<_> = answer
        .recorded
        .shuts
        .keys()
        .chain(answer.candidate.shuts.keys())
        .collect();
    for kind in kinds {
        add(&format!("shut by {kind}"), &|figures| {
            figures.shuts.get(kind).copied().unwrap_or(0).to_string()
        });
    }
    let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    lines.push(format!(
        "{} samples from {} to {}; {:.0} s unseen, {} samples lost",
        answer.samples,
        time(answer.from),
        time(answer.until),
        answer.unseen_s,
        answer.lost
    ));
    for (what, names) in [
        ("not recorded, so left out of this policy", &answer.not_recorded),
        ("recorded, and not in this policy", &answer.not_in_policy),
    ] {
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    }
    lines
}
