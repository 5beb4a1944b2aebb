//! Follows the streams: each poll reads new messages of whole streams, never of single requests.
//!
//! A poll begins at the last message of each stream that was read, which must still exist. Otherwise the exchange was restored or
//! has removed it, and everything is read again.
//!
//! Any replica of a cluster answers a read, and one that lags ends early. So the first read of the replies is complete only when it
//! has as many messages as the stream's leader: a request whose reply is missing would be answered a second time.

use std::collections::BTreeMap;

use exchange::port::{ReadFrom, Stream};
use exchange::{Error, ErrorKind, Exchange, Result};
use jiff::Timestamp;
use schemas::name::PartyName;

use super::request_index::RequestIndex;

/// The maximum number of messages per page.
const PAGE: usize = 500;

/// The streams in reading order: outcomes before requests, so that a request with an outcome is never taken as pending.
const STREAMS: [(Stream, &str); 4] = [
    (Stream::Replies, ".*"),
    (Stream::Requests, ".*"),
    (Stream::Cancels, ".*"),
    (Stream::Approvals, ".*.*"),
];

/// A stream of one party.
type PartyStream = (Stream, PartyName);

/// How far each stream was read.
#[derive(Debug, Default)]
pub struct StreamFollower {
    last: BTreeMap<PartyStream, (u64, Timestamp)>,
    /// The messages of each stream of replies that were read so far; `None` once the first read was complete.
    replies: BTreeMap<PartyName, Option<u64>>,
}

/// The result of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollOutcome {
    /// The index is up to date.
    UpToDate,
    /// The streams were rewritten: start again with an empty index.
    Rewritten,
}

impl StreamFollower {
    /// Reads new messages into the index.
    ///
    /// # Errors
    /// Those of the exchange. Messages read before the error are in the index.
    pub async fn poll(&mut self, exchange: &dyn Exchange, index: &mut RequestIndex) -> Result<PollOutcome> {
        let parties = exchange.parties(Stream::Requests).await?;
        if !self.last.keys().all(|(_, party)| parties.contains(party)) {
            return Ok(PollOutcome::Rewritten);
        }
        for (stream, suffix) in STREAMS {
            for party in &parties {
                let filter = format!("{}.{party}{suffix}", stream.token());
                let party_stream = (stream, party.clone());
                if self.read(party_stream, &filter, exchange, index).await? == PollOutcome::Rewritten {
                    return Ok(PollOutcome::Rewritten);
                }
            }
        }
        Ok(PollOutcome::UpToDate)
    }

    /// Checks that the first read of a party's replies reached what their leader has.
    ///
    /// # Errors
    /// `Lagging` if it did not; the next poll continues.
    async fn check_complete(&mut self, party: &PartyName, exchange: &dyn Exchange) -> Result<()> {
        let Some(read) = self.replies.get(party).copied().flatten() else {
            return Ok(());
        };
        let messages = match exchange.stream_state(Stream::Replies, party).await {
            Ok(state) => state.messages,
            // The transport cannot ask the leader.
            Err(error) if error.kind == ErrorKind::Protocol => read,
            Err(error) => return Err(error),
        };
        if read < messages {
            let what = format!("the replies to {party} were read up to {read} of {messages}");
            return Err(Error::new(ErrorKind::Lagging, what));
        }
        self.replies.insert(party.clone(), None);
        Ok(())
    }

    async fn read(
        &mut self,
        party_stream: PartyStream,
        filter: &str,
        exchange: &dyn Exchange,
        index: &mut RequestIndex,
    ) -> Result<PollOutcome> {
        let stream = party_stream.0;
        let mut known = self.last.get(&party_stream).copied();
        loop {
            let last = self.last.get(&party_stream).copied();
            // The first page begins at the message that was read last.
            let from = known.map_or_else(
                || last.map_or(0, |(sequence, _)| sequence + 1),
                |(sequence, _)| sequence,
            );
            let page = exchange
                .read(stream, ReadFrom::Sequence(from), filter, PAGE)
                .await?;
            let mut page = page.iter();
            if let Some((sequence, stored_at)) = known.take() {
                let same = page
                    .next()
                    .is_some_and(|first| first.sequence == sequence && first.stored_at == stored_at);
                if !same {
                    return Ok(PollOutcome::Rewritten);
                }
            }
            let mut count = 0;
            for stored in page {
                count += 1;
                match stream {
                    Stream::Replies => index.add_reply(stored),
                    Stream::Requests => index.add_request(stored),
                    Stream::Cancels => index.add_cancel(stored),
                    _ => index.add_approval(stored),
                }
                self.last
                    .insert(party_stream.clone(), (stored.sequence, stored.stored_at));
            }
            if stream == Stream::Replies
                && let Some(read) = self.replies.entry(party_stream.1.clone()).or_insert(Some(0))
            {
                *read += count;
            }
            if count == 0 {
                if stream == Stream::Replies {
                    self.check_complete(&party_stream.1, exchange).await?;
                }
                return Ok(PollOutcome::UpToDate);
            }
        }
    }
}
