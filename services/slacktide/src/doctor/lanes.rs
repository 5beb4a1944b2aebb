//! The lanes of a bureau: what would stop one at the agent's start, by the very decisions of the agent.

use std::collections::BTreeMap;

use ::exchange::Exchange;
use runtime::config::Loaded;
use schemas::name::{FeedName, Lane};
use social::changed::{self, Now};
use social::step::{self, Action, Event, step};
use social::stop::StopReason;
use social::tail::{self, Beside};
use source::identity::changed as source_changed;
use source::{FeedReader, FenceReading, Standing};

use super::finding::Findings;
use crate::commands::reopen::trust;
use crate::settings::SocialFile;
use crate::settings::feed::FeedTable;

/// A lane as the exchange holds it.
pub(super) struct Tail {
    lane: Lane,
    event: Event,
    beside: Beside,
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
    // What is wrong with these is a finding of its own.
    let (Ok(key), Ok(sealing)) = (file.signing.key(folder), file.sealing.keys(folder)) else {
        return Tails::new();
    };
    let mut tails = Tails::new();
    for feed in &file.feeds {
        for recipient in &feed.recipients {
            let lane = Lane {
                recipient: recipient.clone(),
                feed: feed.name.clone(),
            };
            let trust = trust(file, &key, recipient);
            let (event, beside) = tail::read(exchange, &lane, &trust, &sealing.own).await;
            if let Some(why) = &beside.receipt_trouble {
                findings.warn(&about(&lane), format!("its last receipt is not used: {why}"));
            }
            let of_feed = tails.entry(feed.name.clone()).or_default();
            of_feed.push(Tail { lane, event, beside });
        }
    }
    tails
}

fn about(lane: &Lane) -> String {
    format!("lane {lane}")
}

/// Gives a reader the positions of its feed's lanes, before the fence is taken.
pub(super) fn give_positions(tails: &[Tail], reader: &mut dyn FeedReader) {
    let standing = |tail: &Tail| {
        Some(Standing {
            position: position(tail)?,
            read_at: tail.beside.read_at,
        })
    };
    reader.stands_at(tails.iter().filter_map(standing).collect());
}

fn position(tail: &Tail) -> Option<schemas::cursor::Cursor> {
    match &tail.event {
        Event::TailRead { tail, .. } => tail.as_ref()?.cursor.clone(),
        _ => None,
    }
}

/// Warns of each lane that the agent would stop. `source` is the answer of the feed's source, where it was asked.
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

/// What the exchange and the file decide.
fn stopped_by_exchange(feed: &FeedTable, tail: &Tail, reader: Option<&dyn FeedReader>) -> Option<String> {
    let definition = feed.digest_for(&tail.lane.recipient);
    let begun = step(step::Lane::new("doctor".to_owned(), definition), Event::Begin);
    let (_, actions) = step(begun.0, tail.event.clone());
    let stop = actions.into_iter().find_map(|action| match action {
        Action::Stop(reason) => Some(reason),
        _ => None,
    })?;
    Some(match (&stop, &tail.beside.schema) {
        (StopReason::DefinitionChanged, Some(before)) => {
            let shown = reader.and_then(|reader| {
                let columns = reader.schema().clone();
                feed.shown_to(&tail.lane.recipient, columns).ok()
            });
            changed::told(
                &tail.lane,
                (before, tail.beside.definition),
                (&Now::of(&feed.definition()), definition),
                shown.as_ref(),
            )
        }
        _ => stop.to_string(),
    })
}

/// What the source decides: it is another one, or holds less than it held.
fn stopped_by_source(tail: &Tail, reading: &FenceReading) -> Option<String> {
    let before = tail.beside.source.as_ref();
    let other = before.and_then(|before| source_changed(before, &reading.source));
    let is_beyond = || {
        let position = position(tail);
        !tail.beside.is_source_accepted && position.is_some_and(|at| reading.beyond.contains(&at))
    };
    let what = match other {
        Some(other) => other.to_string(),
        None if is_beyond() => "its greatest position is below the lane's".to_owned(),
        None => return None,
    };
    Some(StopReason::SourceChanged(what).to_string())
}
