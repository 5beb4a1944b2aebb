//! Answers that were confirmed and are not stored any more: the store was restored from a backup, or replaced.
//!
//! The exchange keeps each confirmation for ever, and a reply that was settled is not delivered again. So each confirmation is
//! compared with the store once, and again after trouble.

use std::collections::BTreeSet;

use exchange::Delivery;
use exchange::port::{From, Sequence, Stream};
use schemas::request::RequestId;
use schemas::subject::Subject;

use super::RequesterParts;
use super::answer::{Opened, open};
use super::inbox::keep;

/// Confirmations that are compared at once.
const AT_ONCE: usize = 500;

/// What heals it.
pub const REFILL_ANSWERS: &str = "slacktide store refill-answers --config FILE";

/// How far confirmations were compared.
#[derive(Debug, Default)]
pub(super) struct Compared {
    next: Sequence,
    lost: BTreeSet<RequestId>,
}

/// Compares what was confirmed since, and what was lost before. Shows how many answers are lost.
pub(super) async fn compare(parts: &RequesterParts, compared: &mut Compared) -> Result<(), String> {
    let (ids, next) = confirmed(parts, compared.next).await?;
    let asked: Vec<RequestId> = compared.lost.iter().cloned().chain(ids).collect();
    let lost = match asked.is_empty() {
        true => Vec::new(),
        false => unanswered(parts, &asked).await?,
    };
    *compared = Compared {
        next,
        lost: lost.into_iter().collect(),
    };
    let count = compared.lost.len();
    let mut is_news = false;
    parts.board.requests(|status| {
        is_news = status.lost_answers == 0 && count > 0;
        status.lost_answers = count as u64;
    });
    if is_news {
        tracing::error!(
            answers = count,
            remedy = REFILL_ANSWERS,
            "answers were confirmed and are not stored: the store is behind its own confirmations"
        );
    }
    Ok(())
}

async fn unanswered(parts: &RequesterParts, ids: &[RequestId]) -> Result<Vec<RequestId>, String> {
    let left = parts.store.unanswered(&parts.recipient, ids).await;
    left.map_err(|error| error.to_string())
}

/// Some requests that were confirmed, from a place on, and the next place.
async fn confirmed(parts: &RequesterParts, next: Sequence) -> Result<(Vec<RequestId>, Sequence), String> {
    let filter = format!("confirm.{}.*", parts.recipient);
    let read = parts
        .exchange
        .read(Stream::Confirms, From::Sequence(next), &filter, AT_ONCE)
        .await
        .map_err(|error| error.to_string())?;
    let next = read.last().map_or(next, |last| last.sequence + 1);
    let id = |subject: &str| match subject.parse() {
        Ok(Subject::Confirm(_, id)) => Some(id),
        _ => None,
    };
    Ok((
        read.iter().filter_map(|stored| id(&stored.subject)).collect(),
        next,
    ))
}

/// What came of fetching lost answers again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefilledAnswers {
    /// Confirmations that were compared.
    pub compared: u64,
    /// Answers that were fetched and stored again.
    pub stored: u64,
    /// Requests whose answers are not stored, with the reason.
    pub left: Vec<(RequestId, String)>,
}

/// Fetches answers that were confirmed and are not stored, and stores them by the way of any other.
///
/// # Errors
/// What store or exchange answered, in words. What was stored until then stays.
pub async fn refill_answers(parts: &RequesterParts) -> Result<RefilledAnswers, String> {
    let (mut refilled, mut next) = (RefilledAnswers::default(), 0);
    loop {
        let (ids, after) = confirmed(parts, next).await?;
        if ids.is_empty() && after == next {
            return Ok(refilled);
        }
        (refilled.compared, next) = (refilled.compared + ids.len() as u64, after);
        for id in unanswered(parts, &ids).await? {
            match one(parts, &id).await? {
                Ok(()) => refilled.stored += 1,
                Err(why) => refilled.left.push((id, why)),
            }
        }
    }
}

async fn one(parts: &RequesterParts, id: &RequestId) -> Result<Result<(), String>, String> {
    let status = parts.exchange.request_status(&parts.recipient, id).await;
    let (_, reply) = status.map_err(|error| error.to_string())?;
    let Some(reply) = reply else {
        return Ok(Err(
            "its reply is not at the exchange any more: ask again".to_owned()
        ));
    };
    let delivery = Delivery {
        subject: reply.subject,
        sequence: reply.sequence,
        stored_at: reply.stored_at,
        attempt: 1,
        bytes: reply.bytes,
        token: String::new(),
    };
    let why = match open(parts, &delivery).await? {
        Opened::Reply(answered) => {
            keep(parts, &answered, &delivery).await?;
            if unanswered(parts, std::slice::from_ref(id)).await?.is_empty() {
                return Ok(Ok(()));
            }
            let status = parts.board.status().requests.unwrap_or_default();
            let refused = status.refused.get(&id.to_string()).cloned();
            refused.or(status.put_off).unwrap_or_default()
        }
        Opened::Waits(why) | Opened::Unfit(why) => why,
    };
    Ok(Err(why))
}
