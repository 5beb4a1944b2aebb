//! A tail that nobody trusts is given up: a new epoch opens behind it.

use std::sync::Arc;

use ::exchange::Exchange;
use gate::Gate;
use runtime::exit::Exit;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::manifest::Cause;
use schemas::name::{FeedName, PartyName};
use social::epoch::{EpochError, Order as Opening, Signatory, open_epoch};

use super::found::{What, one, trust};
use super::{File, WAYS, sign};
use crate::commands::quarantine::{Order, act};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::SocialFile;
use crate::settings::feed::FeedTable;

/// Gives a tail up that nobody trusts: a new epoch is opened behind it, from the last receipt.
pub(super) async fn discard(loaded: &File, exchange: &dyn Exchange, id: &str, order: &Order) -> Outcome {
    let by = act::by(order, None)?;
    let found = one(loaded, exchange, id).await?;
    let What::Tail(stored) = &found.what else {
        let what = match found.what {
            What::Reject(_) => "it stands in a signed chunk",
            _ => "it is the receiver's",
        };
        return Err(Failure::usage(format!(
            "this cannot be discarded here, for {what}: {WAYS}"
        )));
    };
    sign(loaded, exchange, &by, "quarantine.discard", &found.line.id).await?;
    let file = &loaded.value;
    let feed = feed_of(file, &found.lane.feed)?;
    let key = file.signing.key(loaded.folder())?;
    let writer = PartyName::new("operator").map_err(|error| Failure::internal(&error))?;
    let instance = social::new_instance();
    let who = Signatory {
        key: &key,
        instance: &instance,
        party: &file.social.name,
        writer: &writer,
    };
    let mut opening = Opening {
        lane: found.lane.clone(),
        cause: Cause::ExchangeRestored,
        actor: by.actor,
        reason: by.reason,
        definition: feed.digest_for(&found.lane.recipient),
        schema: None,
        from: social::epoch::From::Receipt,
        gives_up: Some(Digest::of(&[&stored.bytes])),
    };
    let trust = trust(loaded, &found.lane)?;
    let mut opened = open_epoch(exchange, &opening, &trust, &who).await;
    if matches!(opened, Err(EpochError::NoSchema { .. })) {
        // What is given up does not tell the columns: the source does.
        let columns = columns(loaded, feed).await?;
        opening.schema = Some(feed.shown_to(&found.lane.recipient, columns)?);
        opened = open_epoch(exchange, &opening, &trust, &who).await;
    }
    let opened = opened.map_err(failed)?;
    let from = opened.continues.map_or("the beginning".to_owned(), |link| {
        format!("epoch {} number {}", link.epoch, link.number)
    });
    if order.json {
        output::json(&serde_json::json!({
            "id": found.line.id, "lane": found.line.lane, "epoch": opened.epoch, "continues": opened.continues,
        }))?;
    } else {
        output::line(&format!(
            "{}: given up; epoch {} is open behind it and goes on from {from}; a running publisher takes it up by itself",
            found.line.lane, opened.epoch
        ));
    }
    Ok(Exit::Done)
}

fn feed_of<'a>(file: &'a SocialFile, name: &FeedName) -> Result<&'a FeedTable, Failure> {
    let feed = file.feeds.iter().find(|feed| feed.name == *name);
    feed.ok_or_else(|| Failure::usage(format!("there is no feed {name} in the file")))
}

async fn columns(loaded: &File, feed: &FeedTable) -> Result<RowSchema, Failure> {
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
        EpochError::Untrusted { .. } => Failure::new(Exit::Evidence, error.to_string()),
        other => Failure::new(Exit::Unfinished, other.to_string()),
    }
}
