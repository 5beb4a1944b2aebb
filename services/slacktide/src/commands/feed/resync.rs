//! `slacktide feed resync`.

use schemas::manifest::Cause;
use social::epoch::StartPoint;

use super::rewind::{EpochRequest, open};
use crate::cli::feed::ResyncArgs;
use crate::failure::{Failure, Outcome};
use crate::settings::{SocialFile, load};

/// Opens an epoch that makes the store equal the source: by sending the whole feed again, after which the store removes the rows
/// that it did not contain, or by a comparison and the repair of the rows that differ.
pub(crate) async fn resync(args: ResyncArgs) -> Outcome {
    let (from, cause) = if args.differences {
        allows_comparison(&args)?;
        (StartPoint::Tail, Cause::Comparison)
    } else {
        (StartPoint::Beginning, Cause::Resync)
    };
    open(EpochRequest {
        feed: args.name,
        recipient: args.recipient,
        from,
        cause,
        decision: args.decision,
        config: args.config.config,
        json: args.json,
    })
    .await
}

/// Refuses an epoch that could not end: the receiver compares by requests.
fn allows_comparison(args: &ResyncArgs) -> Result<(), Failure> {
    let path = &args.config.config;
    let file: SocialFile = load(path)?.value;
    if file.reconcile.enabled {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{}: [reconcile] is not enabled, so the receiver cannot compare: set enabled = true and restart the agent, or send everything \
         again without --differences",
        path.display()
    )))
}
