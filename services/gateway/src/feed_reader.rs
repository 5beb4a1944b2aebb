//! Reads the chunks of a feed in order, a few at a time, from a position in the URL.

use std::collections::VecDeque;
use std::sync::Arc;

use exchange::port::{ReadFrom, Sequence, Stream};
use exchange::{Exchange, Stored};
use schemas::chunk;
use schemas::digest::Digest;
use schemas::manifest::Manifest;
use schemas::name::Lane;
use web::interface::cursor::FeedCursor;

use crate::feed_link::{LastChunk, check_follows};

/// Messages of one read. A message has up to 4 MB, so this bounds the memory of a download.
const PAGE: usize = 4;

/// A chunk, not verified.
#[derive(Debug, Clone)]
pub(crate) struct FeedChunk {
    /// The message as published.
    pub(crate) stored: Stored,
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// The digest that the next chunk names.
    pub(crate) digest: Digest,
}

impl FeedChunk {
    /// Reads a message, or returns `None` if it is not a chunk.
    #[must_use]
    pub(crate) fn read(stored: Stored) -> Option<Self> {
        let (manifest, digest) = chunk::read_untrusted(&stored.bytes)?;
        Some(Self {
            stored,
            manifest,
            digest,
        })
    }

    /// Returns the cursor after it.
    #[must_use]
    pub(crate) fn cursor(&self) -> FeedCursor {
        FeedCursor::after(
            self.manifest.epoch,
            self.manifest.number,
            self.stored.sequence,
            &self.digest,
        )
    }
}

/// Returns the cursor after the last message of a feed, or `None` if there is none or it is not a chunk.
pub(crate) async fn newest(
    exchange: &dyn Exchange,
    lane: &Lane,
) -> Result<Option<FeedCursor>, exchange::Error> {
    let last = exchange.last_chunk(lane).await?;
    Ok(last.and_then(FeedChunk::read).map(|chunk| chunk.cursor()))
}

/// Why a feed cannot be read on.
#[derive(Debug, Clone)]
pub(crate) enum ReadError {
    /// The exchange failed.
    Exchange(exchange::Error),
    /// The cursor is not of this history, or its chunk was removed. Its text names the way on.
    CursorGone(String),
    /// A message is not the chunk that follows. Its text names it, and the way on without it.
    Unreadable(String),
}

impl From<exchange::Error> for ReadError {
    fn from(error: exchange::Error) -> Self {
        Self::Exchange(error)
    }
}

/// A position in a feed, and the messages that were read ahead.
pub(crate) struct FeedReader {
    exchange: Arc<dyn Exchange>,
    lane: Lane,
    filter: String,
    last: Option<LastChunk>,
    next: Sequence,
    skip: Option<Sequence>,
    ahead: VecDeque<Stored>,
}

impl FeedReader {
    /// Opens a feed after a cursor, or at the oldest chunk that is kept. The message at sequence `skip` is passed over if it
    /// cannot be read, and so is what is missing before it.
    ///
    /// # Errors
    /// [`ReadError::CursorGone`] when the exchange has not this chunk at the cursor's sequence; [`ReadError::Exchange`].
    pub(crate) async fn open(
        exchange: Arc<dyn Exchange>,
        lane: Lane,
        after: Option<&FeedCursor>,
        skip: Option<Sequence>,
    ) -> Result<Self, ReadError> {
        let mut reader = Self {
            exchange,
            filter: format!("data.{lane}"),
            lane,
            last: None,
            next: 0,
            skip,
            ahead: VecDeque::new(),
        };
        if let Some(cursor) = after {
            // The cursor's own chunk, and with the same question those that follow.
            reader.ahead = reader.read_at(cursor.sequence, PAGE).await?.into();
            let found = reader.ahead.pop_front();
            let found = found.filter(|stored| stored.sequence == cursor.sequence);
            let chunk = found.and_then(FeedChunk::read);
            match chunk.filter(|chunk| chunk.cursor() == *cursor) {
                Some(chunk) => {
                    reader.last = Some(LastChunk::of(&chunk.manifest, chunk.digest));
                    reader.next = cursor.sequence.saturating_add(1);
                }
                None => return Err(ReadError::CursorGone(reader.describe_oldest(cursor).await?)),
            }
        }
        Ok(reader)
    }

    /// Returns the next chunk, or `None` if there is none now.
    ///
    /// # Errors
    /// [`ReadError::Unreadable`] at a message that is not the chunk that follows: the position stays before it.
    pub(crate) async fn next(&mut self) -> Result<Option<FeedChunk>, ReadError> {
        loop {
            if self.ahead.is_empty() {
                let page = self.read_at(self.next, PAGE).await?;
                self.ahead.extend(page);
            }
            let Some(stored) = self.ahead.front() else {
                return Ok(None);
            };
            let (sequence, is_skipped) = (stored.sequence, Some(stored.sequence) == self.skip);
            let Some(chunk) = FeedChunk::read(stored.clone()) else {
                if !is_skipped {
                    return Err(self.unreadable(sequence, "it is not a chunk"));
                }
                self.pass(sequence);
                // A number may be missing with it.
                self.last = None;
                continue;
            };
            let follows = check_follows(self.last.as_ref(), &self.lane, &chunk.manifest);
            if let Err(what) = follows {
                let is_foreign = chunk.manifest.lane() != self.lane;
                if !is_skipped {
                    return Err(self.unreadable(sequence, &what));
                }
                if is_foreign {
                    self.pass(sequence);
                    self.last = None;
                    continue;
                }
            }
            self.pass(sequence);
            self.last = Some(LastChunk::of(&chunk.manifest, chunk.digest));
            return Ok(Some(chunk));
        }
    }

    fn pass(&mut self, sequence: Sequence) {
        self.ahead.pop_front();
        self.next = sequence.saturating_add(1);
    }

    fn unreadable(&self, sequence: Sequence, what: &str) -> ReadError {
        ReadError::Unreadable(format!(
            "the message at sequence {sequence} of feed {} cannot be read: {what}; ask the bureau what it is, and read on \
             without it by adding &skip={sequence}",
            self.lane.feed
        ))
    }

    async fn describe_oldest(&self, cursor: &FeedCursor) -> Result<String, ReadError> {
        let gone = format!(
            "the exchange does not hold chunk {}.{} at sequence {}",
            cursor.epoch, cursor.number, cursor.sequence
        );
        let oldest = self.read_at(0, 1).await?.pop().and_then(FeedChunk::read);
        Ok(match oldest {
            Some(oldest) => format!(
                "{gone}; the oldest chunk that it holds is {}.{}: start again without `after`, and every row from there on is sent \
                 again",
                oldest.manifest.epoch, oldest.manifest.number
            ),
            None => format!("{gone}, and no other chunk of feed {}", self.lane.feed),
        })
    }

    async fn read_at(&self, from: Sequence, max: usize) -> Result<Vec<Stored>, exchange::Error> {
        self.exchange
            .read(Stream::Data, ReadFrom::Sequence(from), &self.filter, max)
            .await
    }
}

#[cfg(test)]
mod tests;
