//! The bureau's side: what it could not send, and what its receivers keep aside.
//!
//! Its credential reads the last message of a subject and no history. So there are the rejects
//! of each lane's last chunk, the numbers that the last receipt reports, and a tail that nobody
//! trusts, which stops the lane. Nothing of the first two can be mended here but by publishing
//! the rows again.

use std::sync::Arc;

use ::exchange::{Exchange, Stored};
use gate::Gate;
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::chunk;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::manifest::{Cause, Manifest, Reject};
use schemas::name::{FeedName, Lane, PartyName};
use schemas::receipt::Receipt;
use schemas::seal::SealRing;
use social::epoch::{EpochError, Order as Opening, Signatory, open_epoch};
use social::tail::{Trust, trusted_manifest, trusted_receipt};

use super::told::{self, Line};
use super::{Order, QuarantineCommand, act};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::SocialFile;
use crate::settings::feed::FeedTable;

type File = Loaded<SocialFile>;

const WAYS: &str = "repair the row in the core so that its cursor moves, and it is published again by itself; \
                    or publish from the last receipt or from the beginning with `slacktide feed rewind`";

/// Something that is not with its receiver.
struct Found {
    lane: Lane,
    line: Line,
    what: What,
}

enum What {
    /// In the last chunk's manifest.
    Reject(Box<Reject>),
    /// A number of the last receipt.
    Reported,
    /// A tail that stops the lane.
    Tail(Box<Stored>),
}

/// Runs one of them.
pub(super) async fn run(loaded: &File, command: QuarantineCommand) -> Outcome {
    let file = &loaded.value;
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let done = match command {
        QuarantineCommand::List { feed, json, .. } => list(loaded, &exchange, feed.as_deref(), json).await,
        QuarantineCommand::Show { id, reveal, order } => show(loaded, &exchange, &id, reveal, &order).await,
        QuarantineCommand::Retry { which, order } => {
            retry(
                loaded,
                &exchange,
                which.id.as_deref(),
                which.feed.as_deref(),
                &order,
            )
            .await
        }
        QuarantineCommand::Discard { id, order } => discard(loaded, &exchange, &id, &order).await,
        QuarantineCommand::Export { .. } | QuarantineCommand::Check { .. } => Err(Failure::usage(
            "what the bureau published stands at the exchange: the auditor reads it with `slacktide audit replay`; \
             export from the insurer's side",
        )),
    };
    exchange.close().await;
    done
}

fn trust(loaded: &File, lane: &Lane) -> Result<Trust, Failure> {
    let file = &loaded.value;
    let mut chunks = file.trust.chunks.clone();
    chunks.push(file.signing.key(loaded.folder())?.public().clone());
    Ok(Trust {
        chunks,
        receipts: file
            .trust
            .receipts
            .get(&lane.recipient)
            .cloned()
            .unwrap_or_default(),
    })
}

async fn found(loaded: &File, exchange: &dyn Exchange, feed: Option<&str>) -> Result<Vec<Found>, Failure> {
    let mut all = Vec::new();
    let feeds = loaded.value.feeds.iter();
    for table in feeds.filter(|table| feed.is_none_or(|feed| table.name.as_str() == feed)) {
        for recipient in &table.recipients {
            let lane = Lane {
                recipient: recipient.clone(),
                feed: table.name.clone(),
            };
            let trust = trust(loaded, &lane)?;
            if let Some(stored) = exchange.last_receipt(&lane).await? {
                match trusted_receipt(&stored, &lane, &trust.receipts) {
                    Ok(receipt) => all.extend(reported(&lane, &stored, &receipt)),
                    Err(why) => output::note(&format!("note: {lane}: {why}")),
                }
            }
            if let Some(stored) = exchange.last_chunk(&lane).await? {
                match trusted_manifest(&stored, &lane, &trust.chunks) {
                    Ok((manifest, link)) => all.extend(rejects(&lane, &stored, &manifest, link.digest)),
                    Err(why) => all.push(tail(&lane, stored, &why)),
                }
            }
        }
    }
    Ok(all)
}

fn line(lane: &Lane, id: String, kind: &'static str, stored: &Stored, reason: String) -> Line {
    Line {
        id,
        lane: lane.to_string(),
        epoch: None,
        number: None,
        kind,
        ordinal: None,
        sequence: stored.sequence,
        reason,
        since: stored.stored_at,
        state: "kept",
        bytes: 0,
        ended: None,
    }
}

fn rejects<'a>(
    lane: &'a Lane,
    stored: &'a Stored,
    manifest: &'a Manifest,
    digest: Digest,
) -> impl Iterator<Item = Found> + 'a {
    (0_u64..).zip(&manifest.rejects).map(move |(ordinal, reject)| {
        let line = line(
            lane,
            store::quarantine::reject_id(digest, ordinal),
            "reject",
            stored,
            store::quarantine::told_of(reject),
        );
        Found {
            lane: lane.clone(),
            line: Line {
                epoch: Some(manifest.epoch),
                number: Some(manifest.number),
                ordinal: Some(ordinal),
                ..line
            },
            what: What::Reject(Box::new(reject.clone())),
        }
    })
}

fn reported<'a>(
    lane: &'a Lane,
    stored: &'a Stored,
    receipt: &'a Receipt,
) -> impl Iterator<Item = Found> + 'a {
    receipt.quarantined.iter().map(move |number| {
        let place = format!("{lane} {} {number}", receipt.epoch);
        let id = Digest::of(&[b"reported ", place.as_bytes()]).to_string();
        let reason = "the receiver has not stored this chunk whole; it can retry".to_owned();
        Found {
            lane: lane.clone(),
            line: Line {
                epoch: Some(receipt.epoch),
                number: Some(*number),
                ..line(lane, id, "reported", stored, reason)
            },
            what: What::Reported,
        }
    })
}

