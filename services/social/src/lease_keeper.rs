//! The lease's executor: reads and writes the record as [`crate::lease`] decides, and tells
//! everybody in the process until when the source may be touched.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{Error, ErrorKind, Exchange, Published};
use jiff::Timestamp;
use schemas::envelope::Envelope;
use schemas::lease::Lease;
use schemas::name::SourceName;
use schemas::sign::{PublicKey, SigningKey};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lease::{Decision, Record, Timing, View, decide, valid_until};
use crate::witness::{Witness, lease_mark};

/// What the process knows of its lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Until when the source may be touched; none: not held.
    pub valid_until: Option<Instant>,
    /// Counted up with every take, so that a lease that was lost and taken again is seen as such.
    pub term: u64,
    /// Whose record it is, for people.
    pub holder: String,
    /// The last trouble, for people.
    pub trouble: Option<String>,
}

/// The look at the lease that everybody takes before touching the source or publishing.
#[derive(Debug, Clone)]
pub struct LeaseWatch(watch::Receiver<Standing>);

impl LeaseWatch {
    /// The term that is valid at this moment.
    #[must_use]
    pub fn term(&self) -> Option<u64> {
        let standing = self.0.borrow();
        standing
            .valid_until
            .filter(|until| Instant::now() < *until)
            .map(|_| standing.term)
    }

