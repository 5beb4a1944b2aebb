//! Stores verified chunks in a fresh database, in the poller's batches. Opening them is not measured here.

use std::time::{Duration, Instant};

use commercial::PollOptions;
use commercial::step::batches;
use jiff::Timestamp;
use schemas::chunk::VerifiedChunk;
use schemas::encryption::DecryptionKeys;
use store::{Arrival, Outcome as Stored, PostgresStore, Store};

use super::Payload;
use crate::Outcome;
use crate::rig::Rig;

/// Stores all chunks.
pub(super) async fn run(rig: &Rig, payload: &Payload) -> Outcome<Duration> {
    let db = rig.sink.database("store").await;
    let store = PostgresStore::new(&db.url, "public")?;
    store.prepare().await?;
    let options = PollOptions::default();
    let trusted = [rig.chunk_key.public().clone()];
    let (mut rows, mut sequence, mut took) = (0, 0, Duration::ZERO);
    for fetched in payload.chunks.chunks(options.max_messages) {
        let mut arrivals = Vec::new();
        for bytes in fetched {
            sequence += 1;
            let chunk = VerifiedChunk::open(bytes, &trusted, &DecryptionKeys::default())?;
            arrivals.push(Some(Arrival {
                chunk,
                sequence,
                exchanged_at: Timestamp::now(),
            }));
        }
        let sizes: Vec<_> = arrivals
            .iter()
            .flatten()
            .map(|one| (payload.lane.clone(), one.chunk.plain.len()))
            .collect();
        for batch in batches(&sizes, options.max_bytes) {
            let taken = batch
                .members
                .iter()
                .filter_map(|at| arrivals.get_mut(*at).and_then(Option::take));
            let taken: Vec<Arrival> = taken.collect();
            let began = Instant::now();
            let outcomes = store.store(&payload.lane, &taken).await?;
            took += began.elapsed();
            for outcome in outcomes {
                match outcome {
                    Stored::Stored {
                        rows: stored,
                        quarantined: 0,
                    } => rows += stored,
                    other => return Err(format!("a chunk was not stored: {other:?}").into()),
                }
            }
        }
    }
    store.close().await;
    let kept = db.number("SELECT count(*) FROM setl").await;
    if rows == payload.rows && kept == i64::try_from(rows)? {
        Ok(took)
    } else {
        Err(format!("{kept} of {} rows were stored", payload.rows).into())
    }
}
