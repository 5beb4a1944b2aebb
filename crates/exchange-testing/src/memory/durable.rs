//! The durable consumer of one recipient: deliveries and their settlement.

use std::collections::HashMap;
use std::time::Duration;

use schemas::name::RecipientName;
use tokio::time::Instant;

use exchange::delivery::{Delivery, Settlement};
use exchange::outcome::Stored;
use exchange::port::Sequence;

#[derive(Default)]
pub(super) struct Durable {
    delivered: HashMap<Sequence, Delivered>,
}

struct Delivered {
    attempt: u64,
    /// When it is redelivered; `None` if it is settled.
    due: Option<Instant>,
}

impl Durable {
    /// Returns whether a message was delivered before.
    pub(super) fn is_delivered(&self, sequence: Sequence) -> bool {
        self.delivered.contains_key(&sequence)
    }

    /// Delivers up to `max` of these messages that are due.
    pub(super) fn fetch<'a>(
        &mut self,
        messages: impl Iterator<Item = &'a Stored>,
        max: usize,
        ack_wait: Duration,
        token: impl Fn(Sequence) -> Token,
    ) -> Vec<Delivery> {
        let now = Instant::now();
        let mut deliveries = Vec::new();
        for stored in messages {
            if deliveries.len() >= max {
                break;
            }
            let previous = self.delivered.get(&stored.sequence);
            let is_due = previous.is_none_or(|previous| previous.due.is_some_and(|due| due <= now));
            if !is_due {
                continue;
            }
            let attempt = previous.map_or(0, |previous| previous.attempt) + 1;
            let delivered = Delivered {
                attempt,
                due: Some(now + ack_wait),
            };
            self.delivered.insert(stored.sequence, delivered);
            deliveries.push(Delivery {
                subject: stored.subject.clone(),
                sequence: stored.sequence,
                stored_at: stored.stored_at,
                attempt,
                trace: stored.trace,
                bytes: stored.bytes.clone(),
                token: token(stored.sequence).to_string(),
            });
        }
        deliveries
    }

    /// Settles a delivery, unless it is already settled.
    pub(super) fn settle(&mut self, sequence: Sequence, settlement: Settlement) {
        let Some(delivered) = self.delivered.get_mut(&sequence) else {
            return;
        };
        delivered.due = match settlement {
            Settlement::Ack => None,
            Settlement::Nak(delay) => delivered.due.map(|_| Instant::now() + delay),
        };
    }
}

/// Identifies a delivery.
pub(super) struct Token {
    pub(super) stream: &'static str,
    pub(super) recipient: RecipientName,
    pub(super) sequence: Sequence,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.stream, self.recipient, self.sequence)
    }
}

impl Token {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let stream = parts.next()?;
        Some(Self {
            stream: ["data", "reply"].into_iter().find(|known| *known == stream)?,
            recipient: RecipientName::new(parts.next()?).ok()?,
            sequence: parts.next()?.parse().ok()?,
        })
    }
}
