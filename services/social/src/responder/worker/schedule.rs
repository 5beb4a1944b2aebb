//! Selects the request for the next quantum.

use requests::queue::RequestKey;

use super::super::request_step::Event;
use super::{MAX_PUBLISHING_TASKS, RequestWorker};

impl RequestWorker {
    /// Returns the request for the next quantum; `None` if nothing can be read now.
    pub(super) fn candidate(&mut self) -> Option<RequestKey> {
        // One quantum at a time: the state that the status shows is that of the quantum.
        if !self.reading_tasks.is_empty() {
            return None;
        }
        let now = self.now().filter(|_| self.is_read)?;
        if self.source_retry_at.is_some() {
            self.set_state("waiting for the source");
            return None;
        }
        if self.publishing_tasks.len() >= MAX_PUBLISHING_TASKS {
            self.set_state("waiting for the exchange");
            return None;
        }
        while let Some(key) = self.table.next().cloned() {
            self.decide_again(&key);
            if self.table.next() != Some(&key) {
                continue;
            }
            if self.table.is_quota_used(&key, now) {
                self.apply(&key, Event::QuotaUsed);
                continue;
            }
            let state = if self.parts.gate.verdict().permits_work() {
                "answering"
            } else {
                "waiting for the gate"
            };
            self.set_state(state);
            return Some(key);
        }
        self.set_state("waiting for requests");
        None
    }
}