fn tail(lane: &Lane, stored: Stored, why: &str) -> Found {
    let id = Digest::of(&[&stored.bytes]).to_string();
    let claims = chunk::place(&stored.bytes).map(|(manifest, _)| (manifest.epoch, manifest.number));
    Found {
        lane: lane.clone(),
        line: Line {
            epoch: claims.map(|(epoch, _)| epoch),
            number: claims.map(|(_, number)| number),
            bytes: stored.bytes.len() as u64,
            ..line(lane, id, "tail", &stored, format!("it stops the lane: {why}"))
        },
        what: What::Tail(Box::new(stored)),
    }
}

async fn list(loaded: &File, exchange: &dyn Exchange, feed: Option<&str>, json: bool) -> Outcome {
    let lines: Vec<Line> = found(loaded, exchange, feed)
        .await?
        .into_iter()
        .map(|found| found.line)
        .collect();
    told::list("social", &lines, json)?;
    if !json {
        output::note(
            "note: of each lane the last chunk's rejects and the last receipt's numbers; the auditor reads all: `slacktide audit replay`",
        );
    }
    Ok(Exit::Done)
}

async fn one(loaded: &File, exchange: &dyn Exchange, id: &str) -> Result<Found, Failure> {
    let mut all = found(loaded, exchange, None).await?;
    all.retain(|found| !id.is_empty() && found.line.id.starts_with(&id.to_ascii_lowercase()));
    match (all.pop(), all.is_empty()) {
        (Some(found), true) => Ok(found),
        (Some(_), false) => Err(Failure::usage(format!(
            "several entries begin with {id}: give more digits"
        ))),
        (None, _) => Err(Failure::usage(format!(
            "no entry begins with {id}: see `quarantine list`"
        ))),
    }
}

async fn show(loaded: &File, exchange: &dyn Exchange, id: &str, reveal: bool, order: &Order) -> Outcome {
    let found = one(loaded, exchange, id).await?;
    let mut holds = None;
    if reveal {
        let by = act::by(order, Some("reveal"))?;
        sign(loaded, exchange, &by, "quarantine.reveal", &found.line.id).await?;
        holds = match &found.what {
            What::Reject(reject) => serde_json::to_value(reject).ok(),
            What::Tail(stored) => Some(super::held::message(&stored.bytes, &SealRing::default())),
            What::Reported => None,
        };
    }
    if order.json {
        output::json(&serde_json::json!({ "entry": found.line, "holds": holds }))?;
        return Ok(Exit::Done);
    }
    told::show(&found.line);
    if let Some(holds) = holds {
        output::note("note: what follows is personal data; that it was looked at is signed and kept");
        output::json(&holds)?;
    }
    Ok(Exit::Done)
}

async fn sign(
    loaded: &File,
    exchange: &dyn Exchange,
    by: &store::quarantine::By,
    action: &str,
    id: &str,
) -> Result<(), Failure> {
    let key = loaded.value.signing.key(loaded.folder())?;
    let party = loaded.value.social.name.as_str();
    act::sign(exchange, (party, key.as_ref()), by, action, &[id]).await
}

/// Nothing is stored here, so nothing can be stored again: it is said what helps.
async fn retry(
    loaded: &File,
    exchange: &dyn Exchange,
    id: Option<&str>,
    feed: Option<&str>,
    order: &Order,
) -> Outcome {
    let all = match id {
        Some(id) => vec![one(loaded, exchange, id).await?],
        None => found(loaded, exchange, feed).await?,
    };
    let told: Vec<_> = all
        .iter()
        .map(|found| {
            let way = match found.what {
                What::Tail(_) => {
                    "correct [trust] chunks and restart the agent, which then goes on behind it; or give it up with \
                     `slacktide quarantine discard`, which opens a new epoch behind it"
                }
                What::Reject(_) => WAYS,
                What::Reported => {
                    "the receiver retries with `slacktide quarantine retry`; or the rows are published again: repair \
                     them in the core so that their cursor moves, or use `slacktide feed rewind`"
                }
            };
            serde_json::json!({ "id": found.line.id, "lane": found.line.lane, "way": way })
        })
        .collect();
    if order.json {
        output::json(&serde_json::json!({ "entries": told, "left": told.len() }))?;
    } else if told.is_empty() {
        output::line("nothing is in quarantine, and no tail stops a lane");
    } else {
        for found in told {
            let text = |name: &str| {
                found
                    .get(name)
                    .and_then(|value| value.as_str())
                    .unwrap_or_default()
                    .to_owned()
            };
            output::line(&format!(
                "{}  {}  {}",
                told::short(&text("id")),
                text("lane"),
                text("way")
            ));
        }
    }
    Ok(if all.is_empty() {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

/// Gives a tail up that nobody trusts: a new epoch is opened behind it, from the last receipt.
async fn discard(loaded: &File, exchange: &dyn Exchange, id: &str, order: &Order) -> Outcome {
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
        definition: feed.definition().digest(),
        schema: None,
        from: social::epoch::From::Receipt,
        gives_up: Some(Digest::of(&[&stored.bytes])),
    };
    let trust = trust(loaded, &found.lane)?;
    let mut opened = open_epoch(exchange, &opening, &trust, &who).await;
    if matches!(opened, Err(EpochError::NoSchema { .. })) {
        // What is given up does not tell the columns: the source does.
        opening.schema = Some(columns(loaded, feed).await?);
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
