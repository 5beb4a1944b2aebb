//! Verifications of the streams: one at a time for each party, bounded in time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use schemas::name::PartyName;
use tokio_util::sync::CancellationToken;

use crate::site::machine::{Machine, Verification, VerifyRequest};

/// The time for one verification.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Running verifications of all parties.
const AT_ONCE: usize = 2;

/// The last verification of a party.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    /// It runs.
    Running {
        /// When it was started.
        started: Timestamp,
        /// Messages read so far.
        read: Arc<AtomicU64>,
        /// Messages in the streams when it was started; `None` if unknown.
        total: Option<u64>,
    },
    /// It ended.
    Done {
        /// When it was started.
        started: Timestamp,
        /// When it ended.
        ended: Timestamp,
        /// Messages read.
        read: u64,
        /// What it found, or why it did not end.
        result: Result<Verification, String>,
    },
}

/// The verifications of all parties.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verifications(Arc<Mutex<BTreeMap<PartyName, Job>>>);

impl Verifications {
    /// Returns the last verification of a party.
    pub(crate) fn last(&self, party: &PartyName) -> Option<Job> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(party)
            .cloned()
    }

    /// Starts a verification, unless one of the party runs, or as many as may. Returns whether it was started.
    pub(crate) fn start(
        &self,
        machine: Arc<dyn Machine>,
        request: VerifyRequest,
        total: Option<u64>,
        now: fn() -> Timestamp,
        stop: CancellationToken,
    ) -> bool {
        let (party, read, started) = (request.party.clone(), Arc::clone(&request.read), now());
        {
            let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let is_running = |job: &&Job| matches!(job, Job::Running { .. });
            if jobs.get(&party).as_ref().is_some_and(is_running)
                || jobs.values().filter(is_running).count() >= AT_ONCE
            {
                return false;
            }
            let job = Job::Running {
                started,
                read: Arc::clone(&read),
                total,
            };
            jobs.insert(party.clone(), job);
        }
        let jobs = self.clone();
        tokio::spawn(async move {
            // In a task of its own, so that a panic of it ends the job as well.
            let mut task = tokio::spawn(async move { machine.verify(request).await });
            let result = tokio::select! {
                ended = tokio::time::timeout(TIMEOUT, &mut task) => match ended {
                    Ok(Ok(result)) => result,
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(format!("it did not end within {} min", TIMEOUT.as_secs() / 60)),
                },
                () = stop.cancelled() => Err("the gateway stops".to_owned()),
            };
            task.abort();
            let job = Job::Done {
                started,
                ended: now(),
                read: read.load(Ordering::Relaxed),
                result,
            };
            jobs.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(party, job);
        });
        true
    }
}
