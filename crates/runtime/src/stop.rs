//! A clean stop: one token at the edge, joins in order, a bounded grace, a line on how it ended.
//!
//! The first SIGTERM or SIGINT cancels the token. A second one ends the grace. Nothing here
//! ends the process: `main` returns.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The word to stop, and the word to stop at once. Copies are the same.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    at_once: CancellationToken,
}

impl Stop {
    /// A stop that only the program itself gives.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop that SIGTERM and SIGINT give.
    ///
    /// # Errors
    /// When the system does not let signals be handled.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let handle = stop.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if handle.is_stopping() {
                    tracing::warn!(signal = name, "second signal, stopping at once");
                    handle.stop_at_once();
                    return;
                }
                tracing::info!(signal = name, "stopping");
                handle.stop();
            }
        });
        Ok(stop)
    }

    /// The token that everything which runs watches.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Gives the word.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Gives the word to stop without grace.
    pub fn stop_at_once(&self) {
        self.token.cancel();
        self.at_once.cancel();
    }

    /// Whether the word was given.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits for the word, then joins the parts in order, all within the grace. A part that is
    /// not done by then is aborted and named.
    pub async fn join(&self, parts: Parts, grace: Duration) -> Ending {
        self.token.cancelled().await;
        let grace_over = tokio::time::sleep(grace);
        tokio::pin!(grace_over);
        let mut ending = Ending::default();
        for (name, mut done, abort) in parts.parts {
            if ending.at_once || ending.grace_over {
                // It may have ended in the meantime all the same.
                if !abort.is_finished() {
                    abort.abort();
                    ending.left.push(name);
                }
                continue;
            }
            tokio::select! {
                biased;
                outcome = &mut done => if let Err(error) = outcome {
                    tracing::error!(part = name, %error, "a part failed");
                    ending.failed.push(name);
                },
                () = self.at_once.cancelled() => ending.at_once = true,
                () = &mut grace_over => ending.grace_over = true,
            }
            if ending.at_once || ending.grace_over {
                abort.abort();
                ending.left.push(name);
            }
        }
        if ending.is_clean() {
            tracing::info!("stopped cleanly");
        } else {
            tracing::warn!(%ending, grace_ms = grace.as_millis(), "stopped");
        }
        ending
    }
}

type Joined = Pin<Box<dyn Future<Output = Result<(), tokio::task::JoinError>> + Send>>;

/// What runs, in the order in which it is to be joined: those who hand over before those who take.
#[derive(Default)]
pub struct Parts {
    parts: Vec<(&'static str, Joined, tokio::task::AbortHandle)>,
}

impl Parts {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part; it is joined after those before it.
    #[must_use]
    pub fn then<T: Send + 'static>(mut self, name: &'static str, task: JoinHandle<T>) -> Self {
        let abort = task.abort_handle();
        let joined = Box::pin(async move { task.await.map(|_| ()) });
        self.parts.push((name, joined, abort));
        self
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.parts.iter().map(|(name, ..)| name))
            .finish()
    }
}

/// How a stop ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ending {
    /// A second signal cut the grace short.
    pub at_once: bool,
    /// The grace ran out.
    pub grace_over: bool,
    /// Parts that panicked.
    pub failed: Vec<&'static str>,
    /// Parts that were aborted.
    pub left: Vec<&'static str>,
}

impl Ending {
    /// Whether every part ended by itself.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.left.is_empty()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("clean");
        }
        let why = if self.at_once {
            "at once"
        } else if self.grace_over {
            "grace over"
        } else {
            "with faults"
        };
        write!(
            f,
            "{why}; aborted: [{}]; failed: [{}]",
            self.left.join(", "),
            self.failed.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_signal_stops_and_a_second_one_stops_at_once() -> io::Result<()> {
        let stop = Stop::on_signals()?;
        let parts = Parts::new().then("stuck", tokio::spawn(std::future::pending::<()>()));
        let joining = tokio::spawn({
            let stop = stop.clone();
            async move { stop.join(parts, Duration::from_secs(3_600)).await }
        });
        nix::sys::signal::raise(nix::sys::signal::SIGTERM)?;
        stop.token().cancelled().await;
        assert!(!joining.is_finished());
        nix::sys::signal::raise(nix::sys::signal::SIGINT)?;
        let ending = joining.await.unwrap_or_default();
        assert!(ending.at_once && ending.left == ["stuck"], "{ending}");
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn parts_are_joined_in_order_and_the_ending_is_clean() {
        let stop = Stop::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        let part = |name: &'static str| {
            let (token, order) = (stop.token().clone(), Arc::clone(&order));
            tokio::spawn(async move {
                token.cancelled().await;
                order.lock().map(|mut order| order.push(name)).ok();
            })
        };
        let parts = Parts::new()
            .then("publisher", part("publisher"))
            .then("gate", part("gate"));
        stop.stop();
        let ending = stop.join(parts, GRACE).await;
        assert!(ending.is_clean());
        assert_eq!(order.lock().map(|order| order.len()).ok(), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_is_bounded_and_names_what_was_left() {
        let stop = Stop::new();
        let parts = Parts::new()
            .then("quick", tokio::spawn(async {}))
            .then("stuck", tokio::spawn(std::future::pending::<()>()))
            .then("after", tokio::spawn(std::future::pending::<()>()));
        stop.stop();
        let begun = tokio::time::Instant::now();
        let ending = stop.join(parts, GRACE).await;
        assert_eq!(begun.elapsed(), GRACE);
        assert!(ending.grace_over && ending.left == ["stuck", "after"], "{ending}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_failed_is_named() {
        let stop = Stop::new();
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        let parts = Parts::new().then("broken", task);
        stop.stop();
        assert_eq!(stop.join(parts, GRACE).await.failed, ["broken"]);
    }
}
