//! `slacktide gate forecast`: forecasts when a backlog will be processed.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use recordings::forecast::{Basis, Forecast, History, forecast};
use runtime::exit::Exit;

use crate::failure::Outcome;
use crate::output;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ForecastArgs {
    /// Recorded samples: a file, or the folder of `[gate.record]`.
    #[arg(long, value_name = "PATH")]
    samples: PathBuf,
    /// The backlog, in rows.
    #[arg(long)]
    rows: u64,
    /// Rows per second of full work. Default: as measured in the recording.
    #[arg(long, value_name = "ROWS")]
    rows_per_second: Option<f64>,
    /// The start time. Default: now.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// Print the forecast as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "all subcommands are alike")]
pub(crate) async fn run(args: ForecastArgs) -> Outcome {
    let records = super::simulate::read_samples(&args.samples)?;
    let now = args.now.unwrap_or_else(Timestamp::now);
    let forecast = forecast(
        &History::from_blocks(&records.blocks),
        args.rows,
        args.rows_per_second,
        now,
    );
    if args.json {
        output::json(&forecast)?;
    } else {
        output::lines(render(&forecast));
    }
    Ok(Exit::Done)
}

fn render(forecast: &Forecast) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map_or("not known".to_owned(), |at| format!("{at:.0}"));
    let basis = match forecast.basis {
        Basis::HourOfWeek => "the same hours of earlier weeks",
        Basis::HourOfDay => "the same hours of earlier days",
        Basis::Overall => "all hours together",
    };
    let speed = forecast.rows_per_second.map_or(String::new(), |speed| {
        format!(", {speed:.0} rows per second of full work")
    });
    let mut lines = vec![
        format!(
            "{} rows: done at {}, pessimistic estimate {}",
            forecast.rows,
            time(forecast.median),
            time(forecast.pessimistic)
        ),
        format!(
            "by {basis}: {} hours of history, {:.1} % of it workable{speed}",
            forecast.history_hours, forecast.open_percent
        ),
    ];
    lines.extend(forecast.remark.iter().map(|remark| format!("note: {remark}")));
    lines
}
