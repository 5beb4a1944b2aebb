//! COPY: rows are sent as text, in pieces.

use bytes::Bytes;
use futures_util::SinkExt;
use schemas::column::RowSchema;

use super::super::session::Session;
use super::super::{cell, numbers};
use crate::merge::{Fold, Version};
use crate::sql_name::listed;
use crate::table::{DELETED, EPOCH, KEY, NUMBER, ORDINAL};

/// COPY data is sent in pieces of about this size.
const COPY_CHUNK_BYTES: usize = 128 << 10;

/// Additional columns after a row's columns and its chunk number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtraColumns {
    Nothing,
    /// The canonical key.
    Key,
    /// The canonical key, and whether the version deletes.
    Staged,
    /// The row's number in the chunk, and whether the version deletes.
    Version,
}

/// Rows with the same columns.
pub(super) struct RowBatch<'a> {
    pub(super) schema: &'a RowSchema,
    pub(super) fold: &'a Fold<'a>,
    pub(super) versions: &'a [&'a Version],
    /// The ordinal of a chunk's first row.
    pub(super) first: u64,
}

/// Copies rows into a table and returns the number of written rows; `sent` are the store's names of their columns.
pub(super) async fn copy(
    session: &Session,
    into: &str,
    sent: &[String],
    more: ExtraColumns,
    bulk: &RowBatch<'_>,
) -> Result<u64, tokio_postgres::Error> {
    let mut names: Vec<&str> = sent.iter().map(String::as_str).chain([EPOCH, NUMBER]).collect();
    match more {
        ExtraColumns::Nothing => {}
        ExtraColumns::Key => names.push(KEY),
        ExtraColumns::Staged => names.extend([KEY, "_slacktide_deleted"]),
        ExtraColumns::Version => names.extend([ORDINAL, DELETED]),
    }
    let sql = format!("COPY {into} ({}) FROM STDIN", listed(names));
    let sink = session.client.copy_in::<_, Bytes>(&sql).await?;
    futures_util::pin_mut!(sink);
    let mut piece = Vec::with_capacity(COPY_CHUNK_BYTES + 4_096);
    for version in bulk.versions {
        for (column, value) in bulk.schema.columns.iter().zip(bulk.fold.values(version)) {
            cell::write(&column.kind, *value, &mut piece);
            piece.push(b'\t');
        }
        cell::number(i64::from(version.chunk_number.epoch), &mut piece);
        piece.push(b'\t');
        cell::number(numbers::int(version.chunk_number.number), &mut piece);
        match more {
            ExtraColumns::Nothing => {}
            ExtraColumns::Key | ExtraColumns::Staged => {
                piece.push(b'\t');
                cell::hex(&version.key, &mut piece);
                if more == ExtraColumns::Staged {
                    piece.extend_from_slice(flag(version.deleted));
                }
            }
            ExtraColumns::Version => {
                piece.push(b'\t');
                cell::number(numbers::int(bulk.first + version.ordinal), &mut piece);
                piece.extend_from_slice(flag(version.deleted));
            }
        }
        piece.push(b'\n');
        if piece.len() >= COPY_CHUNK_BYTES {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(COPY_CHUNK_BYTES + 4_096));
            if sink.send(Bytes::from(full)).await.is_err() {
                // The server has ended the COPY; its answer contains the reason.
                return sink.finish().await;
            }
        }
    }
    if !piece.is_empty() && sink.send(Bytes::from(piece)).await.is_err() {
        return sink.finish().await;
    }
    sink.finish().await
}

fn flag(deleted: bool) -> &'static [u8] {
    if deleted { b"\tt" } else { b"\tf" }
}
