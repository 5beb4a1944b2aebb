//! `slacktide gate pause|resume|limit`.

use crate::cli::OrderArgs;
use crate::failure::{Failure, Outcome};

/// Shuts the gate.
#[expect(clippy::unused_async, reason = "it will ask and wait")]
pub(crate) async fn pause(args: OrderArgs) -> Outcome {
    Err(Failure::usage(format!("{}: not built yet", args.config.config.display())))
}

/// Takes orders back.
pub(crate) async fn resume(args: OrderArgs) -> Outcome {
    pause(args).await
}

/// Bounds the duty.
pub(crate) async fn limit(args: OrderArgs, _duty: &str) -> Outcome {
    pause(args).await
}
