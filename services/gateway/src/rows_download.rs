//! A download of a feed's rows: chunk by chunk, so that memory stays bounded, and a mandatory end record.
//!
//! It ends early, with the reason in the end record, at what a reader has to act on or that cannot be read. Nothing is skipped.

use bytes::Bytes;
use schemas::chunk::VerifiedChunk;
use schemas::column::RowSchema;
use schemas::encryption::DecryptionKeys;
use tokio_util::sync::CancellationToken;
use web::interface::cursor::FeedCursor;
use web::interface::feeds::{EndReason, Resynced, RowsEnd};

use crate::feed_reader::{FeedChunk, FeedReader, ReadError};
use crate::rows::digest::SentDigest;
use crate::rows::format::{ChunkNumber, Format};

/// Why the first chunk cannot be returned as rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowsError {
    /// Its body is encrypted to the recipient.
    Encrypted,
    /// Its body is not what its manifest describes.
    Unreadable(String),
}

/// A running download.
pub(crate) struct RowsDownload {
    reader: FeedReader,
    format: Format,
    schema: RowSchema,
    /// Text that is not sent yet.
    pending: Option<String>,
    /// Chunks that may follow.
    remaining: usize,
    digest: SentDigest,
    rows: u64,
    rejects: u64,
    withheld: u64,
    next: FeedCursor,
    resynced: Option<Resynced>,
    is_ended: bool,
    stop: CancellationToken,
}

impl RowsDownload {
    /// Begins with this chunk, of up to `max`.
    ///
    /// # Errors
    /// [`RowsError`] if the chunk cannot be returned as rows.
    pub(crate) fn begin(
        reader: FeedReader,
        first: &FeedChunk,
        format: Format,
        max: usize,
        stop: CancellationToken,
    ) -> Result<Self, RowsError> {
        let schema = first.manifest.content.schema.clone();
        let mut text = String::new();
        format.feed_header(&schema, &mut text);
        let mut download = Self {
            reader,
            format,
            schema,
            pending: None,
            remaining: max,
            digest: SentDigest::default(),
            rows: 0,
            rejects: 0,
            withheld: 0,
            next: first.cursor(),
            resynced: None,
            is_ended: false,
            stop,
        };
        download.write(first, &mut text)?;
        download.pending = Some(text);
        Ok(download)
    }

    /// Returns the next part of the body, or `None` after the end record.
    pub(crate) async fn step(&mut self) -> Option<Bytes> {
        if self.is_ended {
            return None;
        }
        let text = match self.pending.take() {
            Some(text) => text,
            None => match self.chunk().await {
                Ok(text) => text,
                Err(reason) => return Some(self.end(reason)),
            },
        };
        self.digest.update(text.as_bytes());
        Some(Bytes::from(text))
    }

    /// Reads the next chunk and returns its rows as text.
    async fn chunk(&mut self) -> Result<String, EndReason> {
        if self.resynced.is_some() {
            return Err(EndReason::Resynced);
        }
        if self.stop.is_cancelled() {
            return Err(EndReason::Stopping);
        }
        let chunk = match self.reader.next().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Err(EndReason::CaughtUp),
            Err(ReadError::Exchange(_)) => return Err(EndReason::Exchange),
            Err(ReadError::CursorGone(_) | ReadError::Unreadable(_)) => return Err(EndReason::Unreadable),
        };
        if self.remaining == 0 {
            return Err(EndReason::Max);
        }
        if !has_same_columns(&self.schema, &chunk.manifest.content.schema) {
            return Err(EndReason::ColumnsChanged);
        }
        let mut text = String::new();
        match self.write(&chunk, &mut text) {
            Ok(()) => Ok(text),
            Err(RowsError::Encrypted) => Err(EndReason::Encrypted),
            Err(RowsError::Unreadable(_)) => Err(EndReason::Unreadable),
        }
    }

    /// Appends the rows of a chunk, all or none, and moves the position behind it.
    fn write(&mut self, chunk: &FeedChunk, out: &mut String) -> Result<(), RowsError> {
        let number = ChunkNumber {
            epoch: chunk.manifest.epoch,
            number: chunk.manifest.number,
        };
        let unreadable = |what: String| {
            RowsError::Unreadable(format!(
                "chunk {}.{} at sequence {} cannot be returned as rows: {what}",
                number.epoch, number.number, chunk.stored.sequence
            ))
        };
        if chunk.manifest.content.body.encryption.is_some() {
            return Err(RowsError::Encrypted);
        }
        let read: VerifiedChunk = VerifiedChunk::read(&chunk.stored.bytes, &DecryptionKeys::default())
            .map_err(|error| unreadable(error.to_string()))?;
        let mut reader = read.rows();
        let (mut row, start) = (Vec::new(), out.len());
        loop {
            match reader.next_into(&mut row) {
                Ok(true) => self.format.feed_row(&self.schema, number, &row, out),
                Ok(false) => break,
                Err(error) => {
                    out.truncate(start);
                    return Err(unreadable(error.to_string()));
                }
            }
        }
        let manifest = &chunk.manifest;
        self.remaining = self.remaining.saturating_sub(1);
        self.rows += manifest.content.totals.rows;
        self.rejects += manifest.content.rejects.len() as u64;
        self.withheld += manifest.content.totals.withheld;
        self.next = chunk.cursor();
        self.resynced = manifest
            .resync
            .filter(|resync| resync.is_complete)
            .map(|resync| Resynced {
                epoch: manifest.epoch,
                excluded_rows: resync.excluded_rows,
            });
        Ok(())
    }

    fn end(&mut self, reason: EndReason) -> Bytes {
        self.is_ended = true;
        let end = RowsEnd {
            rows: self.rows,
            digest: self.digest.text(),
            next: self.next.to_string(),
            is_caught_up: reason == EndReason::CaughtUp,
            reason,
            rejects: self.rejects,
            withheld: self.withheld,
            resynced: self.resynced,
        };
        let mut text = String::new();
        self.format.feed_end(&end, &mut text);
        Bytes::from(text)
    }
}

/// Returns whether rows of both have the same columns in the same order, and the same mark of deletion.
fn has_same_columns(one: &RowSchema, other: &RowSchema) -> bool {
    (&one.columns, &one.key, &one.tombstone) == (&other.columns, &other.key, &other.tombstone)
}

#[cfg(test)]
mod tests;
