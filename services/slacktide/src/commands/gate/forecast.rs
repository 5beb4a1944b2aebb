//! `slacktide gate forecast`: forecasts when a backlog will be processed.

use jiff::Timestamp;
use recordings::forecast::{Basis, Forecast, History, forecast};
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::gate::ForecastArgs;
use crate::failure::Outcome;
use crate::output::{self, Ratio, Report, Time, View};

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
    output::report(&ForecastReport::new(&forecast), args.json)?;
    Ok(Exit::Done)
}

/// When a backlog will be processed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "gate forecast")]
pub(in crate::commands) struct ForecastReport {
    /// The backlog, in rows.
    rows: u64,
    /// The start time.
    from: Time,
    /// When it is processed with a probability of one half.
    median_at: Option<Time>,
    /// The pessimistic estimate.
    pessimistic_at: Option<Time>,
    /// Rows per second of full work.
    rows_per_second: Option<Ratio>,
    basis: BasisWord,
    /// Hours of history.
    history_hours: usize,
    /// The share of them in which work was allowed, in percent.
    open_percent: Ratio,
    /// What limits the forecast.
    remark: Option<String>,
}

/// What the forecast is made of.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BasisWord {
    /// The same hours of earlier weeks.
    HourOfWeek,
    /// The same hours of earlier days.
    HourOfDay,
    /// All hours together.
    Overall,
}

impl ForecastReport {
    fn new(forecast: &Forecast) -> Self {
        Self {
            rows: forecast.rows,
            from: forecast.from.into(),
            median_at: forecast.median.map(Time),
            pessimistic_at: forecast.pessimistic.map(Time),
            rows_per_second: forecast.rows_per_second.map(Ratio),
            basis: match forecast.basis {
                Basis::HourOfWeek => BasisWord::HourOfWeek,
                Basis::HourOfDay => BasisWord::HourOfDay,
                Basis::Overall => BasisWord::Overall,
            },
            history_hours: forecast.history_hours,
            open_percent: Ratio(forecast.open_percent),
            remark: forecast.remark.clone(),
        }
    }
}

impl Report for ForecastReport {
    fn view(&self) -> View {
        let time = |at: Option<Time>| at.map_or("not known".to_owned(), |at| at.to_string());
        let basis = match self.basis {
            BasisWord::HourOfWeek => "the same hours of earlier weeks",
            BasisWord::HourOfDay => "the same hours of earlier days",
            BasisWord::Overall => "all hours together",
        };
        let speed = self.rows_per_second.map_or(String::new(), |speed| {
            format!(", {:.0} rows per second of full work", speed.0)
        });
        let mut view = View::new();
        view.line(format!(
            "{} rows: done at {}, pessimistic estimate {}",
            self.rows,
            time(self.median_at),
            time(self.pessimistic_at)
        ));
        view.line(format!(
            "by {basis}: {} hours of history, {:.1} % of it workable{speed}",
            self.history_hours, self.open_percent.0
        ));
        if let Some(remark) = &self.remark {
            view.line(format!("note: {remark}"));
        }
        view
    }
}
