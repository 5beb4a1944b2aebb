//! Sends recipients the progress of their requests, a bounded number at each poll.

use std::sync::Arc;

use bytes::Bytes;
use exchange::RequestExchange;
use jiff::Timestamp;
use requests::queue::RequestKey;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::progress::{Progress, Waiting};
use schemas::sign::{PublicKey, SigningKey};

use super::super::progress_throttle::{SentProgress, Urgency, state_history, urgency};
use super::super::request_state::ProgressMessage;
use super::RequestWorker;

/// The maximum number of messages at each poll. Less urgent ones follow at a later poll.
const MAX_PROGRESS_UPDATES: usize = 200;

struct ProgressUpdate {
    exchange: Arc<dyn RequestExchange>,
    trusted: Vec<PublicKey>,
    signing: Arc<SigningKey>,
    instance: String,
    key: RequestKey,
    request: Digest,
    state: Waiting,
    place: Option<u64>,
    forecast: Option<Timestamp>,
    last: Option<SentProgress>,
}

impl RequestWorker {
    pub(super) fn send_progress(&mut self) {
        let room = MAX_PROGRESS_UPDATES.saturating_sub(self.progress_tasks.len());
        let mut due: Vec<(Urgency, Option<u64>, RequestKey)> = Vec::new();
        for (key, entry) in self.table.index.iter() {
            let progress = &entry.processing.progress;
            let Some(waiting) = &progress.waiting else {
                continue;
            };
            // A new request may be answered at once.
            let is_soon = matches!(waiting, Waiting::Taken | Waiting::Answering { .. });
            let is_idle = match progress.message {
                ProgressMessage::Idle => true,
                ProgressMessage::New => !is_soon,
                ProgressMessage::Writing => false,
            };
            if entry.processing.state.has_outcome() || !is_idle {
                continue;
            }
            let urgency = urgency(progress.last.as_ref(), waiting, progress.place, progress.forecast);
            if urgency != Urgency::NoChange {
                due.push((urgency, progress.place, key.clone()));
            }
        }
        due.sort();
        for (_, _, key) in due.into_iter().take(room) {
            self.spawn_progress_update(key);
        }
    }

    fn spawn_progress_update(&mut self, key: RequestKey) {
        let Some(entry) = self.table.index.get(&key) else {
            return;
        };
        let shown = &entry.processing.progress;
        let Some(state) = shown.waiting.clone() else {
            return;
        };
        let mut trusted = self.parts.trusted.clone();
        trusted.push(self.parts.key.public().clone());
        let update = ProgressUpdate {
            exchange: Arc::clone(&self.parts.exchange) as Arc<dyn RequestExchange>,
            trusted,
            signing: Arc::clone(&self.parts.key),
            instance: self.parts.instance.clone(),
            request: entry.digest,
            state,
            place: shown.place,
            forecast: shown.forecast,
            last: shown.last.clone(),
            key: key.clone(),
        };
        if let Some(processing) = self.table.index.processing_mut(&key) {
            processing.progress.message = ProgressMessage::Writing;
        }
        self.progress_tasks
            .spawn(async move { (key, update.send().await) });
    }

    pub(super) fn record_progress(&mut self, sent: Option<(RequestKey, Option<SentProgress>)>) {
        let Some((key, sent)) = sent else { return };
        if let Some(processing) = self.table.index.processing_mut(&key) {
            processing.progress.message = ProgressMessage::Idle;
            if sent.is_some() {
                processing.progress.last = sent;
                self.update_status(|status| status.progress_messages += 1);
            }
        }
    }
}

impl ProgressUpdate {
    /// Writes the progress and returns the last message; `None` if that failed, so that the next poll retries it.
    async fn send(self) -> Option<SentProgress> {
        let before = match &self.last {
            Some(last) => Some(last.clone()),
            None => self.last_published().await.ok()?,
        };
        if before.is_some() && self.last.is_none() && self.urgency(before.as_ref()) == Urgency::NoChange {
            return before;
        }
        let now = Timestamp::now();
        let history = state_history(before.as_ref(), &self.state, now);
        let progress = Progress {
            since: history.since,
            taken_at: history.taken_at,
            earlier: history.earlier,
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
        let signed = Envelope::sign(&progress, Vec::new(), &self.signing).and_then(|signed| signed.encode());
        let bytes = Bytes::from(signed.ok()?);
        let written = self
            .exchange
            .write_progress(&self.key.recipient, &self.key.id, bytes)
            .await;
        match written {
            Ok(_) => Some(progress.into()),
            Err(error) => {
                tracing::debug!(%error, "cannot write the progress of a request");
                None
            }
        }
    }

    fn urgency(&self, last: Option<&SentProgress>) -> Urgency {
        urgency(last, &self.state, self.place, self.forecast)
    }

    /// Returns the last message at the exchange, of an earlier holder of the lease. An untrusted message is overwritten.
    async fn last_published(&self) -> exchange::Result<Option<SentProgress>> {
        let stored = self.exchange.progress(&self.key.recipient, &self.key.id).await?;
        let progress = stored.and_then(|stored| {
            Envelope::decode(&stored.bytes)
                .and_then(|envelope| envelope.verify::<Progress>(&self.trusted))
                .ok()
        });
        Ok(progress
            .filter(|progress| progress.request == self.request)
            .map(SentProgress::from))
    }
}
