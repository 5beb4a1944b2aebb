//! Reads a stream to its end. Pages are read directly, so that others do not notice and no message is acknowledged.

use std::ops::ControlFlow;
use std::time::Duration;

use exchange::port::ReadFrom;
use exchange::{AuditExchange, Stored};
use verification::StreamId;

use crate::ends::{EndOf, StreamEnd};
use crate::error::AuditError;

/// Messages per page. At 100 KB per message, a page has about 25 MB.
pub const PAGE: usize = 256;

/// How often a replica that lags is asked again, and after how long.
const RETRIES: u32 = 60;
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// How the read of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkEnd {
    /// At the end that the stream's leader reported, or by the visitor.
    Reached,
    /// At the last message; whether it is the stream's last one is not known.
    Unknown,
    /// Before the end that the leader reported.
    Missed {
        /// The leader's last sequence.
        end: u64,
    },
}

/// Passes every message of a stream that matches `filter` to `visit`, in the exchange's order, until it breaks or the end is
/// reached.
///
/// # Errors
/// [`AuditError`] from the exchange or from `visit`.
pub async fn walk(
    exchange: &dyn AuditExchange,
    EndOf { stream, end }: &EndOf,
    filter: &str,
    from: ReadFrom,
    mut visit: impl FnMut(Stored) -> Result<ControlFlow<()>, AuditError>,
) -> Result<WalkEnd, AuditError> {
    let mut from = from;
    loop {
        let page = next_page(exchange, stream, *end, filter, from).await?;
        let messages = match page {
            Page::Messages(messages) => messages,
            Page::End(end) => return Ok(end),
        };
        for message in messages {
            let is_after = matches!(end, StreamEnd::Sequence(end) if message.sequence > *end);
            if is_after {
                return Ok(WalkEnd::Reached);
            }
            from = ReadFrom::Sequence(message.sequence + 1);
            if visit(message)?.is_break() {
                return Ok(WalkEnd::Reached);
            }
        }
    }
}

/// The next messages of a stream, or how it ended.
#[derive(Debug)]
pub enum Page {
    /// Messages, at least one.
    Messages(Vec<Stored>),
    /// There are no more.
    End(WalkEnd),
}

/// Reads the next messages. An empty answer of a replica that lags is not the end.
///
/// # Errors
/// [`AuditError`] from the exchange.
pub async fn next_page(
    exchange: &dyn AuditExchange,
    StreamId { stream, party }: &StreamId,
    end: StreamEnd,
    filter: &str,
    from: ReadFrom,
) -> Result<Page, AuditError> {
    let failed = |source| AuditError::Exchange {
        stream: *stream,
        source,
    };
    let is_past = match (from, end) {
        (ReadFrom::Sequence(from), StreamEnd::Sequence(end)) => from > end,
        (_, end) => end == StreamEnd::Sequence(0),
    };
    if is_past {
        return Ok(Page::End(WalkEnd::Reached));
    }
    let mut retries = 0;
    let mut has_reached = false;
    loop {
        let page = exchange.read(*stream, from, filter, PAGE).await.map_err(failed)?;
        if !page.is_empty() {
            return Ok(Page::Messages(page));
        }
        let StreamEnd::Sequence(end) = end else {
            return Ok(Page::End(WalkEnd::Unknown));
        };
        if has_reached {
            return Ok(Page::End(WalkEnd::Reached));
        }
        // The replica has the last message, so it has the others too: what matches is read once more, then there is no more.
        let whole = format!("{stream}.{party}.>");
        let whole = if stream.token() == "control" {
            format!("{stream}.{party}")
        } else {
            whole
        };
        let last = exchange
            .read(*stream, ReadFrom::Sequence(end), &whole, 1)
            .await
            .map_err(failed)?;
        has_reached = !last.is_empty();
        if !has_reached {
            retries += 1;
            if retries > RETRIES {
                return Ok(Page::End(WalkEnd::Missed { end }));
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;
    use exchange::port::{Sequence, Stream};
    use exchange::{Published, Result, StreamState};
    use jiff::Timestamp;
    use schemas::name::PartyName;

    use super::*;

    /// A stream whose leader has ten messages, and which is read from a replica that gets one more with each read.
    struct Lagging {
        visible: AtomicU64,
    }

    #[async_trait]
    impl AuditExchange for Lagging {
        async fn last_audit(&self, _: &PartyName, _: &PartyName) -> Result<Option<Stored>> {
            Ok(None)
        }

        async fn publish_audit(
            &self,
            _: &PartyName,
            _: &PartyName,
            _: Bytes,
            _: Sequence,
        ) -> Result<Published> {
            Ok(Published::Conflict)
        }

        async fn parties(&self, _: Stream) -> Result<Vec<PartyName>> {
            Ok("insurer-a".parse().into_iter().collect())
        }

        async fn read(&self, _: Stream, from: ReadFrom, _: &str, _: usize) -> Result<Vec<Stored>> {
            let visible = self.visible.fetch_add(1, Ordering::Relaxed);
            let ReadFrom::Sequence(from) = from else {
                return Ok(Vec::new());
            };
            let stored = |sequence| Stored {
                subject: "data.insurer-a.setl".to_owned(),
                sequence,
                stored_at: Timestamp::UNIX_EPOCH,
                trace: None,
                bytes: Bytes::new(),
            };
            Ok((from..=visible.min(10)).map(stored).collect())
        }

        async fn stream_state(&self, _: Stream, _: &PartyName) -> Result<StreamState> {
            Ok(StreamState {
                name: "DATA_insurer-a".to_owned(),
                messages: 10,
                bytes: 0,
                max_bytes: None,
                first_sequence: 1,
                last_sequence: 10,
                first_stored_at: None,
                last_stored_at: None,
                leader: None,
                replicas: Vec::new(),
            })
        }
    }

    /// Trap: on a cluster a read from a replica that lags ends early and looks complete.
    #[tokio::test]
    async fn walk_lagging_replica_is_read_to_the_leaders_end() {
        let exchange = Lagging {
            visible: AtomicU64::new(8),
        };
        let ends = crate::ends::find_ends(&exchange, &[Stream::Data], &[], &mut Vec::new()).await;
        let end = ends.unwrap().remove(0);
        assert_eq!(end.end, StreamEnd::Sequence(10));
        let mut read = Vec::new();
        let ended = walk(
            &exchange,
            &end,
            "data.insurer-a.*",
            ReadFrom::Sequence(1),
            |message| {
                read.push(message.sequence);
                Ok(ControlFlow::Continue(()))
            },
        )
        .await
        .unwrap();
        assert_eq!((ended, read), (WalkEnd::Reached, (1..=10).collect()));
    }
}
