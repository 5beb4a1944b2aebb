//! Keeps the lease: reads and writes the record as [`crate::lease`] decides, and publishes in the process until when the source
//! may be used.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Error, ErrorKind, LeaseExchange, Published};
use jiff::Timestamp;
use schemas::envelope::Envelope;
use schemas::lease::Lease;
use schemas::name::SourceName;
use schemas::sign::{PublicKey, SigningKey};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lease::{Decision, Record, Timing, View, decide, valid_until};
use crate::record_tracker::{RecordTracker, lease_mark};

/// What the process knows of its lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseState {
    /// Until when the source may be used; `None` if the lease is not held.
    pub valid_until: Option<Instant>,
    /// Increases with every take, so that a lease that was lost and taken again is recognised.
    pub term: u64,
    /// The holder, for display.
    pub holder: String,
    /// The last error, for display.
    pub error: Option<String>,
}

/// Reports the lease's state. Checked before each use of the source and each publish.
#[derive(Debug, Clone)]
pub struct LeaseWatch(watch::Receiver<LeaseState>);

impl LeaseWatch {
    /// Returns the term that is valid now.
    #[must_use]
    pub fn term(&self) -> Option<u64> {
        let state = self.0.borrow();
        state
            .valid_until
            .filter(|until| Instant::now() < *until)
            .map(|_| state.term)
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        self.0.borrow().clone()
    }

