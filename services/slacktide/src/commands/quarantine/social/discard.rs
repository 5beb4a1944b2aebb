//! Discards an untrusted tail: opens a new epoch after it.

use ::exchange::Exchange;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::digest::Digest;
use schemas::manifest::{Cause, Link};
use schemas::name::FeedName;
use serde::Serialize;
use social::epoch::EpochOrder as Opening;

use super::entries::{EntryKind, find_one};
use super::{File, REPUBLISH_REMEDY, sign};
use crate::cli::quarantine::Order;
use crate::commands::quarantine::act;
use crate::commands::reopen::{describe_start, reopen};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::SocialFile;
use crate::settings::feed::FeedTable;

/// Discards an untrusted tail: opens a new epoch after it, from the last receipt.
pub(super) async fn discard(loaded: &File, exchange: &dyn Exchange, id: &str, order: &Order) -> Outcome {
    let by = act::decision(order, None)?;
    let found = find_one(loaded, exchange, id).await?;
    let EntryKind::Tail(stored) = &found.what else {
        let what = match found.what {
            EntryKind::Reject(_) => "it is part of a signed chunk",
            _ => "it is the receiver's",
        };
        return Err(Failure::usage(format!(
            "this cannot be discarded here, because {what}: {REPUBLISH_REMEDY}"
        )));
    };
    sign(loaded, exchange, &by, "quarantine.discard", &found.line.id).await?;
    let file = &loaded.value;
    let feed = find_feed(file, &found.lane.feed)?;
    let key = file.signing.key(loaded.folder())?;
    let mut opening = Opening {
        lane: found.lane.clone(),
        cause: Cause::ExchangeRestored,
        actor: by.actor,
        reason: by.reason,
        definition: feed.digest_for(&found.lane.recipient),
        schema: None,
        from: social::epoch::StartPoint::Receipt,
        named: Vec::new(),
        gives_up: Some(Digest::of(&[&stored.bytes])),
    };
    let opened = reopen(loaded, exchange, (feed, &key), &mut opening).await?;
    let report = DiscardReport {
        start: describe_start(&opened),
        id: found.line.id,
        lane: found.line.lane,
        epoch: opened.epoch,
        continues: opened.continues,
    };
    output::report(&report, order.json)?;
    Ok(Exit::Done)
}

/// A discarded tail, and the epoch that replaces it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "quarantine discard (bureau)")]
pub(in crate::commands) struct DiscardReport {
    id: String,
    /// `RECIPIENT.FEED`.
    lane: String,
    /// The new epoch.
    epoch: u32,
    /// The chunk that it continues; `null` if it begins at the start of the feed.
    continues: Option<Link>,
    /// The start, for people.
    #[serde(skip)]
    start: String,
}

impl Report for DiscardReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!(
            "{}: discarded; epoch {} is open and continues from {}; a running publisher adopts it automatically",
            self.lane, self.epoch, self.start
        ));
        view
    }
}

fn find_feed<'a>(file: &'a SocialFile, name: &FeedName) -> Result<&'a FeedTable, Failure> {
    let feed = file.feeds.iter().find(|feed| feed.name == *name);
    feed.ok_or_else(|| Failure::usage(format!("there is no feed {name} in the file")))
}
