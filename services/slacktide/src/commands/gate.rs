//! `slacktide gate`: shows and orders the gate.
//!
//! - [`watch`] and [`explain`] read the running agent's status page with [`ask`]; [`render`] and [`screen`] format it
//! - [`order`] pauses, resumes and limits, over the exchange
//! - [`simulate`] and [`forecast`] use recorded samples

mod ask;
pub(crate) mod explain;
pub(crate) mod forecast;
pub(crate) mod order;
pub(super) mod render;
pub(super) mod screen;
pub(crate) mod simulate;
pub(crate) mod watch;

use crate::cli::GateCommand;
use crate::failure::Outcome;

/// Runs a command to its end.
pub(crate) async fn run(command: GateCommand) -> Outcome {
    match command {
        GateCommand::Watch(args) => watch::run(args).await,
        GateCommand::Explain(args) => explain::run(args).await,
        GateCommand::Pause(args) => order::pause(args).await,
        GateCommand::Resume(args) => order::resume(args).await,
        GateCommand::Limit { order, duty } => order::limit(order, &duty).await,
        GateCommand::Simulate(args) => simulate::run(args).await,
        GateCommand::Forecast(args) => forecast::run(args).await,
    }
}
