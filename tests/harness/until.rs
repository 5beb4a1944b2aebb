//! Waits for a named condition.

use crate::logs;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Shortest and longest pause between two polls; in between it is a twentieth of the time waited so far. Frequent polls take
/// processor time from the polled process, and one in the idle class would do nothing but answer them.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

async fn pause(begun: Instant) {
    let (first, most) = POLL_INTERVAL;
    sleep((begun.elapsed() / 20).clamp(first, most)).await;
}

/// The result of one poll of a condition: `bool`, `Option<T>` or `Result<T, E>`.
pub trait PollResult {
    /// The value that is returned once the condition holds.
    type Value;
    /// Returns the value, or what was found instead, for the failure message.
    fn into_result(self) -> Result<Self::Value, String>;
}

impl PollResult for bool {
    type Value = ();
    fn into_result(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("it did not hold".into())
        }
    }
}

impl<T> PollResult for Option<T> {
    type Value = T;
    fn into_result(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing was there".into())
    }
}

impl<T, E: Display> PollResult for Result<T, E> {
    type Value = T;
    fn into_result(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Polls `condition` until it holds, and returns its value.
///
/// # Panics
/// If `deadline` passes first. The message names `what` was waited for, the last poll's result and the log directory. A poll
/// that never returns counts as failed.
pub async fn until<S: PollResult>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> S,
) -> S::Value {
    let begun = Instant::now();
    let end = begun + deadline;
    let mut last = String::from("the first poll did not return");
    loop {
        match timeout_at(end, condition()).await.map(PollResult::into_result) {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => last = seen,
            Err(_) => {}
        }
        assert!(
            Instant::now() < end,
            "{}",
            logs::with_log_path(format!("waited {deadline:?} for {what}; last poll: {last}"))
        );
        pause(begun).await;
    }
}

/// Polls `condition` until it holds, as long as there is progress: it fails when no poll of a whole `quiet` time returned a new
/// error. For work whose length depends on the machine, such as "how many of the rows are there". The error of a poll must
/// show how far the work is, and must contain nothing that changes on its own.
///
/// # Panics
/// If no poll returned anything new for `quiet`; see [`until`].
pub async fn until_with_progress<T, E: Display>(
    what: &str,
    quiet: Duration,
    mut condition: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let mut seen = BTreeSet::new();
    let begun = Instant::now();
    let mut end = begun + quiet;
    let mut last = String::from("the first poll did not return");
    loop {
        match timeout_at(end, condition()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(now)) => {
                last = now.to_string();
                if seen.insert(last.clone()) {
                    end = Instant::now() + quiet;
                }
            }
            Err(_) => {}
        }
        assert!(
            Instant::now() < end,
            "{}",
            logs::with_log_path(format!(
                "no progress for {quiet:?} while waiting for {what}; last poll: {last}"
            ))
        );
        pause(begun).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn until_with_progress_progress_extends_the_deadline() {
        let begun = Instant::now();
        let quiet = Duration::from_millis(400);
        until_with_progress("all steps", quiet, async || {
            let step = begun.elapsed().as_millis() / 50;
            if step < 20 { Err(step) } else { Ok(()) }
        })
        .await;
        assert!(begun.elapsed() > quiet);
    }

    #[tokio::test]
    #[should_panic(expected = "while waiting for the end; last poll: ")]
    async fn until_with_progress_alternating_values_are_no_progress() {
        let mut polls = 0;
        until_with_progress("the end", Duration::from_millis(100), async || {
            polls += 1;
            Err::<(), _>(polls % 2)
        })
        .await;
    }

    #[tokio::test]
    async fn until_returns_the_value_of_the_successful_poll() {
        let mut polls = 0;
        let value = until("three polls", Duration::from_secs(5), async || {
            polls += 1;
            (polls == 3).then_some(polls)
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "for an impossible event; last poll: not yet")]
    async fn until_timeout_names_the_condition() {
        until("an impossible event", Duration::from_millis(30), async || {
            Err::<(), _>("not yet")
        })
        .await;
    }

    #[tokio::test]
    #[should_panic(expected = "for an answer; last poll: the first poll did not return")]
    async fn until_hanging_poll_counts_as_a_failed_one() {
        until(
            "an answer",
            Duration::from_millis(30),
            std::future::pending::<bool>,
        )
        .await;
    }
}