    /// What is known.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.0.borrow().clone()
    }

    /// Waits until the lease is held; its term. Never returns when the keeper has ended.
    pub async fn held(&mut self) -> u64 {
        loop {
            if let Some(term) = self.term() {
                return term;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this term is over.
    pub async fn over(&mut self, term: u64) {
        loop {
            let standing = self.standing();
            let Some(until) = standing
                .valid_until
                .filter(|until| standing.term == term && Instant::now() < *until)
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
    exchange: Arc<dyn Exchange>,
    source: SourceName,
    holder: String,
    key: Arc<SigningKey>,
    timing: Timing,
    view: View,
    renewal: u64,
    born: Instant,
    standing: watch::Sender<Standing>,
    troubles: Troubles,
    witness: Witness,
    publishers: Vec<PublicKey>,
}

/// What failed last, until the same succeeds.
#[derive(Debug, Default)]
struct Troubles {
    reading: Option<String>,
    writing: Option<String>,
}

impl LeaseKeeper {
    /// For one source and one life of one process. `holder` names host and process for people.
    #[must_use]
    pub fn new(
        exchange: Arc<dyn Exchange>,
        source: SourceName,
        instance: String,
        holder: String,
        key: Arc<SigningKey>,
        timing: Timing,
    ) -> (Self, LeaseWatch) {
        let (standing, watch) = watch::channel(Standing::default());
        let view = View {
            instance,
            record: None,
            seen_at: Duration::ZERO,
            renewed_at: None,
        };
        let born = Instant::now();
        (
            Self {
                exchange,
                source,
                holder,
                key,
                timing,
                view,
                renewal: 0,
                born,
                standing,
                troubles: Troubles::default(),
                witness: Witness::default(),
                publishers: Vec::new(),
            },
            LeaseWatch(watch),
        )
    }

    /// The same naming the newest control record that this process knows of, and looking at which one the leases of these
    /// publishers name.
    #[must_use]
    pub fn witnessing(mut self, witness: Witness, publishers: Vec<PublicKey>) -> Self {
        (self.witness, self.publishers) = (witness, publishers);
        self
    }

    /// Runs until `stop`, then gives the lease back.
    pub async fn run(mut self, stop: CancellationToken) {
        self.look().await;
        while !stop.is_cancelled() {
            let now = self.born.elapsed();
            let pause = match decide(&self.view, now, self.timing) {
                Decision::Hold { until } => until.saturating_sub(now),
                Decision::Renew => {
                    let expect = self.view.record.as_ref().map_or(0, |record| record.sequence);
                    self.write(expect, false).await
                }
                Decision::Take { expect } => self.write(expect, false).await,
                Decision::Wait { until } => {
                    // Another's turn: nothing is to be written.
                    self.wrote(None);
                    let pause = until.saturating_sub(now).min(self.timing.ttl / 10);
                    tokio::select! { () = stop.cancelled() => break, () = tokio::time::sleep(pause) => {} }
                    self.look().await;
                    Duration::ZERO
                }
                Decision::Lost => {
                    tracing::warn!(source = %self.source, "lease lost; the source is not touched until it is held again");
                    self.lose();
                    self.look().await;
                    Duration::ZERO
                }
            };
            tokio::select! { () = stop.cancelled() => {} () = tokio::time::sleep(pause) => {} }
        }
        if self.view.renewed_at.is_some() {
            let expect = self.view.record.as_ref().map_or(0, |record| record.sequence);
            self.write(expect, true).await;
            // The exchange may have been restored meanwhile. The record there is an older one of this agent's then, and
            // the successor has to learn which orders are lost.
            let own = |record: &&Record| record.instance == self.view.instance && !record.released;
            if let Some(record) = self.view.record.as_ref().filter(own) {
                self.write(record.sequence, true).await;
            }
        }
        self.lose();
    }

    /// How long an answer is waited for: short enough that a lost one leaves time to renew.
    fn bound(&self) -> Duration {
        self.timing.ttl / 6
    }

    fn lose(&mut self) {
        self.view.renewed_at = None;
        self.standing.send_modify(|standing| standing.valid_until = None);
    }

    async fn look(&mut self) {
        let bound = self.bound();
        let read = tokio::time::timeout(bound, self.exchange.lease(&self.source)).await;
        let read = read.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unreachable,
                "the lease could not be read in time",
            ))
        });
        let stored = match read {
            Ok(stored) => stored,
            Err(error) => {
                // What is not known cannot be taken: the record's age begins anew.
                self.view.seen_at = self.born.elapsed();
                if self.view.record.is_none() {
                    self.view.record = Some(unknown(self.timing.ttl));
                }
                self.troubles.reading = Some(error.to_string());
                self.show_troubles();
                tokio::time::sleep(self.timing.ttl / 10).await;
                return;
            }
        };
        // What was away can be read again, whoever holds the lease.
        if self.troubles.reading.take().is_some() {
            self.show_troubles();
        }
        let record = stored.map(|stored| {
            if let Some(mark) = lease_mark(&stored.bytes, &self.source, &self.publishers) {
                let source = &self.source;
                self.witness.see(mark, || format!("the lease of {source}"));
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
            self.standing.send_if_modified(|standing| {
                let changed = standing.holder != holder;
                standing.holder = holder;
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
            self.view.seen_at = self.born.elapsed();
        }
        self.view.record = record;
    }

    /// Writes the record; how long to pause afterwards.
    async fn write(&mut self, expect: u64, released: bool) -> Duration {
        let sent = self.born.elapsed();
        self.renewal += 1;
        let Some(bytes) = self.record(released) else {
            return self.timing.renew_every();
        };
        let bound = self.bound();
        let written =
            tokio::time::timeout(bound, self.exchange.write_lease(&self.source, bytes, expect)).await;
        match written {
            Ok(Ok(Published::Done { sequence })) => {
                self.written(sequence, sent, released);
                Duration::ZERO
            }
            Ok(Ok(Published::Conflict)) => {
                self.look().await;
                Duration::ZERO
            }
            Ok(Err(error)) => self.doubt(error.to_string()).await,
            Err(_) => {
                self.doubt("the lease could not be written in time".to_owned())
                    .await
            }
        }
    }

    /// The write may or may not have been stored. Reading tells; it renews nothing, so that
    /// the next write by the sequence found decides.
    async fn doubt(&mut self, what: String) -> Duration {
        self.wrote(Some(what));
        self.look().await;
        self.timing.ttl / 20
    }

    fn written(&mut self, sequence: u64, sent: Duration, released: bool) {
        let taken = self.view.renewed_at.is_none();
        self.view.record = Some(Record {
            sequence,
            instance: self.view.instance.clone(),
            released,
            ttl: self.timing.ttl,
        });
        self.view.seen_at = sent;
        self.view.renewed_at = Some(sent);
        let until = self.born + valid_until(sent, self.timing);
        if taken {
            tracing::info!(source = %self.source, "lease taken");
        }
        self.standing.send_modify(|standing| {
            standing.valid_until = Some(until);
            standing.term += u64::from(taken);
            standing.holder.clone_from(&self.holder);
        });
        self.wrote(None);
    }

    /// What writing came to; none: well, or not needed.
    fn wrote(&mut self, trouble: Option<String>) {
        if self.troubles.writing != trouble {
            self.troubles.writing = trouble;
            self.show_troubles();
        }
    }

    fn show_troubles(&self) {
        let trouble = self.troubles.writing.as_ref().or(self.troubles.reading.as_ref());
        if let Some(error) = trouble {
            tracing::debug!(source = %self.source, error, "lease");
        }
        self.standing
            .send_modify(|standing| standing.trouble = trouble.cloned());
    }

    fn record(&mut self, released: bool) -> Option<Bytes> {
        let lease = Lease {
            source: self.source.clone(),
            instance: self.view.instance.clone(),
            holder: self.holder.clone(),
            renewal: self.renewal,
            ttl_ms: u64::try_from(self.timing.ttl.as_millis()).unwrap_or(u64::MAX),
            control: self.witness.newest(),
            released,
            at: Timestamp::now(),
            key: self.key.public().clone(),
        };
        let sealed = Envelope::seal(&lease, Vec::new(), &self.key).and_then(|envelope| envelope.encode());
        match sealed {
            Ok(bytes) => Some(Bytes::from(bytes)),
            Err(error) => {
                self.wrote(Some(error.to_string()));
                None
            }
        }
    }
}

/// A record that nobody has read yet counts as somebody's.
fn unknown(ttl: Duration) -> Record {
    Record {
        sequence: 0,
        instance: String::new(),
        released: false,
        ttl,
    }
}
