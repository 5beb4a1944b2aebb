//! `slacktide gate simulate`.

use clap::Args;

use crate::cli::Config;
use crate::failure::{Failure, Outcome};

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    pub(crate) config: Config,
}

/// Runs it.
#[expect(clippy::unused_async, reason = "it will ask and wait")]
pub(crate) async fn run(args: SimulateArgs) -> Outcome {
    Err(Failure::usage(format!("{}: not built yet", args.config.config.display())))
}
