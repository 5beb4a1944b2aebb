//! The database ceilings: the same rows without the product.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::CopyInSink;

use crate::rig::Rig;
use crate::{Outcome, rows};

/// `COPY (SELECT …) TO STDOUT`, drained.
pub(super) async fn copy_out(rig: &Rig, rows: u64) -> Outcome<Duration> {
    let began = Instant::now();
    let mut lines = 0;
    each_piece(rig, rows, |piece| {
        lines += piece.iter().filter(|byte| **byte == b'\n').count()
    })
    .await?;
    let took = began.elapsed();
    if lines as u64 == rows {
        Ok(took)
    } else {
        Err(format!("{lines} of {rows} rows were copied out").into())
    }
}

/// `COPY … FROM STDIN` into an equal, empty table with its primary key.
pub(super) async fn copy_in(rig: &Rig, rows: u64) -> Outcome<Duration> {
    let mut pieces: Vec<Bytes> = Vec::new();
    each_piece(rig, rows, |piece| pieces.push(piece)).await?;
    // Larger messages than one row, as the client sends one row per piece.
    let joined: Vec<Bytes> = pieces
        .chunks(200)
        .map(|some| Bytes::from(some.concat()))
        .collect();
    drop(pieces);
    let db = rig.sink.database("copied").await;
    db.execute(rows::TABLE).await;
    let client = db.connect().await;
    let began = Instant::now();
    let sink: CopyInSink<Bytes> = client.copy_in("COPY setl FROM STDIN").await?;
    let mut sink = pin!(sink);
    for piece in joined {
        sink.send(piece).await?;
    }
    let copied = sink.finish().await?;
    let took = began.elapsed();
    if copied == rows {
        Ok(took)
    } else {
        Err(format!("{copied} of {rows} rows were copied in").into())
    }
}

async fn each_piece(rig: &Rig, rows: u64, mut take: impl FnMut(Bytes)) -> Outcome<()> {
    let client = rig.source.connect_as(&rig.reader).await;
    let copy = format!("COPY ({}) TO STDOUT", rows::sql(rows));
    let mut stream = pin!(client.copy_out(&copy).await?);
    while let Some(piece) = stream.next().await {
        take(piece?);
    }
    Ok(())
}
