//! A tail that nobody trusts is given up: a new epoch opens behind it.

use ::exchange::Exchange;
use runtime::exit::Exit;
use schemas::digest::Digest;
use schemas::manifest::Cause;
use schemas::name::FeedName;
use social::epoch::Order as Opening;

use super::found::{What, one};
use super::{File, WAYS, sign};
use crate::commands::quarantine::{Order, act};
use crate::commands::reopen::{goes_on_from, reopen};
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
    let mut opening = Opening {
        lane: found.lane.clone(),
        cause: Cause::ExchangeRestored,
        actor: by.actor,
        reason: by.reason,
        definition: feed.digest_for(&found.lane.recipient),
        schema: None,
        from: social::epoch::From::Receipt,
        named: Vec::new(),
        gives_up: Some(Digest::of(&[&stored.bytes])),
    };
    let opened = reopen(loaded, exchange, (feed, &key), &mut opening).await?;
    let from = goes_on_from(&opened);
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
