//! `slacktide feed resync`.

use clap::Args;
use schemas::manifest::Cause;
use social::epoch::From;

use super::rewind::{EpochRequest, open};
use crate::cli::Config;
use crate::failure::Outcome;

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct ResyncArgs {
    /// The feed.
    name: String,
    /// For whom.
    #[arg(long, value_name = "NAME")]
    recipient: String,
    /// Who decides.
    #[arg(long)]
    actor: String,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    config: Config,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Opens an epoch in which the feed is sent again, and at whose end the store removes what did not come again.
pub(crate) async fn resync(args: ResyncArgs) -> Outcome {
    open(EpochRequest {
        feed: args.name,
        recipient: args.recipient,
        from: From::Beginning,
        cause: Cause::Resync,
        actor: args.actor,
        reason: args.reason,
        config: args.config.config,
        json: args.json,
    })
    .await
}
