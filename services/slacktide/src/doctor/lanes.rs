//! Checks what would stop a lane at the agent's start, with the agent's own decision functions.

use std::collections::BTreeMap;

use ::exchange::Exchange;
use runtime::config::Loaded;
use schemas::name::{FeedName, Lane};
use social::definition_diff::{self, CurrentDefinition};
use social::step::{self, Action, Event, step};
use social::stop::StopReason;
use social::tail::{self, TailContext};
use source::identity::detect_change;
use source::{FeedReader, FenceReading, LanePosition};

use super::finding::Findings;
use crate::commands::lane_trust::lane_trust;
use crate::settings::SocialFile;
use crate::settings::feed::FeedTable;

/// The tail of a lane at the exchange.
pub(super) struct Tail {
    lane: Lane,
    event: Event,
    context: TailContext,
}

/// Lanes by feed.
pub(super) type Tails = BTreeMap<FeedName, Vec<Tail>>;

/// Reads each lane's last receipt and last chunk.
pub(super) async fn read(
    loaded: &Loaded<SocialFile>,
    exchange: &dyn Exchange,
    findings: &mut Findings,
) -> Tails {
    let (file, folder) = (&loaded.value, loaded.folder());
    // Other checks report problems with the keys.
    let (Ok(key), Ok(encryption_keys)) = (file.signing.key(folder), file.encryption.encryption_keys(folder))
    else {
        return Tails::new();
    };
    let mut tails = Tails::new();
    for feed in &file.feeds {
        for recipient in &feed.recipients {
            let lane = Lane {
                recipient: recipient.clone(),
                feed: feed.name.clone(),
            };
            let trust = lane_trust(file, &key, recipient);
            let (event, context) = tail::read(exchange, &lane, &trust, &encryption_keys.own).await;
            if let Some(why) = &context.receipt_error {
                findings.warn(&about(&lane), format!("its last receipt is not used: {why}"));
            }
            let of_feed = tails.entry(feed.name.clone()).or_default();
            of_feed.push(Tail { lane, event, context });
        }
    }
    tails
}

fn about(lane: &Lane) -> String {
    format!("lane {lane}")
}

/// Sets the positions of the feed's lanes in a reader, before the fence is read.
pub(super) fn set_positions(tails: &[Tail], reader: &mut dyn FeedReader) {
    let lane_position = |tail: &Tail| {
        Some(LanePosition {
            position: position(tail)?,
            read_at: tail.context.read_at,
        })
    };
    reader.set_lane_positions(tails.iter().filter_map(lane_position).collect());
}

fn position(tail: &Tail) -> Option<schemas::cursor::Cursor> {
    match &tail.event {
        Event::TailRead { tail, .. } => tail.as_ref()?.cursor.clone(),
        _ => None,
    }
}

/// Warns of each lane that the agent would stop. `source` is the reading of the feed's source, if there is one.
pub(super) fn examine(
    feed: &FeedTable,
    tails: &[Tail],
    source: Option<(&dyn FeedReader, &FenceReading)>,
    findings: &mut Findings,
) {
    for tail in tails {
        let reasons = [
            stopped_by_exchange(feed, tail, source.map(|(reader, _)| reader)),
            source.and_then(|(_, reading)| stopped_by_source(tail, reading)),
        ];
        for reason in reasons.into_iter().flatten() {
            findings.warn(&about(&tail.lane), format!("would stop: {reason}"));
        }
    }
}

/// Returns why exchange and file would stop the lane.
fn stopped_by_exchange(feed: &FeedTable, tail: &Tail, reader: Option<&dyn FeedReader>) -> Option<String> {
    let definition = feed.digest_for(&tail.lane.recipient);
    let started = step(step::Lane::new("doctor".to_owned(), definition), Event::Begin);
    let (_, actions) = step(started.0, tail.event.clone());
    let stop = actions.into_iter().find_map(|action| match action {
        Action::Stop(reason) => Some(reason),
        // Without the proofs that the agent waits for: a replica that lags looks the same.
        Action::AskLeader => Some(StopReason::Restored),
        _ => None,
    })?;
    Some(match (&stop, &tail.context.schema) {
        (StopReason::DefinitionChanged, Some(before)) => {
            let shown = reader.and_then(|reader| {
                let columns = reader.schema().clone();
                feed.visible_columns(&tail.lane.recipient, columns).ok()
            });
            definition_diff::describe_change(
                &tail.lane,
                (before, tail.context.definition),
                (&CurrentDefinition::of(&feed.definition()), definition),
                shown.as_ref(),
            )
        }
        _ => stop.to_string(),
    })
}

/// Returns why the source would stop the lane: it is another database or was rolled back.
fn stopped_by_source(tail: &Tail, reading: &FenceReading) -> Option<String> {
    let before = tail.context.source.as_ref();
    let other = before.and_then(|before| detect_change(before, &reading.source));
    let is_beyond = || {
        let position = position(tail);
        !tail.context.is_source_accepted && position.is_some_and(|at| reading.beyond.contains(&at))
    };
    let what = match other {
        Some(other) => other.to_string(),
        None if is_beyond() => "its greatest position is below the lane's".to_owned(),
        None => return None,
    };
    Some(StopReason::SourceChanged(what).to_string())
}
