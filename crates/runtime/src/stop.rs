//! A clean stop: SIGTERM or SIGINT cancels one token that everything which runs watches.
//!
//! A second signal ends the process at once. The operating system's handler does that itself, not a task: a process
//! whose tasks do not run any more must still obey it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// What a second SIGTERM or SIGINT does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondSignal {
    /// Ends the process at once with [`Exit::Unfinished`]. For a process that owns nothing which has to be ended first.
    Exits,
    /// Nothing: the stop is bounded, and child processes have to be ended in order.
    Ignored,
}

/// The order to stop. Copies are the same.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
}

impl Stop {
    /// A stop that only the program itself orders.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop that SIGTERM and SIGINT order.
    ///
    /// # Errors
    /// When the system does not let signals be handled.
    pub fn on_signals(second: SecondSignal) -> io::Result<Self> {
        let stop = Self::new();
        if second == SecondSignal::Exits {
            let is_stopping = Arc::new(AtomicBool::new(false));
            for number in [SIGTERM, SIGINT] {
                // Handlers run in this order: the first signal finds the flag unset and sets it.
                flag::register_conditional_shutdown(
                    number,
                    Exit::Unfinished.code().into(),
                    Arc::clone(&is_stopping),
                )?;
                flag::register(number, Arc::clone(&is_stopping))?;
            }
        }
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let handle = stop.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "stopping");
            handle.stop();
        });
        Ok(stop)
    }

    /// The token that everything which runs watches.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Orders the stop.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Whether the stop was ordered.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn stop_signal_cancels_token_and_second_is_ignored() -> io::Result<()> {
        let stop = Stop::on_signals(SecondSignal::Ignored)?;
        assert!(!stop.is_stopping());
        kill_process(getpid(), Signal::TERM)?;
        stop.token().cancelled().await;
        assert!(stop.is_stopping());
        kill_process(getpid(), Signal::INT)?;
        Ok(())
    }
}
