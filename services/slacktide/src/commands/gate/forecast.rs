//! `slacktide gate forecast`.

use clap::Args;

use crate::cli::Config;
use crate::failure::{Failure, Outcome};

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct ForecastArgs {
    #[command(flatten)]
    pub(crate) config: Config,
}

/// Runs it.
#[expect(clippy::unused_async, reason = "it will ask and wait")]
pub(crate) async fn run(args: ForecastArgs) -> Outcome {
    Err(Failure::usage(format!("{}: not built yet", args.config.config.display())))
}
