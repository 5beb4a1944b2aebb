//! Ends a process whose part has failed, instead of letting it go on without that part.
//!
//! A task that panics ends alone: the runtime catches the panic, and other tasks wait for it without end. An agent
//! in that state answers every probe and moves nothing. So the first panic of any thread or task, and the first part that
//! ends unexpectedly, stops the process in order; the exit code is that of an internal error, and the service manager
//! starts the process again. A thread outside the runtime ends the process where the stop in order does not come to its end.

use std::io;
use std::panic::PanicHookInfo;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::task::JoinError;

use crate::exit::Exit;
use crate::stop::Stop;

/// How long the stop in order may take after a failure, before the process is ended: longer than the bounds of its parts.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Knows whether a part of this process has failed. Copies are the same.
#[derive(Debug, Clone)]
pub struct Supervisor {
    failure: Arc<OnceLock<String>>,
    failed: Sender<()>,
}

impl Supervisor {
    /// Starts the thread that orders `stop` at the first failure, and ends the process if that does not end it.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(stop: &Stop) -> io::Result<Self> {
        Self::start_with(stop, STOP_WITHIN, || {
            std::process::exit(Exit::Internal.code().into())
        })
    }

    fn start_with(stop: &Stop, within: Duration, end: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (failed, failures) = mpsc::channel();
        let stop = stop.clone();
        // A panic may happen under any lock of the runtime: only a thread of its own can safely wake tasks then.
        let supervise = move || {
            if failures.recv().is_ok() {
                stop.stop();
                thread::sleep(within);
                end();
            }
        };
        thread::Builder::new()
            .name("supervisor".into())
            .spawn(supervise)?;
        Ok(Self {
            failure: Arc::default(),
            failed,
        })
    }

    /// Treats every panic in any thread or task as a failure. Calls the previous panic hook first.
    pub fn catch_panics(&self) {
        let supervisor = self.clone();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            supervisor.fail(describe(panic));
        }));
    }

    /// Notes a failure; only the first one counts.
    pub fn fail(&self, what: String) {
        if self.failure.set(what).is_ok() {
            let _ = self.failed.send(());
        }
    }

    /// The first failure; `None` while every part runs.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}

/// PURE: where a panic happened, without its message, which may quote what was read.
#[must_use]
pub fn describe(panic: &PanicHookInfo<'_>) -> String {
    match panic.location() {
        Some(place) => format!(
            "a task panicked at {}:{}:{}",
            place.file(),
            place.line(),
            place.column()
        ),
        None => "a task panicked".to_owned(),
    }
}

/// PURE: how a task ended, without the message of a panic, which may quote what was read.
#[must_use]
pub fn describe_end(error: &JoinError) -> &'static str {
    if error.is_panic() {
        "it panicked"
    } else {
        "it was cancelled"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn supervisor_first_failure_stops_the_process_in_order() {
        let stop = Stop::new();
        let supervisor = Supervisor::start_with(&stop, NEVER, || ()).unwrap();
        assert_eq!(supervisor.failure(), None);
        supervisor.fail("first".to_owned());
        supervisor.clone().fail("second".to_owned());
        stop.token().cancelled().await;
        assert_eq!(supervisor.failure(), Some("first"));
    }

    #[tokio::test]
    async fn supervisor_describes_an_end_without_the_panics_message() {
        let ended = tokio::spawn(async { std::panic::panic_any("Li Na") }).await;
        assert_eq!(
            ended.map_err(|error| describe_end(&error)),
            Err::<(), _>("it panicked")
        );
    }

    #[test]
    fn supervisor_ends_a_process_that_does_not_stop() {
        let (ended, end) = mpsc::channel();
        let supervisor = Supervisor::start_with(&Stop::new(), Duration::ZERO, move || {
            let _ = ended.send(());
        });
        supervisor.unwrap().fail("a part".to_owned());
        end.recv_timeout(NEVER).unwrap();
    }
}
