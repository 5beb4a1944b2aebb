//! Reads requests from the streams that the session's party may read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use exchange::port::{ReadFrom, Stream};
use exchange::{Exchange, Stored};
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use schemas::approval::Approval;
use schemas::name::{PartyName, RecipientName};
use schemas::request::RequestId;
use schemas::subject::Subject;

use super::query::Query;
use crate::access::Access;
use crate::request_messages::{Messages, Opened, RequestKeys, open};
use crate::site::PartyRole;

/// Requests that are read for one page.
pub(super) const LIMIT: usize = 500;

/// The time for all reads.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Requests that are read at once.
const AT_ONCE: usize = 16;

/// Messages of one page of a stream.
const PAGE: usize = 256;

/// Messages that are passed over to find the newest.
const MAX_PASSED: usize = 20_000;

/// Parts of an answer that are read.
const MAX_PARTS: usize = 20;

/// The periods before a time in which the newest requests are searched.
const WINDOWS: [SignedDuration; 6] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(7 * 24),
    SignedDuration::from_hours(30 * 24),
    SignedDuration::from_hours(365 * 24),
    SignedDuration::from_hours(20 * 365 * 24),
];

/// The newest requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) requests: Vec<Arc<Messages>>,
    /// The recipients whose requests the party may read.
    pub(super) recipients: Vec<PartyName>,
    /// Where the next page begins.
    pub(super) older: Option<String>,
    pub(super) error: Option<String>,
}

/// One request with everything of it.
#[derive(Debug, Clone)]
pub(super) struct One {
    pub(super) messages: Arc<Messages>,
    /// The officers' decisions; `None` if the party may not read them.
    pub(super) approvals: Option<Vec<Opened<Approval>>>,
    /// The parts that the reply names.
    pub(super) parts: Vec<PartFacts>,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartFacts {
    pub(super) number: u32,
    /// When it was stored, and its bytes; `None` if it is missing.
    pub(super) stored: Option<(Timestamp, u64)>,
    /// Whether it is the part that the reply names.
    pub(super) is_named: bool,
}

fn late() -> String {
    format!("the exchange did not answer within {} s", TIMEOUT.as_secs())
}

/// Reads the newest requests of the choice.
pub(super) async fn list(access: &Access, query: &Query, now: Timestamp) -> Listing {
    let mut listing = Listing::default();
    let read = async {
        let found = match access.role {
            PartyRole::Recipient => own_ids(access, query, now, &mut listing).await?,
            PartyRole::Bureau | PartyRole::Auditor => newest(access, query, now, &mut listing).await?,
        };
        let read = found
            .into_iter()
            .map(|(recipient, id, request)| read_one(access, recipient, id, request));
        let mut read = stream::iter(read).buffered(AT_ONCE);
        while let Some(messages) = read.next().await {
            listing.requests.push(messages?);
        }
        Ok::<(), exchange::Error>(())
    };
    match tokio::time::timeout(TIMEOUT, read).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => listing.error = Some(error.to_string()),
        Err(_) => listing.error = Some(late()),
    }
    let filed = |messages: &Arc<Messages>| messages.request.as_ref().map(|request| request.stored_at);
    listing
        .requests
        .sort_by_key(|messages| std::cmp::Reverse(filed(messages)));
    listing
}

/// A request to read: the message itself if it is known.
type Found = (RecipientName, RequestId, Option<Stored>);

/// A recipient's own: the stream's index has the ids, which begin with the day.
async fn own_ids(
    access: &Access,
    query: &Query,
    now: Timestamp,
    listing: &mut Listing,
) -> exchange::Result<Vec<Found>> {
    listing.recipients = vec![access.party.clone()];
    let Ok(recipient) = RecipientName::new(access.party.as_str()) else {
        return Ok(Vec::new());
    };
    let ids = access.exchange.request_ids(&recipient, Stream::Requests).await?;
    let (ids, older) = newest_ids(ids, query, now);
    listing.older = older;
    Ok(ids.into_iter().map(|id| (recipient.clone(), id, None)).collect())
}

