//! Finds confirmed answers that the store lost, because it was restored from a backup or replaced.
//!
//! The exchange keeps each confirmation permanently and does not redeliver a settled reply. So each confirmation is
//! compared with the store once, and again after an error.

use std::collections::BTreeSet;

use exchange::Delivery;
use exchange::port::{ReadFrom, Sequence, Stream};
use schemas::request::RequestId;
use schemas::subject::Subject;

use super::RequesterParts;
use super::answer::{Opened, open};
use super::inbox::store_reply;
use crate::error::StepError;

/// The number of confirmations compared in one step.
const AT_ONCE: usize = 500;

/// The command that repairs the store.
pub const REFILL_ANSWERS: &str = "slacktide store refill-answers --config FILE";

/// The progress of the comparison.
#[derive(Debug, Default)]
pub(super) struct ConfirmationScan {
    next: Sequence,
    lost: BTreeSet<RequestId>,
}

/// Compares new confirmations and known lost answers with the store. Shows the number of lost answers.
pub(super) async fn compare(
    parts: &RequesterParts,
    compared: &mut ConfirmationScan,
) -> Result<(), StepError> {
    let (ids, next) = confirmed(parts, compared.next).await?;
    let asked: Vec<RequestId> = compared.lost.iter().cloned().chain(ids).collect();
    let lost = match asked.is_empty() {
        true => Vec::new(),
        false => unanswered(parts, &asked).await?,
    };
    *compared = ConfirmationScan {
        next,
        lost: lost.into_iter().collect(),
    };
    let count = compared.lost.len();
    let mut is_news = false;
    parts.registry.requests(|status| {
        is_news = status.lost_answers == 0 && count > 0;
        status.lost_answers = count as u64;
    });
    if is_news {
        tracing::error!(
            answers = count,
            remedy = REFILL_ANSWERS,
            "the store lost confirmed answers"
        );
    }
    Ok(())
}

async fn unanswered(parts: &RequesterParts, ids: &[RequestId]) -> Result<Vec<RequestId>, StepError> {
    Ok(parts.store.unanswered(&parts.recipient, ids).await?)
}

/// Returns some confirmed requests from a sequence on, and the next sequence.
async fn confirmed(parts: &RequesterParts, next: Sequence) -> Result<(Vec<RequestId>, Sequence), StepError> {
    let filter = format!("confirm.{}.*", parts.recipient);
    let read = parts
        .exchange
        .read(Stream::Confirms, ReadFrom::Sequence(next), &filter, AT_ONCE)
        .await?;
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

/// The result of fetching lost answers again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefilledAnswers {
    /// Confirmations compared.
    pub compared: u64,
    /// Answers fetched and stored again.
    pub stored: u64,
    /// Requests whose answers are not stored, with the reason.
    pub left: Vec<(RequestId, String)>,
}

/// Fetches and stores confirmed answers that are not stored, as for any reply.
///
/// # Errors
/// The store's or the exchange's error. Answers stored until then stay.
pub async fn refill_answers(parts: &RequesterParts) -> Result<RefilledAnswers, StepError> {
    let (mut refilled, mut next) = (RefilledAnswers::default(), 0);
    loop {
        let (ids, after) = confirmed(parts, next).await?;
        if ids.is_empty() && after == next {
            return Ok(refilled);
        }
        (refilled.compared, next) = (refilled.compared + ids.len() as u64, after);
        for id in unanswered(parts, &ids).await? {
            match refill_one(parts, &id).await? {
                None => refilled.stored += 1,
                Some(why) => refilled.left.push((id, why)),
            }
        }
    }
}

/// Fetches and stores one answer. Returns why it is not stored; `None` if it is.
async fn refill_one(parts: &RequesterParts, id: &RequestId) -> Result<Option<String>, StepError> {
    let (_, reply) = parts.exchange.request_status(&parts.recipient, id).await?;
    let Some(reply) = reply else {
        let why = "its reply is no longer at the exchange: file the request again";
        return Ok(Some(why.to_owned()));
    };
    let delivery = Delivery {
        subject: reply.subject,
        sequence: reply.sequence,
        stored_at: reply.stored_at,
        attempt: 1,
        trace: reply.trace,
        bytes: reply.bytes,
        token: String::new(),
    };
    let why = match open(parts, &delivery).await? {
        Opened::Reply(received) => {
            store_reply(parts, &received, &delivery).await?;
            if unanswered(parts, std::slice::from_ref(id)).await?.is_empty() {
                return Ok(None);
            }
            let status = parts.registry.status().requests.unwrap_or_default();
            let refused = status.refused.get(&id.to_string()).cloned();
            refused.or(status.deferred).unwrap_or_default()
        }
        Opened::Waits(why) | Opened::Unfit(why) => why,
    };
    Ok(Some(why))
}
