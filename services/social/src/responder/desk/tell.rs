//! Tells recipients how their requests stand, a bounded number at each look.

use std::sync::Arc;

use bytes::Bytes;
use exchange::Exchange;
use jiff::Timestamp;
use requests::queue::Key;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::progress::{Progress, Waiting};
use schemas::sign::{PublicKey, SigningKey};

use super::super::telling::{Told, Worth, trail, worth};
use super::Desk;

/// Messages at each look. What nobody waits for is told later, or was answered by then.
const MOST: usize = 200;

struct Letter {
    exchange: Arc<dyn Exchange>,
    trusted: Vec<PublicKey>,
    signing: Arc<SigningKey>,
    instance: String,
    key: Key,
    request: Digest,
    state: Waiting,
    place: Option<u64>,
    forecast: Option<Timestamp>,
    told: Option<Told>,
}

impl Desk {
    pub(super) fn tell(&mut self) {
        let room = MOST.saturating_sub(self.tells.len());
        let mut due: Vec<(Worth, Option<u64>, Key)> = Vec::new();
        for (key, entry) in self.book.iter() {
            let standing = &entry.standing;
            let Some(state) = &standing.waiting else { continue };
            // One that came just now is perhaps answered at once.
            let is_soon = matches!(state, Waiting::Taken | Waiting::Answering { .. }) && !standing.is_old;
            if standing.closed || standing.telling || is_soon {
                continue;
            }
            let worth = worth(standing.told.as_ref(), state, standing.place, standing.forecast);
            if worth != Worth::Nothing {
                due.push((worth, standing.place, key.clone()));
            }
        }
        due.sort();
        for (_, _, key) in due.into_iter().take(room) {
            self.write(key);
        }
    }

    fn write(&mut self, key: Key) {
        let Some(entry) = self.book.get(&key) else { return };
        let Some(state) = entry.standing.waiting.clone() else {
            return;
        };
        let mut trusted = self.parts.trusted.clone();
        trusted.push(self.parts.key.public().clone());
        let letter = Letter {
            exchange: Arc::clone(&self.parts.exchange),
            trusted,
            signing: Arc::clone(&self.parts.key),
            instance: self.parts.instance.clone(),
            request: entry.digest,
            state,
            place: entry.standing.place,
            forecast: entry.standing.forecast,
            told: entry.standing.told.clone(),
            key: key.clone(),
        };
        if let Some(standing) = self.book.standing(&key) {
            standing.telling = true;
        }
        self.tells.spawn(async move { (key, letter.send().await) });
    }

    pub(super) fn told(&mut self, told: Option<(Key, Option<Told>)>) {
        let Some((key, told)) = told else { return };
        if let Some(standing) = self.book.standing(&key) {
            standing.telling = false;
            if told.is_some() {
                standing.told = told;
                self.show(|status| status.told += 1);
            }
        }
    }
}

impl Letter {
    /// What stands there now; none where it could not be told: it is tried again at the next look.
    async fn send(self) -> Option<Told> {
        let before = match &self.told {
            Some(told) => Some(told.clone()),
            None => self.last().await.ok()?,
        };
        if before.is_some() && self.told.is_none() && self.worth(before.as_ref()) == Worth::Nothing {
            return before;
        }
        let now = Timestamp::now();
        let trail = trail(before.as_ref(), &self.state, now);
        let progress = Progress {
            since: trail.since,
            taken_at: trail.taken_at,
            earlier: trail.earlier,
            id: self.key.id.clone(),
            recipient: self.key.recipient.clone(),
            request: self.request,
            state: self.state,
            place: self.place,
            forecast: self.forecast,
            instance: self.instance,
            at: now,
            key: self.signing.public().clone(),
        };
        let sealed = Envelope::seal(&progress, Vec::new(), &self.signing).and_then(|sealed| sealed.encode());
        let bytes = Bytes::from(sealed.ok()?);
        let written = self
            .exchange
            .write_progress(&self.key.recipient, &self.key.id, bytes)
            .await;
        match written {
            Ok(_) => Some(progress.into()),
            Err(error) => {
                tracing::debug!(%error, "how a request stands could not be told");
                None
            }
        }
    }

    fn worth(&self, told: Option<&Told>) -> Worth {
        worth(told, &self.state, self.place, self.forecast)
    }

    /// What was told by whoever was before us. What cannot be trusted is written over.
    async fn last(&self) -> exchange::Result<Option<Told>> {
        let stored = self.exchange.progress(&self.key.recipient, &self.key.id).await?;
        let said = stored.and_then(|stored| {
            Envelope::decode(&stored.bytes)
                .and_then(|envelope| envelope.verify::<Progress>(&self.trusted))
                .ok()
        });
        Ok(said.filter(|said| said.request == self.request).map(Told::from))
    }
}
