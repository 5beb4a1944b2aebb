//! Replies: fetched, stored, settled after they are stored and never before.

use std::time::Duration;

use exchange::{Delivery, Settlement};
use futures_util::StreamExt as _;
use futures_util::stream;
use schemas::envelope::Envelope;
use schemas::reply::Reply;
use schemas::request::Request;
use store::requests::{Answered, Became, Filed, Filing};
use tokio_util::sync::CancellationToken;

use super::RequesterParts;
use super::answer::{Opened, open};

/// Replies of a fetch; each holds all rows of its answer in memory.
const FETCHED: usize = 16;

/// How many replies are opened beside the one that is being stored.
const OPENED: usize = 4;

/// How long until what waits for a key or a part is looked at again.
const WAITS: Duration = Duration::from_secs(10);

/// How long until what can never be stored is looked at again: an operator may have found out why.
const UNFIT: Duration = Duration::from_secs(3_600);

/// How long until what the store refuses is looked at again.
const REFUSED: Duration = Duration::from_secs(15);

/// Refused replies that are shown; the reason is as a rule the same.
const MOST_REFUSED: usize = 20;

/// Stores what was answered, until nothing is left.
pub(super) async fn store(parts: &RequesterParts, stop: &CancellationToken) -> Result<(), String> {
    while !stop.is_cancelled() {
        let fetched = parts.exchange.fetch_replies(&parts.recipient, FETCHED).await;
        let fetched = fetched.map_err(|error| error.to_string())?;
        if fetched.is_empty() {
            break;
        }
        let mut opened = stream::iter(fetched)
            .map(|delivery| async move { (open(parts, &delivery).await, delivery) })
            .buffered(OPENED);
        let mut trouble = None;
        while let Some((opened, delivery)) = opened.next().await {
            let how = match opened {
                Ok(Opened::Reply(answered)) => keep(parts, &answered, &delivery).await,
                Ok(Opened::Waits(why)) => Ok(put_off(parts, &delivery, &why, WAITS)),
                Ok(Opened::Unfit(why)) => Ok(put_off(parts, &delivery, &why, UNFIT)),
                Err(error) => Err(error),
            };
            let how = how.unwrap_or_else(|error| {
                trouble = Some(error);
                Settlement::Later(Duration::from_secs(1))
            });
            // What could not be settled comes again, and is known.
            if let Err(error) = parts.exchange.settle(&[delivery], how).await {
                trouble = Some(error.to_string());
            }
        }
        if let Some(error) = trouble {
            return Err(error);
        }
    }
    Ok(())
}

fn put_off(parts: &RequesterParts, delivery: &Delivery, why: &str, rest: Duration) -> Settlement {
    parts.board.requests(|status| status.wait(&delivery.subject, why));
    if parts.board.is_news("replies", why) {
        tracing::error!(
            subject = delivery.subject,
            why,
            "a reply is put off; it comes again"
        );
    }
    Settlement::Later(rest)
}

/// A reply is stored, by whomever: it waits for nothing any more.
fn well(parts: &RequesterParts, delivery: &Delivery) {
    let mut is_well = false;
    parts.board.requests(|status| {
        status.waits_no_more(&delivery.subject);
        is_well = status.put_off.is_none();
    });
    if is_well && let Some(met) = parts.board.over("replies") {
        tracing::info!(met, "no reply is put off any more");
    }
}

pub(super) async fn keep(
    parts: &RequesterParts,
    answered: &Answered,
    delivery: &Delivery,
) -> Result<Settlement, String> {
    let mut stored = parts.store.store_reply(answered).await;
    if matches!(stored, Ok(Became::Unknown)) {
        // Filed by another machine, or from a store that is gone: the exchange knows what was asked.
        match adopt(parts, &answered.reply).await? {
            Ok(()) => stored = parts.store.store_reply(answered).await,
            Err(why) => return Ok(put_off(parts, delivery, &why, UNFIT)),
        }
    }
    let id = answered.reply.id.to_string();
    let became = match stored {
        Ok(became) => became,
        // Names, tables or columns: only an operator here can help, and the next look is soon after a correction.
        Err(error) if error.kind == store::ErrorKind::Refused => {
            let why = error.to_string();
            show_refused(parts, &id, &why);
            return Ok(put_off(parts, delivery, &why, REFUSED));
        }
        Err(error) => return Err(error.to_string()),
    };
    parts.board.requests(|status| {
        status.refused.remove(&id);
    });
    Ok(match became {
        Became::Stored { rows, quarantined } => {
            parts.board.requests(|status| {
                status.replies += 1;
                status.rows += rows;
                status.rows_quarantined += quarantined;
                *status
                    .outcomes
                    .entry(answered.reply.outcome.name().to_owned())
                    .or_default() += 1;
            });
            well(parts, delivery);
            Settlement::Done
        }
        Became::Already => {
            well(parts, delivery);
            Settlement::Done
        }
        Became::Unknown => put_off(parts, delivery, "the store forgot the request", WAITS),
        Became::Contradicts { reason } => {
            show_refused(parts, &id, &reason);
            put_off(parts, delivery, &reason, UNFIT)
        }
    })
}

/// Shows that a reply waits until somebody acts, until it is stored.
fn show_refused(parts: &RequesterParts, id: &str, why: &str) {
    parts.board.requests(|status| {
        if status.refused.len() < MOST_REFUSED || status.refused.contains_key(id) {
            status.refused.insert(id.to_owned(), why.to_owned());
        }
    });
}

/// Keeps the request as the exchange has it.
async fn adopt(parts: &RequesterParts, reply: &Reply) -> Result<Result<(), String>, String> {
    let (request, _) = parts
        .exchange
        .request_status(&reply.recipient, &reply.id)
        .await
        .map_err(|error| error.to_string())?;
    let Some(stored) = request else {
        return Ok(Err("it answers a request that is not at the exchange".to_owned()));
    };
    let read = Envelope::decode(&stored.bytes).and_then(|envelope| {
        let request: Request = envelope.read()?;
        Ok((request, envelope.digest()))
    });
    let (request, digest) = match read {
        Ok(read) => read,
        Err(error) => return Ok(Err(format!("the request at the exchange: {error}"))),
    };
    if request.id != reply.id || request.recipient != reply.recipient {
        return Ok(Err(
            "the request at the exchange says that it is another one".to_owned()
        ));
    }
    let filing = Filing {
        request,
        digest,
        bytes: stored.bytes.to_vec(),
        exchanged_at: Some(stored.stored_at),
        outbox: None,
    };
    let filed = parts
        .store
        .file(&filing)
        .await
        .map_err(|error| error.to_string())?;
    Ok(match filed {
        Filed::Kept => Ok(()),
        Filed::Known(id) if id == reply.id => Ok(()),
        Filed::Known(id) | Filed::Contradicts(id) => {
            Err(format!("its idempotency key is another request's here: {id}"))
        }
    })
}
