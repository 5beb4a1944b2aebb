//! The loop of poller and requester: rounds at a fixed interval, with back-off and jitter after rounds that failed.

use std::time::Duration;

use runtime::backoff::Backoff;
use runtime::log_dedup::LogDedup;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The back-off after rounds with errors, in addition to the wait for the next tick.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// Work that is done in rounds.
pub(crate) trait Rounds {
    /// Why the rounds end without a stop.
    type Error;

    /// Runs one round. Errors that are retried go to [`Rounds::failures`].
    async fn round(&mut self, stop: &CancellationToken) -> Result<(), Self::Error>;

    /// Returns the failures of the rounds.
    fn failures(&mut self) -> &mut Failures;

    /// Shows the end of a round, and whether an error was recorded in it.
    fn show_end(&mut self, has_failed: bool);
}

/// The errors of rounds that are retried.
#[derive(Debug)]
pub(crate) struct Failures {
    /// What the log lines name: `polling`, `requests`.
    subject: &'static str,
    /// Whether the current round met an error.
    has_failed: bool,
    /// Consecutive rounds with errors.
    rounds: u32,
    log_dedup: LogDedup,
}

impl Failures {
    /// Creates a record without failures. Log lines begin with `subject`.
    pub(crate) fn new(subject: &'static str) -> Self {
        Self {
            subject,
            has_failed: false,
            rounds: 0,
            log_dedup: LogDedup::default(),
        }
    }

    /// Records an error of the current round.
    pub(crate) fn record(&mut self, error: &str) {
        self.has_failed = true;
        if self.log_dedup.is_new(error) {
            tracing::warn!(error, "{} failed, retrying", self.subject);
        }
    }

    /// Returns whether the current round met an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Ends a round. Returns the minimum wait, if it met an error.
    fn end_round(&mut self) -> Option<Duration> {
        if std::mem::take(&mut self.has_failed) {
            self.rounds = self.rounds.saturating_add(1);
            return Some(BACKOFF.delay(self.rounds, rand::random()));
        }
        self.rounds = 0;
        if let Some(occurrences) = self.log_dedup.recovered() {
            tracing::info!(occurrences, "{} recovered", self.subject);
        }
        None
    }
}

/// Runs rounds until `stop`; the round in progress is finished first.
///
/// # Errors
/// The error of a round that must not be retried.
pub(crate) async fn poll<R: Rounds>(
    rounds: &mut R,
    interval: Duration,
    stop: &CancellationToken,
) -> Result<(), R::Error> {
    let started = Instant::now();
    let mut tick = Duration::ZERO;
    while !stop.is_cancelled() {
        rounds.round(stop).await?;
        let rest = rounds.failures().end_round();
        rounds.show_end(rest.is_some());
        let rested = Instant::now() + rest.unwrap_or_default();
        tick = next_tick(tick, interval, started.elapsed());
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(rested.max(started + tick)) => {}
        }
    }
    Ok(())
}

/// PURE: returns the tick after `previous`: a whole number of intervals later and not in the past. There is no drift;
/// missed ticks are skipped.
fn next_tick(previous: Duration, interval: Duration, now: Duration) -> Duration {
    let interval = interval.max(Duration::from_millis(1));
    if now < previous + interval {
        return previous + interval;
    }
    let missed = now.saturating_sub(previous).as_micros() / interval.as_micros().max(1);
    let micros = u64::try_from(missed * interval.as_micros()).unwrap_or(u64::MAX);
    previous + Duration::from_micros(micros) + interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_tick_does_not_drift_and_skips_missed_ticks() {
        let ms = Duration::from_millis;
        assert_eq!(next_tick(ms(1_000), ms(1_000), ms(1_000)), ms(2_000));
        assert_eq!(next_tick(ms(1_000), ms(1_000), ms(1_999)), ms(2_000));
        assert_eq!(next_tick(ms(1_000), ms(1_000), ms(2_000)), ms(3_000));
        assert_eq!(next_tick(ms(1_000), ms(1_000), ms(7_345)), ms(8_000));
    }
}
