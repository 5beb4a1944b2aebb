//! A new epoch of a lane, opened by an operator of the bureau.
//!
//! The chunk it continues tells the columns. Where the exchange holds none that does, the source is asked, as any
//! feed is opened.

use std::sync::Arc;

use ::exchange::Exchange;
use gate::Gate;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::column::RowSchema;
use schemas::name::RecipientName;
use schemas::sign::SigningKey;
use social::epoch::{EpochError, From, Opened, Order, open_epoch};
use social::tail::Trust;

use super::operator::Operator;
use super::orders::named;
use crate::compose;
use crate::failure::Failure;
use crate::settings::SocialFile;
use crate::settings::feed::FeedTable;

/// Whose chunks and receipts of a recipient's lanes are believed.
pub(crate) fn trust(file: &SocialFile, key: &SigningKey, recipient: &RecipientName) -> Trust {
    let mut chunks = file.trust.chunks.clone();
    chunks.push(key.public().clone());
    Trust {
        chunks,
        receipts: file.trust.receipts.get(recipient).cloned().unwrap_or_default(),
        here: file.origin(),
    }
}

/// Opens it, in the name of the bureau.
pub(crate) async fn reopen(
    loaded: &Loaded<SocialFile>,
    exchange: &dyn Exchange,
    (feed, key): (&FeedTable, &SigningKey),
    order: &mut Order,
) -> Result<Opened, Failure> {
    let (file, operator) = (&loaded.value, Operator::new()?);
    let recipient = order.lane.recipient.clone();
    let trust = trust(file, key, &recipient);
    let who = operator.signs(key, &file.trust.operators, &file.social.name);
    order.named = named(loaded, exchange, key).await?;
    let mut opened = open_epoch(exchange, order, &trust, &who).await;
    let tells_none = matches!(opened, Err(EpochError::NoSchema { .. }));
    if tells_none && matches!(order.from, From::Receipt | From::Beginning) {
        order.schema = Some(feed.shown_to(&recipient, columns(loaded, feed).await?)?);
        opened = open_epoch(exchange, order, &trust, &who).await;
    }
    opened.map_err(failed)
}

/// What it goes on from, in words.
pub(crate) fn goes_on_from(opened: &Opened) -> String {
    opened.continues.map_or("the beginning".to_owned(), |link| {
        format!("epoch {} number {}", link.epoch, link.number)
    })
}

async fn columns(loaded: &Loaded<SocialFile>, feed: &FeedTable) -> Result<RowSchema, Failure> {
    let gate = Gate::fixed_open();
    let source = compose::source(loaded, gate.shut_flag())?;
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
