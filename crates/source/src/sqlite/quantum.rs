//! The statement of a quantum on the thread, and its rows.

use std::pin::pin;
use std::sync::Arc;

use gate::permit::Permit;
use schemas::cursor::Cursor;
use schemas::manifest::Reject;
use schemas::rows::RowReader;
use schemas::value::Value;
use tokio::sync::mpsc;

use super::checked_feed::CheckedFeed;
use super::sender::{BoundStatement, RowBatch, Sender};
use super::worker::{Worker, ended};
use crate::error::{Error, ErrorKind, Result};
use crate::port::{End, RowSink};

/// Runs a statement that returns one row more than `limit` if there is one, and delivers its rows in order.
pub(super) async fn run(
    worker: &Worker,
    checked: &Arc<CheckedFeed>,
    asked: BoundStatement,
    limit: usize,
    permit: &Permit,
    rows: &mut dyn RowSink,
) -> Result<End> {
    let width = checked.schema.columns.len();
    let checked = Arc::clone(checked);
    let (pieces, mut incoming) = mpsc::channel(4);
    let mut running = worker.begin(move |connection, token| {
        Sender::new(&checked, pieces).send_all(connection, token, &asked, limit)
    });
    let mut revoked = pin!(permit.revoked());
    let mut cancelled = false;
    loop {
        let piece = tokio::select! {
            biased;
            piece = incoming.recv() => piece,
            () = &mut revoked, if !cancelled => {
                running.cancel();
                cancelled = true;
                continue;
            }
        };
        match piece {
            Some(RowBatch::Rows(bytes, count)) => deliver(&bytes, width, count, rows)?,
            Some(RowBatch::Reject(cursor, reject)) => rows.reject(cursor, reject),
            None => break,
        }
    }
    ended((&mut running.done).await)
}

fn deliver(bytes: &[u8], width: usize, count: u64, rows: &mut dyn RowSink) -> Result<()> {
    let mut reader = RowReader::new(bytes, width, count);
    let mut row = Vec::new();
    let undecodable = |_| {
        Error::new(
            ErrorKind::Database,
            "the agent could not decode its own rows",
            "report this",
        )
    };
    while reader.next_into(&mut row).map_err(undecodable)? {
        rows.row(&row);
    }
    Ok(())
}

/// Counts the rows that it delivers.
pub(super) struct Counted<'a> {
    rows: &'a mut dyn RowSink,
    pub(super) count: u64,
}

impl<'a> Counted<'a> {
    pub(super) fn new(rows: &'a mut dyn RowSink) -> Self {
        Self { rows, count: 0 }
    }
}

impl RowSink for Counted<'_> {
    fn row(&mut self, row: &[Value<'_>]) {
        self.count += 1;
        self.rows.row(row);
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        self.count += 1;
        self.rows.reject(cursor, reject);
    }
}
