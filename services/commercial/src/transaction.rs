//! One lane's transactions: stored in order, each settled after its commit and never before.

use std::time::Duration;

use exchange::{Delivery, Settlement};
use jiff::Timestamp;
use schemas::name::Lane;
use store::Arrival;

use crate::poller::CommercialParts;
use crate::step::{rest_after, settlement};

pub(crate) async fn settle(parts: &CommercialParts, deliveries: &[Delivery], how: Settlement) {
    if deliveries.is_empty() {
        return;
    }
    // What could not be settled is delivered again, and the ledger knows it.
    let unsettled = parts
        .exchange
        .settle(deliveries, how)
        .await
        .err()
        .map(|error| error.to_string());
    match &unsettled {
        Some(error) if parts.board.is_news("settling", error) => {
            tracing::warn!(
                error,
                deliveries = deliveries.len(),
                "settling failed; they come again"
            );
        }
        Some(_) => {}
        None => {
            if let Some(met) = parts.board.over("settling") {
                tracing::info!(met, "settling works again");
            }
        }
    }
    parts.board.note(|status| status.unsettled = unsettled);
}

/// What became of a lane's transactions.
pub(crate) enum Attempt {
    /// They are committed and settled.
    Stored,
    /// The lane was resting: they were put off.
    Rested,
    /// One failed, and the lane rests for so long; why.
    Failed(Duration, String),
}

/// Stores one lane's transactions in order and settles each after its commit.
pub(crate) async fn store_lane(
    parts: &CommercialParts,
    lane: Lane,
    transactions: Vec<Vec<(Delivery, Arrival)>>,
    rest: Option<Duration>,
    failures: u32,
) -> (Lane, Attempt) {
    let mut rest = rest;
    let mut attempt = if rest.is_some() {
        Attempt::Rested
    } else {
        Attempt::Stored
    };
    for transaction in transactions {
        let (deliveries, arrivals): (Vec<Delivery>, Vec<Arrival>) = transaction.into_iter().unzip();
        if let Some(rest) = rest {
            settle(parts, &deliveries, Settlement::Later(rest)).await;
            continue;
        }
        match parts.store.store(&lane, &arrivals).await {
            Ok(outcomes) => {
                note(parts, &lane, &outcomes);
                // An outcome that is missing settles nothing.
                let settled: Vec<(Delivery, Settlement)> = deliveries
                    .into_iter()
                    .zip(outcomes.iter().map(settlement))
                    .collect();
                for how in distinct(&settled) {
                    let of =
                        |(delivery, this): &(Delivery, Settlement)| (*this == how).then(|| delivery.clone());
                    let deliveries: Vec<Delivery> = settled.iter().filter_map(of).collect();
                    settle(parts, &deliveries, how).await;
                }
            }
            Err(error) => {
                let pause = rest_after(error.kind, failures, rand::random());
                tracing::debug!(%lane, %error, rest_ms = u64::try_from(pause.as_millis()).unwrap_or(0), "the lane rests");
                parts.board.lane(&lane, |status| {
                    status.failures = failures + 1;
                    status.last_error = Some(error.to_string());
                });
                settle(parts, &deliveries, Settlement::Later(pause)).await;
                (rest, attempt) = (Some(pause), Attempt::Failed(pause, error.to_string()));
            }
        }
    }
    (lane, attempt)
}

fn distinct(settled: &[(Delivery, Settlement)]) -> Vec<Settlement> {
    let mut kinds: Vec<Settlement> = Vec::new();
    for (_, how) in settled {
        if !kinds.contains(how) {
            kinds.push(*how);
        }
    }
    kinds
}

fn note(parts: &CommercialParts, lane: &Lane, outcomes: &[store::Outcome]) {
    parts.board.lane(lane, |status| {
        status.failures = 0;
        for outcome in outcomes {
            match outcome {
                store::Outcome::Stored { rows, quarantined } => {
                    status.chunks += 1;
                    status.rows += rows;
                    status.rows_quarantined += quarantined;
                    status.stored_at = Some(Timestamp::now());
                    (status.last_error, status.stopped, status.waits_for_key) = (None, None, None);
                }
                store::Outcome::Already => {
                    status.already += 1;
                    (status.last_error, status.waits_for_key) = (None, None);
                }
                store::Outcome::Superseded => {
                    status.superseded += 1;
                    status.waits_for_key = None;
                }
                store::Outcome::Stopped { reason } => status.stopped = Some(reason.clone()),
                store::Outcome::Later { .. } => {}
            }
        }
    });
}
