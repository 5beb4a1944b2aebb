//! Pulling from a durable consumer, and settling.
//!
//! The consumer is the administrator's: nothing here creates, changes or reads it, except
//! `is_drained`. A pull asks for what is there now and waits for nothing (`no_wait`), and it is
//! bounded in messages, bytes and time: a pull whose answer is lost must not hang.

use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use exchange::{Delivery, Error, ErrorKind, Result, Settlement};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::get::trace_of;
use crate::refusal::Refusal;
use crate::wire::{Wire, read};

/// Maximum bytes of one pull; above the maximum message size, or such a message would never be delivered.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Concurrent settlements that wait for their confirmation.
const SETTLE_AT_ONCE: usize = 64;

/// Timeout of a settlement's confirmation. A lost one only costs a redelivery.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(5);

/// The state of a consumer.
#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    num_pending: u64,
    error: Option<Refusal>,
}

impl Wire {
    /// Up to `max` messages that are there now.
    pub(crate) async fn pull(&self, stream: &str, consumer: &str, max: usize) -> Result<Vec<Delivery>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let question = self.api(&format!("CONSUMER.MSG.NEXT.{stream}.{consumer}"));
        let body = json!({"batch": max, "max_bytes": MOST_BYTES, "no_wait": true});
        let answers = self.gather(&question, body.to_string().into(), max).await?;
        // Without a message: 408 and 409 report that the limits of the consumer are reached, or that its leader changes.
        let messages = answers.taken(&question, &[404, 408, 409])?;
        messages.into_iter().map(delivery).collect()
    }

    /// Whether the consumer has handed out all that it has.
    pub(crate) async fn is_drained(&self, stream: &str, consumer: &str) -> Result<bool> {
        let question = self.api(&format!("CONSUMER.INFO.{stream}.{consumer}"));
        let answer = self.ask(&question, None, Bytes::new()).await?;
        let info: Info = read(&question, &answer)?;
        match info.error {
            Some(refusal) => Err(refusal.error(&question)),
            None => Ok(info.num_pending == 0),
        }
    }

    /// Settles and waits for each confirmation. The token is the subject of the
    /// acknowledgement, so deliveries of an earlier connection are settled just as well.
    ///
    /// A server that was killed may have forgotten that it delivered a message: it answers
    /// nothing then, and delivers it again. So the wait is short, the others are settled all
    /// the same, and what is not confirmed is `Unknown`, which is harmless.
    pub(crate) async fn settle(&self, deliveries: &[Delivery], how: Settlement) -> Result<()> {
        let word = match how {
            Settlement::Ack => Bytes::from_static(b"+ACK"),
            Settlement::Nak(delay) => later(delay),
        };
        // Checked, because they are published to: callers treat a token as data.
        deliveries
            .iter()
            .try_for_each(|delivery| token(&delivery.token).map(|_| ()))?;
        let timeout = self.options.timeout.min(CONFIRMED_WITHIN);
        let tokens: Vec<String> = deliveries.iter().map(|delivery| delivery.token.clone()).collect();
        let work = tokens.into_iter().map(|token| {
            let word = word.clone();
            async move { self.ask_within(timeout, &token, None, word).await.map(|_| ()) }
        });
        let confirmed: Vec<Result<()>> = stream::iter(work)
            .buffer_unordered(SETTLE_AT_ONCE)
            .collect()
            .await;
        confirmed.into_iter().collect()
    }
}

fn later(delay: Duration) -> Bytes {
    let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    format!("-NAK {{\"delay\": {nanos}}}").into()
}

/// The delivery's fields in the subject of its acknowledgement.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    attempt: u64,
    sequence: u64,
    stored_at: Timestamp,
}

/// `$JS.ACK.<stream>.<consumer>.<attempt>.<sequence>.<consumer sequence>.<nanoseconds>.<pending>`,
/// or with a domain and an account's hash before the stream and maybe a token at the end.
fn token(text: &str) -> Result<Token> {
    let odd = || {
        Error::new(
            ErrorKind::Protocol,
            format!("{text:?} is not an acknowledgement subject of JetStream"),
        )
    };
    let tokens: Vec<&str> = text.split('.').collect();
    let from = match (tokens.as_slice(), tokens.len()) {
        (["$JS", "ACK", ..], 9) => 4,
        (["$JS", "ACK", ..], 11 | 12) => 6,
        _ => return Err(odd()),
    };
    let number = |at: usize| {
        tokens
            .get(from + at)
            .and_then(|t| t.parse::<u64>().ok())
            .ok_or_else(odd)
    };
    let stored_at = Timestamp::from_nanosecond(i128::from(number(3)?)).map_err(|_| odd())?;
    Ok(Token {
        attempt: number(0)?,
        sequence: number(1)?,
        stored_at,
    })
}

fn delivery(message: Message) -> Result<Delivery> {
    let reply = message.reply.map(|reply| reply.to_string()).unwrap_or_default();
    let Token {
        attempt,
        sequence,
        stored_at,
    } = token(&reply)?;
    Ok(Delivery {
        subject: message.subject.to_string(),
        sequence,
        stored_at,
        attempt,
        trace: message.headers.as_ref().and_then(trace_of),
        bytes: message.payload,
        token: reply,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_acknowledgement_subject_are_read() {
        let short = token("$JS.ACK.DATA.insurer-a.2.17.3.1700000000000000001.4").unwrap();
        assert_eq!((short.attempt, short.sequence), (2, 17));
        let long = token("$JS.ACK._.hash.DATA.insurer-a.2.17.3.1700000000000000001.4.tok").unwrap();
        assert_eq!(short, long);
    }

    #[test]
    fn settle_foreign_token_is_refused() {
        for bad in [
            "",
            "data.insurer-a.setl",
            "$JS.API.STREAM.DELETE.DATA",
            "$JS.ACK.a.b.c.d.e.f.g",
        ] {
            assert!(token(bad).is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn pull_nak_delay_is_in_nanoseconds() {
        assert_eq!(later(Duration::from_millis(5)), "-NAK {\"delay\": 5000000}");
    }
}
