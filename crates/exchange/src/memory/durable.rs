//! What one recipient fetched and did not settle.

use std::collections::HashMap;
use std::time::Duration;

use schemas::name::RecipientName;
use tokio::time::Instant;

use crate::delivery::{Delivery, Settlement};
use crate::outcome::Stored;
use crate::port::Sequence;

#[derive(Default)]
pub(super) struct Durable {
    delivered: HashMap<Sequence, Delivered>,
}

struct Delivered {
    attempt: u64,
    /// When it comes again; none: it is settled.
    due: Option<Instant>,
}

impl Durable {
    /// Whether a message was delivered before.
    pub(super) fn knows(&self, sequence: Sequence) -> bool {
        self.delivered.contains_key(&sequence)
    }

    /// Up to `max` of these messages that are due.
    pub(super) fn fetch<'a>(
        &mut self,
        messages: impl Iterator<Item = &'a Stored>,
        max: usize,
        ack_wait: Duration,
        token: impl Fn(Sequence) -> Token,
    ) -> Vec<Delivery> {
        let now = Instant::now();
        let mut some = Vec::new();
        for stored in messages {
            if some.len() >= max {
                break;
            }
            let before = self.delivered.get(&stored.sequence);
            let due = before.is_none_or(|before| before.due.is_some_and(|due| due <= now));
            if !due {
                continue;
            }
            let attempt = before.map_or(0, |before| before.attempt) + 1;
            let delivered = Delivered {
                attempt,
                due: Some(now + ack_wait),
            };
            self.delivered.insert(stored.sequence, delivered);
            some.push(Delivery {
                subject: stored.subject.clone(),
                sequence: stored.sequence,
                stored_at: stored.stored_at,
                attempt,
                bytes: stored.bytes.clone(),
                token: token(stored.sequence).to_string(),
            });
        }
        some
    }

    /// Settles, unless it is settled already.
    pub(super) fn settle(&mut self, sequence: Sequence, how: Settlement) {
        let Some(delivered) = self.delivered.get_mut(&sequence) else {
            return;
        };
        delivered.due = match how {
            Settlement::Done => None,
            Settlement::Later(delay) => delivered.due.map(|_| Instant::now() + delay),
        };
    }
}

/// Names a delivery.
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
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let stream = parts.next()?;
        Some(Self {
            stream: ["data", "reply"].into_iter().find(|known| *known == stream)?,
            recipient: RecipientName::new(parts.next()?).ok()?,
            sequence: parts.next()?.parse().ok()?,
        })
    }
}
