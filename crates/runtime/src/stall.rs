//! Reports that the tasks of this process do not run any more.
//!
//! One task that never waits can keep the thread that serves the timers, the sockets and the signals, and then nothing
//! of the process goes on, not even its stop. No task can report that, so a thread of its own asks the runtime for a
//! sign of life and logs an error when none comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

/// How often a sign of life is asked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// So many intervals without a sign of life are a stall. The thread's own intervals are counted and not the time, so
/// that a process that was suspended is not taken for a stalled one.
const STALLED_AFTER: u32 = 10;

/// What the thread concludes from one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// Nothing changed.
    Unchanged,
    /// The tasks have not run for [`STALLED_AFTER`] intervals.
    Stalled,
    /// They run again.
    Recovered,
}

/// PURE: counts intervals without a sign of life.
#[derive(Debug, Default)]
struct Monitor {
    missed: u32,
}

impl Monitor {
    fn interval_passed(&mut self, is_alive: bool) -> Finding {
        if is_alive {
            let was_stalled = std::mem::take(&mut self.missed) >= STALLED_AFTER;
            return if was_stalled {
                Finding::Recovered
            } else {
                Finding::Unchanged
            };
        }
        self.missed = self.missed.saturating_add(1);
        if self.missed == STALLED_AFTER {
            Finding::Stalled
        } else {
            Finding::Unchanged
        }
    }
}

/// Starts the thread. It ends with the process.
///
/// # Errors
/// When the system has no thread left.
pub fn watch(runtime: &Handle) -> io::Result<()> {
    watch_every(runtime, INTERVAL, |finding| match finding {
        Finding::Stalled => tracing::error!(
            intervals = STALLED_AFTER,
            interval_ms = INTERVAL.as_millis(),
            "the tasks of this process do not run: restart it and report this"
        ),
        Finding::Recovered => tracing::warn!("the tasks of this process run again"),
        Finding::Unchanged => {}
    })
}

fn watch_every(
    runtime: &Handle,
    interval: Duration,
    report: impl Fn(Finding) + Send + 'static,
) -> io::Result<()> {
    let runtime = runtime.clone();
    let watch = move || {
        let answered = Arc::new(AtomicU64::new(0));
        let (mut asked, mut monitor) = (0, Monitor::default());
        loop {
            // One question at a time: a stalled runtime must not collect them.
            let is_alive = answered.load(Ordering::Acquire) == asked;
            if is_alive {
                asked += 1;
                let (answered, question) = (Arc::clone(&answered), asked);
                runtime.spawn(async move { answered.store(question, Ordering::Release) });
            }
            report(monitor.interval_passed(is_alive));
            thread::sleep(interval);
        }
    };
    thread::Builder::new()
        .name("stall-watch".into())
        .spawn(watch)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn monitor_reports_a_stall_once_and_its_end() {
        let mut monitor = Monitor::default();
        assert_eq!(monitor.interval_passed(true), Finding::Unchanged);
        let findings: Vec<_> = (0..STALLED_AFTER + 5)
            .map(|_| monitor.interval_passed(false))
            .collect();
        let stalled: Vec<_> = findings.iter().filter(|f| **f == Finding::Stalled).collect();
        assert_eq!(stalled.len(), 1);
        assert_eq!(findings[9], Finding::Stalled);
        assert_eq!(monitor.interval_passed(true), Finding::Recovered);
        assert_eq!(monitor.interval_passed(true), Finding::Unchanged);
        assert_eq!(monitor.interval_passed(false), Finding::Unchanged);
        assert_eq!(monitor.interval_passed(true), Finding::Unchanged, "too short");
    }

    #[test]
    fn watch_finds_a_task_that_never_waits() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let (reported, reports) = mpsc::channel();
        let (free, occupied) = mpsc::channel::<()>();
        runtime.spawn(async move { occupied.recv() });
        watch_every(runtime.handle(), Duration::from_millis(1), move |finding| {
            let _ = reported.send(finding);
        })
        .unwrap();
        let patience = Duration::from_secs(60);
        let wait_for = |wanted: Finding| {
            while reports.recv_timeout(patience).expect("a report in time") != wanted {}
        };
        wait_for(Finding::Stalled);
        drop(free);
        wait_for(Finding::Recovered);
    }
}
