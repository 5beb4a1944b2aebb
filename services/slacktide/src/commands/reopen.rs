//! Opens a new epoch of a lane, for an operator of the bureau.
//!
//! The columns come from the chunk that the epoch continues, or from the source if the exchange holds no such chunk.

use std::sync::Arc;

use ::exchange::Exchange;
use gate::Gate;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::column::RowSchema;
use schemas::sign::SigningKey;
use social::epoch::{EpochError, EpochOrder, OpenedEpoch, StartPoint, open_epoch};

use super::control_records::named;
use super::lane_trust::lane_trust;
use super::operator::Operator;
use crate::compose;
use crate::failure::Failure;
use crate::settings::SocialFile;
use crate::settings::feed::FeedTable;

/// Opens the epoch in the name of the bureau.
pub(crate) async fn reopen(
    loaded: &Loaded<SocialFile>,
    exchange: &dyn Exchange,
    (feed, key): (&FeedTable, &SigningKey),
    order: &mut EpochOrder,
) -> Result<OpenedEpoch, Failure> {
    let (file, operator) = (&loaded.value, Operator::new()?);
    let recipient = order.lane.recipient.clone();
    let trust = lane_trust(file, key, &recipient);
    let signer = operator.signer(key, &file.trust.operators, &file.social.name);
    order.named = named(loaded, exchange, key).await?;
    let mut opened = open_epoch(exchange, order, &trust, &signer).await;
    let has_no_schema = matches!(opened, Err(EpochError::NoSchema { .. }));
    if has_no_schema && matches!(order.from, StartPoint::Receipt | StartPoint::Beginning) {
        order.schema = Some(feed.visible_columns(&recipient, columns(loaded, feed).await?)?);
        opened = open_epoch(exchange, order, &trust, &signer).await;
    }
    opened.map_err(failed)
}

/// Describes the position that the epoch continues from.
pub(crate) fn describe_start(opened: &OpenedEpoch) -> String {
    opened.continues.map_or("the beginning".to_owned(), |link| {
        format!("epoch {} number {}", link.epoch, link.number)
    })
}

async fn columns(loaded: &Loaded<SocialFile>, feed: &FeedTable) -> Result<RowSchema, Failure> {
    let gate = Gate::fixed_open();
    let source = compose::source(loaded, gate.closed_flag())?;
    let permit = gate.permit().await;
    let reader = Arc::clone(&source).open_feed(&feed.definition(), &permit).await;
    let schema = reader.map(|reader| reader.schema().clone());
    drop(permit);
    source.close().await;
    Ok(schema?)
}

fn failed(error: EpochError) -> Failure {
    match error {
        EpochError::Exchange(error) => error.into(),
        EpochError::Untrusted { .. } | EpochError::OrdersBehind(_) | EpochError::Unconfirmed { .. } => {
            Failure::new(Exit::Evidence, error.to_string())
        }
        other => Failure::new(Exit::Unfinished, other.to_string()),
    }
}