/// PURE: the newest ids of the choice, and where the next page begins. The day of an id is the filer's: one day more is read.
fn newest_ids(ids: Vec<RequestId>, query: &Query, now: Timestamp) -> (Vec<RequestId>, Option<String>) {
    let zone = jiff::tz::TimeZone::UTC;
    let first_day = query.max_age().and_then(|age| {
        let begin = now.checked_sub(age + SignedDuration::from_hours(24)).ok()?;
        Some(begin.to_zoned(zone).date())
    });
    let before: Option<RequestId> = query.before.parse().ok();
    let is_chosen = |id: &RequestId| {
        let is_young = first_day.is_none_or(|first| id.day().is_some_and(|day| day >= first));
        is_young && before.as_ref().is_none_or(|before| id < before)
    };
    let mut chosen: Vec<RequestId> = ids.into_iter().filter(is_chosen).collect();
    let rest = chosen.len().saturating_sub(LIMIT);
    let newest = chosen.split_off(rest);
    let older = (rest > 0)
        .then(|| newest.first().map(ToString::to_string))
        .flatten();
    (newest, older)
}

/// The newest of all recipients, by the time at which the exchange stored them.
async fn newest(
    access: &Access,
    query: &Query,
    now: Timestamp,
    listing: &mut Listing,
) -> exchange::Result<Vec<Found>> {
    let exchange = access.exchange.as_ref();
    listing.recipients = exchange.parties(Stream::Requests).await?;
    let end = query.before.parse().unwrap_or(Timestamp::MAX);
    let begin = query.max_age().and_then(|age| now.checked_sub(age).ok());
    let (mut found, mut is_more) = (Vec::new(), false);
    for recipient in &listing.recipients {
        if query
            .recipient
            .as_ref()
            .is_some_and(|chosen| chosen.as_str() != recipient.as_str())
        {
            continue;
        }
        let (newest, more) = newest_of(exchange, recipient, begin, end, now).await?;
        is_more |= more;
        found.extend(newest);
    }
    found.sort_by_key(|stored| std::cmp::Reverse(stored.stored_at));
    is_more |= found.len() > LIMIT;
    found.truncate(LIMIT);
    if is_more {
        listing.older = found.last().map(|oldest| oldest.stored_at.to_string());
    }
    let request = |stored: Stored| match stored.subject.parse() {
        Ok(Subject::Request(recipient, id)) => Some((recipient, id, Some(stored))),
        _ => None,
    };
    Ok(found.into_iter().filter_map(request).collect())
}

/// The newest requests of one recipient, stored from `begin` on and before `end`; and whether there are older ones.
async fn newest_of(
    exchange: &dyn Exchange,
    recipient: &PartyName,
    begin: Option<Timestamp>,
    end: Timestamp,
    now: Timestamp,
) -> exchange::Result<(Vec<Stored>, bool)> {
    let filter = format!("request.{recipient}.*");
    for (index, window) in WINDOWS.into_iter().enumerate() {
        let from = end.min(now).checked_sub(window).unwrap_or(Timestamp::MIN);
        let is_last = index + 1 == WINDOWS.len() || begin.is_some_and(|begin| begin >= from);
        let from = begin.map_or(from, |begin| begin.max(from));
        let (newest, passed) = window_of(exchange, &filter, from, end).await?;
        if newest.len() >= LIMIT || is_last {
            let is_more = passed > newest.len();
            return Ok((newest, is_more));
        }
    }
    Ok((Vec::new(), false))
}

