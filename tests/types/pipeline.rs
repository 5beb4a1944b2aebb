//! The path without its processes: the real source, the real chunks, the real store, and no exchange between them.

use std::collections::BTreeMap;
use std::time::Duration;

use gate::Gate;
use jiff::Timestamp;
use schemas::chunk;
use schemas::column::{ColumnType, RowSchema};
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::encryption::DecryptionKeys;
use schemas::manifest::{Manifest, Reject};
use schemas::name::Lane;
use schemas::sign::SigningKey;
use serde_json::json;
use social::chunker::Chunker;
use social::row_batch::Block;
use source::{CursorSetBy, End, FeedDefinition, Fence, Source};
use store::{Arrival, Outcome, Store};

use super::digests::{self, Digests};
use super::rng::rng_at;
use super::table::Case;

/// The result of moving a feed.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) rows: u64,
    /// Of these, rows that the store quarantined.
    pub(super) quarantined: u64,
    pub(super) rejects: Vec<Reject>,
    /// The digests of the published rows.
    pub(super) digests: Digests,
}

pub(super) fn feed(name: &str, cursor: Vec<String>, key: Vec<String>, money: Vec<String>) -> FeedDefinition {
    FeedDefinition {
        name: name.parse().unwrap(),
        version: 1,
        sql: format!("SELECT * FROM {name}"),
        cursor,
        cursor_set_by: CursorSetBy::Application,
        // More than a day, the step of a date.
        lag: Duration::from_secs(100_000),
        key,
        money,
        tombstone: None,
        types: BTreeMap::new(),
        clock: source::feed::CursorClock::default(),
    }
}

/// Moves a whole table. The seed decides how it is divided into quanta, chunks and calls.
pub(super) async fn move_table(case: &Case, source: &dyn Source, store: &dyn Store) -> Result<Moved, String> {
    let output = |error: &dyn std::fmt::Display| error.to_string();
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let mut feed = feed(&case.name(), case.cursor(), case.key_names(), Vec::new());
    let looked = source
        .open_feed(&feed, &permit)
        .await
        .map_err(|error| output(&error))?;
    let decimals = looked.schema().columns.iter();
    let decimals = decimals.filter(|column| matches!(column.kind, ColumnType::Decimal { .. }));
    feed.money = decimals.map(|column| column.name.clone()).collect();
    drop(looked);
    let mut reader = source
        .open_feed(&feed, &permit)
        .await
        .map_err(|error| output(&error))?;
    let schema = reader.schema().clone();
    let mut rng = rng_at(case.seed, 0, 1);
    let mut chunker =
        Chunker::new(&schema, &feed.cursor, &feed.money, None).map_err(|error| output(&error))?;
    let limit = rng.below(30) + 1;
    let mut blocks = Vec::new();
    loop {
        chunker.rows.begin_quantum(Timestamp::UNIX_EPOCH);
        let after = chunker.rows.position().map_err(|error| output(&error))?;
        let read = reader
            .read(after.as_ref(), &Fence::Open, limit, &permit, &mut chunker)
            .await;
        let quantum = read.map_err(|error| output(&error))?;
        if let Some(fault) = chunker.rows.take_fault() {
            return Err(output(&fault));
        }
        if rng.percent(30) || quantum.end == End::Drained {
            chunker.rows.close();
        }
        blocks.extend(chunker.rows.take_closed());
        if quantum.end == End::Drained {
            break;
        }
    }
    let key = SigningKey::generate();
    let lane = Lane {
        recipient: "insurer-a".parse().unwrap(),
        feed: feed.name.clone(),
    };
    let mut moved = Moved::default();
    let (mut arrivals, mut previous) = (Vec::new(), None);
    for (number, block) in (1_u64..).zip(blocks) {
        moved.rejects.extend(block.rejects.iter().cloned());
        let plain = block.plain.clone();
        let manifest = manifest(block, number, previous, &schema, &feed, &key);
        let signed =
            chunk::SignedChunk::sign(manifest, &plain, &key, None).map_err(|error| output(&error))?;
        previous = Some(signed.digest);
        arrivals.push(Arrival {
            chunk: chunk::VerifiedChunk::open(
                &signed.bytes,
                std::slice::from_ref(key.public()),
                &DecryptionKeys::default(),
            )
            .map_err(|error| output(&error))?,
            sequence: number,
            exchanged_at: Timestamp::UNIX_EPOCH,
        });
    }
    for arrival in &arrivals {
        digests::add_published(arrival, &mut moved.digests);
    }
    while !arrivals.is_empty() {
        let rest = arrivals.split_off((rng.below(4) + 1).min(arrivals.len()));
        let outcomes = store
            .store(&lane, &arrivals)
            .await
            .map_err(|error| output(&error))?;
        for outcome in outcomes {
            let Outcome::Stored { rows, quarantined } = outcome else {
                return Err(format!("a chunk was not stored: {outcome:?}"));
            };
            moved.rows += rows;
            moved.quarantined += quarantined;
        }
        arrivals = rest;
    }
    Ok(moved)
}

/// Returns the manifest as an older publisher wrote it: newer fields have their defaults.
fn manifest(
    block: Block,
    number: u64,
    previous: Option<Digest>,
    schema: &RowSchema,
    feed: &FeedDefinition,
    key: &SigningKey,
) -> Manifest {
    let (no_cursor, at) = (None::<Cursor>, Timestamp::UNIX_EPOCH);
    let text = json!({
        "recipient": "insurer-a", "feed": feed.name, "epoch": 1, "number": number, "previous": previous,
        "cursor_before": no_cursor, "cursor_after": no_cursor,
        "content": {
            "schema": schema, "definition": feed.digest(),
            "totals": block.totals, "load": { "limits": {}, "samples": [], "verdicts": [] }, "rejects": block.rejects,
            "body": { "digest": feed.digest(), "bytes": 0, "plain_bytes": 0, "encoding": "", "compression": "" },
            "read_from": at, "read_to": at, "instance": "0123456789abcdef", "key": key.public(),
            "algorithms": { "digest": "sha-256", "signature": "ed25519" },
        },
    });
    let mut manifest: Manifest = serde_json::from_value(text).unwrap();
    manifest.cursor_before = block.cursor_before;
    manifest.cursor_after = block.cursor_after;
    manifest
}
