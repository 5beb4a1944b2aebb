//! `slacktide feed resync`.

use schemas::manifest::Cause;
use social::epoch::StartPoint;

use super::rewind::{EpochRequest, open};
use crate::cli::feed::ResyncArgs;
use crate::failure::Outcome;

/// Opens an epoch that sends the whole feed again. At its end the store removes the rows that it did not contain.
pub(crate) async fn resync(args: ResyncArgs) -> Outcome {
    open(EpochRequest {
        feed: args.name,
        recipient: args.recipient,
        from: StartPoint::Beginning,
        cause: Cause::Resync,
        decision: args.decision,
        config: args.config.config,
        json: args.json,
    })
    .await
}
