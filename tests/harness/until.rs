//! Wait for a condition, by name.

use crate::logs;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long between two looks, at first and at most: a twentieth of the time waited so far. What is looked at often shares
/// the machine with who looks, and a process in the idle class would do nothing but answer.
const LOOK_AFTER: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

async fn pause(begun: Instant) {
    let (first, most) = LOOK_AFTER;
    sleep((begun.elapsed() / 20).clamp(first, most)).await;
}

/// What one look at a condition may give: `bool`, `Option<T>` or `Result<T, E>`.
pub trait Seen {
    /// What is handed on once the condition holds.
    type Value;
    /// The value, or what was seen instead, for the failure message.
    fn seen(self) -> Result<Self::Value, String>;
}

impl Seen for bool {
    type Value = ();
    fn seen(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("it did not hold".into())
        }
    }
}

impl<T> Seen for Option<T> {
    type Value = T;
    fn seen(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing was there".into())
    }
}

impl<T, E: Display> Seen for Result<T, E> {
    type Value = T;
    fn seen(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Looks at `condition` until it holds, and gives its value.
///
/// # Panics
/// When `deadline` passes first: the message names `what` was waited for, what the last look saw, and where the logs
/// of the test's processes are kept. A look that never returns counts as not holding.
pub async fn until<S: Seen>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> S,
) -> S::Value {
    let begun = Instant::now();
    let end = begun + deadline;
    let mut last = String::from("the first look did not return");
    loop {
        match timeout_at(end, condition()).await.map(Seen::seen) {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => last = seen,
            Err(_) => {}
        }
        assert!(
            Instant::now() < end,
            "{}",
            logs::with_place(format!("waited {deadline:?} for {what}; last look: {last}"))
        );
        pause(begun).await;
    }
}

/// Looks at `condition` until it holds, for as long as it gets on: it fails only when a whole `quiet` has passed in which
/// no look saw anything that was not seen before. For work whose length depends on the machine, such as "how many of the
/// rows are there". What a look gives instead of the value must tell how far the work is and nothing that changes by itself.
///
/// # Panics
/// When nothing new was seen for `quiet`, as [`until`] does.
pub async fn until_still<T, E: Display>(
    what: &str,
    quiet: Duration,
    mut condition: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let mut seen = BTreeSet::new();
    let begun = Instant::now();
    let mut end = begun + quiet;
    let mut last = String::from("the first look did not return");
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
            logs::with_place(format!(
                "nothing moved for {quiet:?} while waiting for {what}; last look: {last}"
            ))
        );
        pause(begun).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn until_still_progress_outlasts_the_quiet_time() {
        let begun = Instant::now();
        let quiet = Duration::from_millis(400);
        until_still("all steps", quiet, async || {
            let step = begun.elapsed().as_millis() / 50;
            if step < 20 { Err(step) } else { Ok(()) }
        })
        .await;
        assert!(begun.elapsed() > quiet);
    }

    #[tokio::test]
    #[should_panic(expected = "while waiting for the end; last look: ")]
    async fn until_still_to_and_fro_is_no_progress() {
        let mut looks = 0;
        until_still("the end", Duration::from_millis(100), async || {
            looks += 1;
            Err::<(), _>(looks % 2)
        })
        .await;
    }

    #[tokio::test]
    async fn gives_the_value_of_the_look_that_held() {
        let mut looks = 0;
        let value = until("three looks", Duration::from_secs(5), async || {
            looks += 1;
            (looks == 3).then_some(looks)
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "for a pig to fly; last look: still walking")]
    async fn names_what_it_waited_for() {
        until("a pig to fly", Duration::from_millis(30), async || {
            Err::<(), _>("still walking")
        })
        .await;
    }

    #[tokio::test]
    #[should_panic(expected = "for an answer; last look: the first look did not return")]
    async fn a_look_that_hangs_does_not_hang_the_test() {
        until(
            "an answer",
            Duration::from_millis(30),
            std::future::pending::<bool>,
        )
        .await;
    }
}
