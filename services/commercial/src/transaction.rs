//! Runs one lane's transactions in order and settles each after its commit.

use std::time::Duration;

use exchange::{Delivery, Settlement, TraceParent};
use jiff::Timestamp;
use schemas::name::Lane;
use store::Arrival;

use crate::parts::CommercialParts;
use crate::step::{rest_after, settlement};
use crate::trace;

pub(crate) async fn settle(parts: &CommercialParts, deliveries: &[Delivery], settlement: Settlement) {
    if deliveries.is_empty() {
        return;
    }
    // Deliveries that could not be settled are redelivered, and the ledger knows them.
    let unsettled = parts
        .exchange
        .settle(deliveries, settlement)
        .await
        .err()
        .map(|error| error.to_string());
    match &unsettled {
        Some(error) if parts.registry.is_news("settling", error) => {
            tracing::warn!(
                error,
                deliveries = deliveries.len(),
                "settlement failed, deliveries are redelivered"
            );
        }
        Some(_) => {}
        None => {
            if let Some(occurrences) = parts.registry.over("settling") {
                tracing::info!(occurrences, "settlement recovered");
            }
        }
    }
    parts.registry.note(|status| status.unsettled = unsettled);
}

/// The result of a lane's transactions.
pub(crate) enum Attempt {
    /// All are committed and settled.
    Stored,
    /// The lane is paused; the deliveries were deferred.
    Rested,
    /// One failed: the pause of the lane, and the error.
    Failed(Duration, String),
}

/// Stores one lane's transactions in order and settles each after its commit. Returns the trace of the last chunk that it stored.
pub(crate) async fn store_lane(
    parts: &CommercialParts,
    lane: Lane,
    transactions: Vec<Vec<(Delivery, Arrival)>>,
    rest: Option<Duration>,
    failures: u32,
) -> (Lane, Attempt, Option<TraceParent>) {
    let mut rest = rest;
    let mut last = None;
    let mut attempt = if rest.is_some() {
        Attempt::Rested
    } else {
        Attempt::Stored
    };
    for transaction in transactions {
        let (deliveries, arrivals): (Vec<Delivery>, Vec<Arrival>) = transaction.into_iter().unzip();
        if let Some(rest) = rest {
            settle(parts, &deliveries, Settlement::Nak(rest)).await;
            continue;
        }
        let spans = trace::storing(&lane, &deliveries);
        let result = parts.store.store(&lane, &arrivals).await;
        last = trace::stored(spans, result.as_ref().map(Vec::as_slice)).or(last);
        match result {
            Ok(outcomes) => {
                note(parts, &lane, &outcomes);
                // A delivery without an outcome is not settled.
                let settled: Vec<(Delivery, Settlement)> = deliveries
                    .into_iter()
                    .zip(outcomes.iter().map(settlement))
                    .collect();
                for settlement in distinct(&settled) {
                    let of = |(delivery, this): &(Delivery, Settlement)| {
                        (*this == settlement).then(|| delivery.clone())
                    };
                    let deliveries: Vec<Delivery> = settled.iter().filter_map(of).collect();
                    settle(parts, &deliveries, settlement).await;
                }
            }
            Err(error) => {
                let pause = rest_after(error.kind, failures, rand::random());
                tracing::debug!(%lane, %error, rest_ms = u64::try_from(pause.as_millis()).unwrap_or(0), "lane paused");
                parts.registry.lane(&lane, |status| {
                    status.failures = failures + 1;
                    status.last_error = Some(error.to_string());
                });
                settle(parts, &deliveries, Settlement::Nak(pause)).await;
                (rest, attempt) = (Some(pause), Attempt::Failed(pause, error.to_string()));
            }
        }
    }
    (lane, attempt, last)
}

fn distinct(settled: &[(Delivery, Settlement)]) -> Vec<Settlement> {
    let mut kinds: Vec<Settlement> = Vec::new();
    for (_, settlement) in settled {
        if !kinds.contains(settlement) {
            kinds.push(*settlement);
        }
    }
    kinds
}

fn note(parts: &CommercialParts, lane: &Lane, outcomes: &[store::Outcome]) {
    parts.registry.lane(lane, |status| {
        status.failures = 0;
        for outcome in outcomes {
            match outcome {
                store::Outcome::Stored { rows, quarantined } => {
                    status.chunks += 1;
                    status.rows += rows;
                    status.rows_quarantined += quarantined;
                    status.stored_at = Some(Timestamp::now());
                    (status.last_error, status.stopped, status.missing_key) = (None, None, None);
                }
                store::Outcome::AlreadyStored => {
                    status.already += 1;
                    (status.last_error, status.missing_key) = (None, None);
                }
                store::Outcome::Superseded => {
                    status.superseded += 1;
                    status.missing_key = None;
                }
                store::Outcome::Stopped { reason } => status.stopped = Some(reason.clone()),
                store::Outcome::Deferred { .. } => {}
            }
        }
    });
}
