//! COPY: rows go as text, in pieces.

use bytes::Bytes;
use futures_util::SinkExt;
use schemas::column::RowSchema;

use super::super::session::Session;
use super::super::{cell, records};
use crate::merge::{Fold, Version};
use crate::table::{DELETED, EPOCH, KEY, NUMBER, ORDINAL, listed};

/// COPY data is sent in pieces of about this size.
const PIECE: usize = 128 << 10;

/// What goes behind a row's columns and its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Nothing,
    /// Its key in its one form.
    Key,
    /// The same, and whether it deletes.
    Staged,
    /// Its place in the chunk, and whether it deletes.
    Version,
}

/// Rows of the same columns.
pub(super) struct Bulk<'a> {
    pub(super) schema: &'a RowSchema,
    pub(super) fold: &'a Fold<'a>,
    pub(super) versions: &'a [&'a Version],
    /// The ordinal of a chunk's first row.
    pub(super) first: u64,
}

/// Writes rows into a table, and returns how many the table took; `come` are the store's names of their columns.
pub(super) async fn copy(
    session: &Session,
    into: &str,
    come: &[String],
    more: More,
    bulk: &Bulk<'_>,
) -> Result<u64, tokio_postgres::Error> {
    let mut names: Vec<&str> = come.iter().map(String::as_str).chain([EPOCH, NUMBER]).collect();
    match more {
        More::Nothing => {}
        More::Key => names.push(KEY),
        More::Staged => names.extend([KEY, "_slacktide_deleted"]),
        More::Version => names.extend([ORDINAL, DELETED]),
    }
    let sql = format!("COPY {into} ({}) FROM STDIN", listed(names));
    let sink = session.client.copy_in::<_, Bytes>(&sql).await?;
    futures_util::pin_mut!(sink);
    let mut piece = Vec::with_capacity(PIECE + 4_096);
    for version in bulk.versions {
        for (column, value) in bulk.schema.columns.iter().zip(bulk.fold.values(version)) {
            cell::write(&column.kind, *value, &mut piece);
            piece.push(b'\t');
        }
        cell::number(i64::from(version.place.epoch), &mut piece);
        piece.push(b'\t');
        cell::number(records::int(version.place.number), &mut piece);
        match more {
            More::Nothing => {}
            More::Key | More::Staged => {
                piece.push(b'\t');
                cell::hex(&version.key, &mut piece);
                if more == More::Staged {
                    piece.extend_from_slice(flag(version.deleted));
                }
            }
            More::Version => {
                piece.push(b'\t');
                cell::number(records::int(bulk.first + version.ordinal), &mut piece);
                piece.extend_from_slice(flag(version.deleted));
            }
        }
        piece.push(b'\n');
        if piece.len() >= PIECE {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE + 4_096));
            if sink.send(Bytes::from(full)).await.is_err() {
                // The server has ended the COPY; its answer says why.
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