/// The last messages of a period, and how many it has.
async fn window_of(
    exchange: &dyn Exchange,
    filter: &str,
    from: Timestamp,
    end: Timestamp,
) -> exchange::Result<(Vec<Stored>, usize)> {
    let (mut newest, mut passed) = (VecDeque::new(), 0);
    let mut next = ReadFrom::Time(from);
    while passed < MAX_PASSED {
        let page = exchange.read(Stream::Requests, next, filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        next = ReadFrom::Sequence(last.sequence + 1);
        let is_end = last.stored_at >= end;
        for message in page.into_iter().filter(|message| message.stored_at < end) {
            passed += 1;
            newest.push_back(message);
            if newest.len() > LIMIT {
                newest.pop_front();
            }
        }
        if is_end {
            break;
        }
    }
    Ok((newest.into(), passed))
}

async fn read_one(
    access: &Access,
    recipient: RecipientName,
    id: RequestId,
    request: Option<Stored>,
) -> exchange::Result<Arc<Messages>> {
    let settled = &access.console.records().requests;
    if let Some(known) = settled.get(&access.party, &recipient, &id) {
        return Ok(known);
    }
    let keys = RequestKeys::of(&access.trust, &recipient);
    let read = Messages::read(access.exchange.as_ref(), &keys, &recipient, &id, request).await?;
    let read = Arc::new(read);
    settled.note(&access.party, &read);
    Ok(read)
}

/// Reads everything of one request.
pub(super) async fn one(access: &Access, recipient: RecipientName, id: RequestId) -> Result<One, String> {
    let read = async {
        let exchange = access.exchange.as_ref();
        let messages = read_one(access, recipient.clone(), id.clone(), None).await?;
        let keys = RequestKeys::of(&access.trust, &recipient);
        let approvals = match access.role {
            PartyRole::Recipient => None,
            PartyRole::Bureau | PartyRole::Auditor => {
                let stored = approvals(exchange, access.role, &recipient, &id).await?;
                let opened = stored.into_iter().filter_map(|stored| {
                    let (message, digest) = open::<Approval>(&stored.bytes, keys.bureau()).ok()?;
                    Some(Opened {
                        message,
                        digest,
                        stored_at: stored.stored_at,
                    })
                });
                Some(opened.collect())
            }
        };
        let parts = parts(exchange, &messages).await?;
        Ok::<One, exchange::Error>(One {
            messages,
            approvals,
            parts,
        })
    };
    match tokio::time::timeout(TIMEOUT, read).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(late()),
    }
}

/// The officers' decisions. The bureau has an operation for them, the auditor reads the stream.
async fn approvals(
    exchange: &dyn Exchange,
    role: PartyRole,
    recipient: &RecipientName,
    id: &RequestId,
) -> exchange::Result<Vec<Stored>> {
    if role == PartyRole::Bureau {
        return exchange.approvals(recipient, id).await;
    }
    let filter = format!("approval.{recipient}.{id}.*");
    exchange
        .read(Stream::Approvals, ReadFrom::Sequence(1), &filter, PAGE)
        .await
}

/// The parts of the answer, compared with the digests in the reply.
async fn parts(exchange: &dyn Exchange, messages: &Messages) -> exchange::Result<Vec<PartFacts>> {
    let Some((attempt, reply)) = messages
        .reply
        .as_ref()
        .and_then(|reply| Some((reply.message.attempt?, &reply.message)))
    else {
        return Ok(Vec::new());
    };
    let mut parts = Vec::new();
    for (number, digest) in (1_u32..).zip(reply.outcome.parts()).take(MAX_PARTS) {
        let stored = exchange
            .part(&messages.recipient, &messages.id, attempt, number)
            .await?;
        let is_named = stored.as_ref().is_some_and(|stored| {
            let envelope = schemas::envelope::Envelope::decode(&stored.bytes);
            envelope.is_ok_and(|envelope| envelope.digest() == *digest)
        });
        parts.push(PartFacts {
            number,
            stored: stored.map(|stored| (stored.stored_at, stored.bytes.len() as u64)),
            is_named,
        });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(before: &str, age: &'static str) -> Query {
        Query {
            id: None,
            recipient: None,
            state: "",
            kind: String::new(),
            age,
            before: before.to_owned(),
            page: 1,
        }
    }

    #[test]
    fn requests_newest_ids_have_a_way_to_the_older_ones() {
        let id = |number: usize| {
            format!("202601{:02}-{number:08}", 1 + number / 100)
                .parse()
                .unwrap()
        };
        let ids: Vec<RequestId> = (0..1_200).map(id).collect();
        let now = "2026-01-31T08:00:00Z".parse().unwrap();
        let (first, older) = newest_ids(ids.clone(), &query("", "all"), now);
        assert_eq!((first.len(), first[499].clone()), (500, ids[1_199].clone()));
        let older = older.unwrap();
        assert_eq!(older, ids[700].to_string());
        let (second, older) = newest_ids(ids.clone(), &query(&older, "all"), now);
        assert_eq!(second[499], ids[699]);
        let (third, older) = newest_ids(ids.clone(), &query(&older.unwrap(), "all"), now);
        assert_eq!((third.len(), older), (200, None));
        let (young, _) = newest_ids(ids, &query("", "1d"), "2026-01-13T08:00:00Z".parse().unwrap());
        assert!(
            young
                .iter()
                .all(|id| id.day() >= Some(jiff::civil::date(2026, 1, 11)))
        );
    }
}
