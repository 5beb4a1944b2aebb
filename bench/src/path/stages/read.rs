//! Reads with the source's reader, quantum by quantum with permits of an open gate, and packs the rows into blocks.

use std::time::{Duration, Instant};

use gate::Gate;
use jiff::Timestamp;
use schemas::column::RowSchema;
use social::chunker::Chunker;
use social::quantum::{QuantumStats, Sizing};
use social::row_batch::Block;
use source::{End, FeedDefinition, PostgresConfig, PostgresSource, Source};

use crate::rig::Rig;
use crate::{Outcome, rows};

/// Reads all rows and drops the blocks.
pub(super) async fn run(rig: &Rig, rows: u64) -> Outcome<Duration> {
    let feed = rows::definition("setl", rows)?;
    let mut read = 0;
    let (_, took) = each_block(rig, &feed, |block| read += block.totals.rows).await?;
    if read == rows {
        Ok(took)
    } else {
        Err(format!("{read} of {rows} rows were read").into())
    }
}

/// Reads all rows of a feed into blocks; returns their columns and the duration.
pub(super) async fn each_block(
    rig: &Rig,
    feed: &FeedDefinition,
    mut take: impl FnMut(Block),
) -> Outcome<(RowSchema, Duration)> {
    let gate = Gate::fixed_open();
    let source = PostgresSource::new(
        PostgresConfig::new(rig.source.url_as(&rig.reader)),
        gate.closed_flag(),
    )?;
    let permit = gate.permit().await;
    let mut reader = source.open_feed(feed, &permit).await?;
    let schema = reader.schema().clone();
    let mut chunker = Chunker::new(&schema, &feed.cursor, &feed.money, None)?;
    let sizing = Sizing::default();
    let mut limit = sizing.first();
    let began = Instant::now();
    let fence = reader.fence(&permit).await?.fence.ok_or("the fence is empty")?;
    drop(permit);
    loop {
        let permit = gate.permit().await;
        let after = chunker.rows.position()?;
        chunker.rows.begin_quantum(Timestamp::now());
        let quantum = reader
            .read(after.as_ref(), &fence, limit, &permit, &mut chunker)
            .await?;
        drop(permit);
        limit = sizing.next(QuantumStats {
            requested: limit,
            limit,
            rows: quantum.rows,
            bytes: chunker.rows.packed_bytes(),
            time: quantum.took,
        });
        if let Some(fault) = chunker.rows.take_fault() {
            return Err(fault.into());
        }
        if quantum.end == End::Drained {
            chunker.rows.close();
        }
        chunker.rows.take_closed().into_iter().for_each(&mut take);
        if quantum.end == End::Drained {
            break;
        }
    }
    let took = began.elapsed();
    source.close().await;
    Ok((schema, took))
}
