//! Wait for a condition, by name.

use crate::logs;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often a condition is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    let end = Instant::now() + deadline;
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
        sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
