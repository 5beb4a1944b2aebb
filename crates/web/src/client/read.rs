//! Reading, fetching and settling.

use std::time::Duration;

use bytes::Bytes;
use exchange::port::{ReadFrom, Stream, filter_party, missing_party};
use exchange::{Delivery, Error, ErrorKind, Result, Settlement, Stored};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Inner;
use super::call::Call;
use crate::interface::body::{Ping, Settle, Settled, SettlementKind};
use crate::interface::path;

impl Inner {
    /// Measures one round trip to the exchange.
    pub(crate) async fn ping(&self) -> Result<Duration> {
        let begun = Instant::now();
        self.check().await?;
        Ok(begun.elapsed())
    }

    /// Asks whether the exchange answers; the state of the connection is the result.
    ///
    /// # Errors
    /// `Unauthenticated` also for the credential of another party: its first write would be denied, and its reads differ.
    pub(crate) async fn check(&self) -> Result<()> {
        let call = Call::json(path::PING.to_owned());
        let known: Ping = self.ask(&call).await?.json(&call)?;
        if known.party.as_str() == self.options.party {
            return Ok(());
        }
        let what = format!(
            "the gateway knows this credential as {}, not as {}; use the token or certificate of the latter",
            known.party, self.options.party
        );
        Err(call.error(ErrorKind::Unauthenticated, what))
    }

    /// Returns the last message of a resource.
    pub(crate) async fn last(&self, path: String) -> Result<Option<Stored>> {
        let call = Call::message(path);
        self.ask(&call).await?.message(&call)
    }

    /// Returns several messages.
    pub(crate) async fn list(&self, path: String) -> Result<Vec<Stored>> {
        let call = Call::messages(path);
        let messages = self.ask(&call).await?.messages(&call)?;
        Ok(messages
            .into_iter()
            .map(|message| message.into_stored())
            .collect())
    }

    /// Returns up to `max` messages of a stream.
    pub(crate) async fn replay(
        &self,
        stream: Stream,
        from: ReadFrom,
        filter: &str,
        max: usize,
    ) -> Result<Vec<Stored>> {
        if filter_party(filter).is_none() {
            return Err(Error::new(ErrorKind::Protocol, missing_party(stream, filter)));
        }
        if max == 0 {
            return Ok(Vec::new());
        }
        let from = match from {
            ReadFrom::Sequence(sequence) => format!("from={sequence}"),
            ReadFrom::Time(time) => format!("from_time={time}"),
        };
        let (stream, filter) = (stream.token(), escape(filter));
        self.list(format!(
            "/v1/streams/{stream}/messages?filter={filter}&{from}&max={max}"
        ))
        .await
    }

    /// Fetches up to `max` deliveries.
    pub(crate) async fn fetch(&self, path: &str, max: usize) -> Result<Vec<Delivery>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let call = Call::fetch(format!("{path}?max={max}"));
        let messages = self.ask(&call).await?.messages(&call)?;
        let deliveries: Option<Vec<Delivery>> = messages
            .into_iter()
            .map(|message| message.into_delivery())
            .collect();
        deliveries.ok_or_else(|| call.error(ErrorKind::Protocol, "a delivery has no token"))
    }

    /// Settles deliveries.
    pub(crate) async fn settle(&self, deliveries: &[Delivery], how: Settlement) -> Result<()> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let (settlement, delay_ms) = match how {
            Settlement::Ack => (SettlementKind::Ack, 0),
            Settlement::Nak(delay) => (
                SettlementKind::Nak,
                u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            ),
        };
        let settled = |delivery: &Delivery| Settled {
            subject: delivery.subject.clone(),
            sequence: delivery.sequence,
            token: delivery.token.clone(),
        };
        let body = Settle {
            settlement,
            delay_ms,
            deliveries: deliveries.iter().map(settled).collect(),
        };
        let json = serde_json::to_vec(&body)
            .map_err(|error| Error::new(ErrorKind::Protocol, format!("settling: {error}")))?;
        let call = Call::post(path::SETTLEMENTS.to_owned(), Bytes::from(json));
        let answer = self.ask(&call).await?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(call.error(ErrorKind::Protocol, format!("answered {}", answer.status)))
        }
    }

    /// Returns a JSON value.
    pub(crate) async fn json<T: DeserializeOwned>(&self, path: String) -> Result<T> {
        let call = Call::json(path);
        self.ask(&call).await?.json(&call)
    }
}

/// Escapes a filter: `>` is the only character of one that a URL does not take.
fn escape(filter: &str) -> String {
    filter
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replay_filter_is_escaped() {
        assert_eq!(escape("data.insurer-a.>"), "data.insurer-a.%3E");
        assert_eq!(escape("audit.bureau.*"), "audit.bureau.*");
        assert_eq!(escape("a&b=ä"), "a%26b%3D%C3%A4");
    }
}
