//! Finds entries in the last message and the last receipt of each lane.

use ::exchange::{Exchange, Stored};
use schemas::chunk;
use schemas::digest::Digest;
use schemas::manifest::{Manifest, Reject};
use schemas::name::Lane;
use schemas::receipt::Receipt;
use social::tail::{Trust, trusted_manifest, trusted_receipt};

use super::File;
use crate::commands::lane_trust::lane_trust;
use crate::commands::quarantine::render::Line;
use crate::failure::Failure;
use crate::output;

/// An entry that its receiver has not stored.
pub(super) struct Found {
    pub(super) lane: Lane,
    pub(super) line: Line,
    pub(super) what: EntryKind,
}

pub(super) enum EntryKind {
    /// A reject in the last chunk's manifest.
    Reject(Box<Reject>),
    /// A number in the last receipt.
    Reported,
    /// A tail that stops the lane.
    Tail(Box<Stored>),
}

pub(super) fn trust(loaded: &File, lane: &Lane) -> Result<Trust, Failure> {
    let key = loaded.value.signing.key(loaded.folder())?;
    Ok(lane_trust(&loaded.value, &key, &lane.recipient))
}

pub(super) async fn find_all(
    loaded: &File,
    exchange: &dyn Exchange,
    feed: Option<&str>,
) -> Result<Vec<Found>, Failure> {
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
                match trusted_receipt(&stored, &lane, &trust) {
                    Ok(receipt) => all.extend(reported(&lane, &stored, &receipt)),
                    Err(why) => output::note(&format!("note: {lane}: {why}")),
                }
            }
            if let Some(stored) = exchange.last_chunk(&lane).await? {
                match trusted_manifest(&stored, &lane, &trust) {
                    Ok((manifest, link)) => all.extend(rejects(&lane, &stored, &manifest, link.digest)),
                    Err(why) => all.push(tail(&lane, stored, &why.to_string())),
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
        since: stored.stored_at.into(),
        state: "kept",
        retry: None,
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
    (0_u64..)
        .zip(&manifest.content.rejects)
        .map(move |(ordinal, reject)| {
            let line = line(
                lane,
                store::quarantine::reject_id(digest, ordinal),
                "reject",
                stored,
                store::quarantine::describe_reject(reject),
            );
            Found {
                lane: lane.clone(),
                line: Line {
                    epoch: Some(manifest.epoch),
                    number: Some(manifest.number),
                    ordinal: Some(ordinal),
                    ..line
                },
                what: EntryKind::Reject(Box::new(reject.clone())),
            }
        })
}

fn reported<'a>(
    lane: &'a Lane,
    stored: &'a Stored,
    receipt: &'a Receipt,
) -> impl Iterator<Item = Found> + 'a {
    receipt.quarantined.iter().map(move |number| {
        let chunk = format!("{lane} {} {number}", receipt.epoch);
        let id = Digest::of(&[b"reported ", chunk.as_bytes()]).to_string();
        let reason = "the receiver has not stored this chunk completely; it can retry".to_owned();
        Found {
            lane: lane.clone(),
            line: Line {
                epoch: Some(receipt.epoch),
                number: Some(*number),
                ..line(lane, id, "reported", stored, reason)
            },
            what: EntryKind::Reported,
        }
    })
}

fn tail(lane: &Lane, stored: Stored, why: &str) -> Found {
    let id = Digest::of(&[&stored.bytes]).to_string();
    let claims = chunk::read_untrusted(&stored.bytes).map(|(manifest, _)| (manifest.epoch, manifest.number));
    Found {
        lane: lane.clone(),
        line: Line {
            epoch: claims.map(|(epoch, _)| epoch),
            number: claims.map(|(_, number)| number),
            bytes: stored.bytes.len() as u64,
            ..line(lane, id, "tail", &stored, format!("it stops the lane: {why}"))
        },
        what: EntryKind::Tail(Box::new(stored)),
    }
}

pub(super) async fn find_one(loaded: &File, exchange: &dyn Exchange, id: &str) -> Result<Found, Failure> {
    let mut all = find_all(loaded, exchange, None).await?;
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
