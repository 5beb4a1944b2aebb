//! Runs the insurer's two flows together and stops them in order within a time limit.

use std::sync::Arc;

use runtime::supervise::describe_end;
use tokio_util::sync::CancellationToken;

use crate::parts::CommercialParts;
use crate::poller::{CommercialError, Poller};
use crate::requester::{Requester, RequesterParts};
use crate::rows::keep_counting;

/// Runs the agent without requests.
///
/// # Errors
/// Those of [`run_asking`].
pub async fn run(parts: CommercialParts, stop: CancellationToken) -> Result<(), CommercialError> {
    run_asking(parts, None, stop).await
}

/// Runs the agent until `stop`. Then it finishes and settles the transactions in flight within the grace period and
/// closes the connections. Everything that is dropped is delivered again.
///
/// # Errors
/// [`CommercialError`] if only an operator can help, or if the grace period expired first.
pub async fn run_asking(
    parts: CommercialParts,
    asking: Option<RequesterParts>,
    stop: CancellationToken,
) -> Result<(), CommercialError> {
    let grace = parts.options.grace;
    let (store, exchange) = (Arc::clone(&parts.store), Arc::clone(&parts.exchange));
    let asked = asking.as_ref().map(|asking| Arc::clone(&asking.store));
    // Ends when the poller ends, for any reason.
    let working = stop.child_token();
    let registry = parts.registry.clone();
    let mut poller = Poller::new(parts);
    let own_store = poller.own_store();
    let requester = asking.map(|asking| {
        let requester = Requester::new(asking).with_own_store(own_store.clone());
        tokio::spawn(requester.run(working.clone()))
    });
    let counting = tokio::spawn(keep_counting(
        Arc::clone(&store),
        own_store,
        registry,
        working.clone(),
    ));
    let flows = async {
        let polled = poller.poll(stop.clone()).await;
        working.cancel();
        if let Some(requester) = requester
            && let Err(error) = requester.await
        {
            tracing::error!(
                error = describe_end(&error),
                "the requester ended unexpectedly; report this"
            );
        }
        // Nothing depends on a count that has begun.
        counting.abort();
        polled
    };
    let result = tokio::select! {
        result = flows => result,
        () = async { stop.cancelled().await; tokio::time::sleep(grace).await } => {
            tracing::warn!("shutdown timed out; unsettled deliveries are delivered again");
            Err(CommercialError::Unfinished)
        }
    };
    let close = async {
        store.close().await;
        if let Some(asked) = asked {
            asked.close().await;
        }
        exchange.close().await;
    };
    let _ = tokio::time::timeout(grace, close).await;
    tracing::info!("commercial agent stopped");
    result
}
