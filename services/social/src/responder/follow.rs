//! Follows the streams: each look reads what is new, and no request is asked for by itself.
//!
//! A look begins at the last message of each stream that was read, which has to be there still. If it is
//! not, the exchange was restored or has retired it, and everything is read anew.

use std::collections::BTreeMap;

use exchange::port::{From, Stream};
use exchange::{Exchange, Result};
use jiff::Timestamp;
use schemas::name::PartyName;

use super::book::Book;

/// Messages in one go.
const PAGE: usize = 500;

/// In this order: an outcome before its request, so that a request that has one is never taken for open.
const STREAMS: [(Stream, &str); 4] = [
    (Stream::Replies, ".*"),
    (Stream::Requests, ".*"),
    (Stream::Cancels, ".*"),
    (Stream::Approvals, ".*.*"),
];

/// A stream of one party.
type Place = (Stream, PartyName);

/// How far each stream was read.
#[derive(Debug, Default)]
pub struct Follow {
    last: BTreeMap<Place, (u64, Timestamp)>,
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// The book is up to date.
    Read,
    /// The streams are not what was read before: begin anew, with an empty book.
    Rewritten,
}

impl Follow {
    /// Reads what is new into the book.
    ///
    /// # Errors
    /// Those of the exchange; what was read up to there is in the book.
    pub async fn round(&mut self, exchange: &dyn Exchange, book: &mut Book) -> Result<Round> {
        let parties = exchange.parties(Stream::Requests).await?;
        if !self.last.keys().all(|(_, party)| parties.contains(party)) {
            return Ok(Round::Rewritten);
        }
        for (stream, behind) in STREAMS {
            for party in &parties {
                let filter = format!("{}.{party}{behind}", stream.token());
                let place = (stream, party.clone());
                if self.read(place, &filter, exchange, book).await? == Round::Rewritten {
                    return Ok(Round::Rewritten);
                }
            }
        }
        Ok(Round::Read)
    }

    async fn read(
        &mut self,
        place: Place,
        filter: &str,
        exchange: &dyn Exchange,
        book: &mut Book,
    ) -> Result<Round> {
        let stream = place.0;
        let mut known = self.last.get(&place).copied();
        loop {
            let last = self.last.get(&place).copied();
            // The first page begins at the message that was read last.
            let from = known.map_or_else(
                || last.map_or(0, |(sequence, _)| sequence + 1),
                |(sequence, _)| sequence,
            );
            let page = exchange.read(stream, From::Sequence(from), filter, PAGE).await?;
            let mut page = page.iter();
            if let Some((sequence, stored_at)) = known.take() {
                let same = page
                    .next()
                    .is_some_and(|first| first.sequence == sequence && first.stored_at == stored_at);
                if !same {
                    return Ok(Round::Rewritten);
                }
            }
            let mut count = 0;
            for stored in page {
                count += 1;
                match stream {
                    Stream::Replies => book.reply(stored),
                    Stream::Requests => book.request(stored),
                    Stream::Cancels => book.cancel(stored),
                    _ => book.approval(stored),
                }
                self.last
                    .insert(place.clone(), (stored.sequence, stored.stored_at));
            }
            if count == 0 {
                return Ok(Round::Read);
            }
        }
    }
}
