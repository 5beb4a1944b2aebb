//! `slacktide gate forecast`: when a backlog will be through.

use std::path::PathBuf;

use clap::Args;
use gate::forecast::{Basis, Forecast, History, forecast};
use jiff::Timestamp;
use runtime::exit::Exit;

use crate::failure::Outcome;
use crate::output;

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct ForecastArgs {
    /// Recorded samples: a file, or the folder of `[gate.record]`.
    #[arg(long, value_name = "PATH")]
    samples: PathBuf,
    /// The backlog, in rows.
    #[arg(long)]
    rows: u64,
    /// Rows that move in a second of full work. Left out: as measured in the recording.
    #[arg(long, value_name = "ROWS")]
    rows_per_second: Option<f64>,
    /// From this time on. Left out: now.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// Prints the forecast as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
#[expect(clippy::unused_async, reason = "all subcommands are alike")]
pub(crate) async fn run(args: ForecastArgs) -> Outcome {
    let records = super::simulate::recorded(&args.samples)?;
    let now = args.now.unwrap_or_else(Timestamp::now);
    let told = forecast(
        &History::of(&records.blocks),
        args.rows,
        args.rows_per_second,
        now,
    );
    if args.json {
        output::json(&told)?;
    } else {
        output::lines(words(&told));
    }
    Ok(Exit::Done)
}

fn words(told: &Forecast) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map_or("not known".to_owned(), |at| format!("{at:.0}"));
    let basis = match told.basis {
        Basis::HourOfWeek => "the same hours of earlier weeks",
        Basis::HourOfDay => "the same hours of earlier days",
        Basis::Overall => "all hours together",
    };
    let speed = told.rows_per_second.map_or(String::new(), |speed| {
        format!(", {speed:.0} rows in a second of full work")
    });
    let mut lines = vec![
        format!(
            "{} rows: through at {}, pessimistically at {}",
            told.rows,
            time(told.middle),
            time(told.pessimistic)
        ),
        format!(
            "by {basis}: {} hours of history, {:.1} % of it workable{speed}",
            told.history_hours, told.open_percent
        ),
    ];
    lines.extend(told.remark.iter().map(|remark| format!("note: {remark}")));
    lines
}
