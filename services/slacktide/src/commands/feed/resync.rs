//! `slacktide feed resync`.

use clap::Args;
use schemas::manifest::Cause;
use social::epoch::StartPoint;

use super::rewind::{EpochRequest, open};
use crate::cli::Config;
use crate::failure::Outcome;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ResyncArgs {
    /// The feed.
    name: String,
    /// The recipient.
    #[arg(long, value_name = "NAME")]
    recipient: String,
    /// The deciding operator.
    #[arg(long)]
    actor: String,
    /// The reason.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    config: Config,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Opens an epoch that sends the whole feed again. At its end the store removes the rows that it did not contain.
pub(crate) async fn resync(args: ResyncArgs) -> Outcome {
    open(EpochRequest {
        feed: args.name,
        recipient: args.recipient,
        from: StartPoint::Beginning,
        cause: Cause::Resync,
        actor: args.actor,
        reason: args.reason,
        config: args.config.config,
        json: args.json,
    })
    .await
}