    /// Waits until the lease is held and returns its term. Never returns once the keeper has ended.
    pub async fn acquired(&mut self) -> u64 {
        loop {
            if let Some(term) = self.term() {
                return term;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this term has ended.
    pub async fn ended(&mut self, term: u64) {
        loop {
            let state = self.state();
            let Some(until) = state
                .valid_until
                .filter(|until| state.term == term && Instant::now() < *until)
            else {
                return;
            };
            tokio::select! {
                changed = self.0.changed() => if changed.is_err() { tokio::time::sleep_until(until).await },
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

/// Keeps the lease of a source.
pub struct LeaseKeeper {
    exchange: Arc<dyn LeaseExchange>,
    source: SourceName,
    holder: String,
    key: Arc<SigningKey>,
    timing: Timing,
    view: View,
    renewal: u64,
    started: Instant,
    state: watch::Sender<LeaseState>,
    errors: LeaseErrors,
    record_tracker: RecordTracker,
    publishers: Vec<PublicKey>,
}

/// The last errors, until the same operation succeeds.
#[derive(Debug, Default)]
struct LeaseErrors {
    reading: Option<String>,
    writing: Option<String>,
}

impl LeaseKeeper {
    /// Creates a keeper for one source and one run of the process. `holder` names host and process for display.
    #[must_use]
    pub fn new(
        exchange: Arc<dyn LeaseExchange>,
        source: SourceName,
        instance: String,
        holder: String,
        key: Arc<SigningKey>,
        timing: Timing,
    ) -> (Self, LeaseWatch) {
        let (state, watch) = watch::channel(LeaseState::default());
        let view = View {
            instance,
            record: None,
            seen_at: Duration::ZERO,
            renewed_at: None,
        };
        let started = Instant::now();
        (
            Self {
                exchange,
                source,
                holder,
                key,
                timing,
                view,
                renewal: 0,
                started,
                state,
                errors: LeaseErrors::default(),
                record_tracker: RecordTracker::default(),
                publishers: Vec::new(),
            },
            LeaseWatch(watch),
        )
    }

    /// Makes leases name the newest known control record, and observes which one the leases of these publishers name.
    #[must_use]
    pub fn with_record_tracker(mut self, record_tracker: RecordTracker, publishers: Vec<PublicKey>) -> Self {
        (self.record_tracker, self.publishers) = (record_tracker, publishers);
        self
    }

    /// Runs until `stop`, then releases the lease.
    pub async fn run(mut self, stop: CancellationToken) {
        self.poll().await;
        while !stop.is_cancelled() {
            let now = self.started.elapsed();
            let pause = match decide(&self.view, now, self.timing) {
                Decision::Hold { until } => until.saturating_sub(now),
                Decision::Renew => {
                    let expect = self.view.record.as_ref().map_or(0, |record| record.sequence);
                    self.write(expect, false).await
                }
                Decision::Take { expect } => self.write(expect, false).await,
                Decision::Wait { until } => {
                    // Another process holds it: nothing is to be written.
                    self.set_write_error(None);
                    let pause = until.saturating_sub(now).min(self.timing.ttl / 10);
                    tokio::select! { () = stop.cancelled() => break, () = tokio::time::sleep(pause) => {} }
                    self.poll().await;
                    Duration::ZERO
                }
                Decision::Lost => {
                    tracing::warn!(source = %self.source, "lease lost, the source is not used until it is held again");
                    self.lose();
                    self.poll().await;
                    Duration::ZERO
                }
            };
            tokio::select! { () = stop.cancelled() => {} () = tokio::time::sleep(pause) => {} }
        }
        if self.view.renewed_at.is_some() {
            let expect = self.view.record.as_ref().map_or(0, |record| record.sequence);
            self.write(expect, true).await;
            // The exchange may have been restored in the meantime and hold an older record of this agent. The successor must
            // learn which orders are lost.
            let own = |record: &&Record| record.instance == self.view.instance && !record.released;
            if let Some(record) = self.view.record.as_ref().filter(own) {
                self.write(record.sequence, true).await;
            }
        }
        self.lose();
    }

    /// Returns the timeout of a call: short enough that a lost answer leaves time to renew.
    fn call_timeout(&self) -> Duration {
        self.timing.ttl / 6
    }

    fn lose(&mut self) {
        self.view.renewed_at = None;
        self.state.send_modify(|state| state.valid_until = None);
    }

    async fn poll(&mut self) {
        let timeout = self.call_timeout();
        let read = tokio::time::timeout(timeout, self.exchange.lease(&self.source)).await;
        let read =
            read.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unreachable, "reading the lease timed out")));
        let stored = match read {
            Ok(stored) => stored,
            Err(error) => {
                // An unknown record cannot be taken, so its age starts again.
                self.view.seen_at = self.started.elapsed();
                if self.view.record.is_none() {
                    self.view.record = Some(unknown_record(self.timing.ttl));
                }
                self.errors.reading = Some(error.to_string());
                self.show_errors();
                tokio::time::sleep(self.timing.ttl / 10).await;
                return;
            }
        };
        // The read succeeded, so its error is cleared even if another process holds the lease.
        if self.errors.reading.take().is_some() {
            self.show_errors();
        }
        let record = stored.map(|stored| {
            if let Some(mark) = lease_mark(&stored.bytes, &self.source, &self.publishers) {
                let source = &self.source;
                self.record_tracker
                    .observe(mark, || format!("the lease of {source}"));
            }
            let lease = Envelope::decode(&stored.bytes)
                .and_then(|envelope| envelope.read::<Lease>())
                .ok();
            let ttl = lease.as_ref().map_or(self.timing.ttl, |lease| {
                Duration::from_millis(lease.ttl_ms.min(600_000))
            });
            let (instance, released, holder) = lease.map_or((String::new(), false, String::new()), |lease| {
                (lease.instance, lease.released, lease.holder)
            });
            self.state.send_if_modified(|state| {
                let changed = state.holder != holder;
                state.holder = holder;
                changed
            });
            Record {
                sequence: stored.sequence,
                instance,
                released,
                ttl,
            }
        });
        if record.as_ref().map(|record| record.sequence)
            != self.view.record.as_ref().map(|record| record.sequence)
        {
            self.view.seen_at = self.started.elapsed();
        }
        self.view.record = record;
    }

    /// Writes the record and returns how long to pause afterwards.
    async fn write(&mut self, expect: u64, released: bool) -> Duration {
        let sent = self.started.elapsed();
        self.renewal += 1;
        let Some(bytes) = self.sign_record(released) else {
            return self.timing.renew_every();
        };
        let timeout = self.call_timeout();
        let written =
            tokio::time::timeout(timeout, self.exchange.write_lease(&self.source, bytes, expect)).await;
        match written {
            Ok(Ok(Published::Done { sequence })) => {
                self.record_write(sequence, sent, released);
                Duration::ZERO
            }
            Ok(Ok(Published::Conflict)) => {
                self.poll().await;
                // A replica that lags still has the record that was refused: asking it again at once would spin.
                let is_unchanged = self.view.record.as_ref().map_or(0, |record| record.sequence) == expect;
                if is_unchanged {
                    self.timing.ttl / 20
                } else {
                    Duration::ZERO
                }
            }
            Ok(Err(error)) => self.resolve_failed_write(error.to_string()).await,
            Err(_) => {
                self.resolve_failed_write("writing the lease timed out".to_owned())
                    .await
            }
        }
    }

    /// Reads the record after a failed write, which may have been stored. The read renews nothing: the next write, by the
    /// sequence found, decides.
    async fn resolve_failed_write(&mut self, what: String) -> Duration {
        self.set_write_error(Some(what));
        self.poll().await;
        self.timing.ttl / 20
    }

    fn record_write(&mut self, sequence: u64, sent: Duration, released: bool) {
        let taken = self.view.renewed_at.is_none();
        self.view.record = Some(Record {
            sequence,
            instance: self.view.instance.clone(),
            released,
            ttl: self.timing.ttl,
        });
        self.view.seen_at = sent;
        self.view.renewed_at = Some(sent);
        let until = self.started + valid_until(sent, self.timing);
        if taken {
            tracing::info!(source = %self.source, "lease taken");
        }
        self.state.send_modify(|state| {
            state.valid_until = Some(until);
            state.term += u64::from(taken);
            state.holder.clone_from(&self.holder);
        });
        self.set_write_error(None);
    }

    /// Sets or clears the error of writing.
    fn set_write_error(&mut self, error: Option<String>) {
        if self.errors.writing != error {
            self.errors.writing = error;
            self.show_errors();
        }
    }

    fn show_errors(&self) {
        let error = self.errors.writing.as_ref().or(self.errors.reading.as_ref());
        if let Some(error) = error {
            tracing::debug!(source = %self.source, error, "lease call failed, retrying");
        }
        self.state.send_modify(|state| state.error = error.cloned());
    }

    fn sign_record(&mut self, released: bool) -> Option<Bytes> {
        let lease = Lease {
            source: self.source.clone(),
            instance: self.view.instance.clone(),
            holder: self.holder.clone(),
            renewal: self.renewal,
            ttl_ms: u64::try_from(self.timing.ttl.as_millis()).unwrap_or(u64::MAX),
            control: self.record_tracker.newest(),
            released,
            at: Timestamp::now(),
            key: self.key.public().clone(),
        };
        let signed = Envelope::sign(&lease, Vec::new(), &self.key).and_then(|envelope| envelope.encode());
        match signed {
            Ok(bytes) => Some(Bytes::from(bytes)),
            Err(error) => {
                self.set_write_error(Some(error.to_string()));
                None
            }
        }
    }
}

/// Represents an unread record, which counts as held by another process.
fn unknown_record(ttl: Duration) -> Record {
    Record {
        sequence: 0,
        instance: String::new(),
        released: false,
        ttl,
    }
}
