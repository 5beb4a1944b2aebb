//! PURE: the table, and whether the gateway held what it has to hold.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Outcome;
use crate::load::Measured;
use crate::tally::Tally;

/// By how much memory may grow between the second and the last fifth of a run: a share, and bytes for a small process.
const GROWTH: f64 = 0.10;
const GROWTH_BYTES: u64 = 16 << 20;

const SHARES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

/// Returns the table of a run.
pub(crate) fn table(measured: &Measured) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n{:<8} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}   statuses",
        "", "requests", "per s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"
    );
    for (name, tally) in [("polls", &measured.polls), ("writes", &measured.writes)] {
        let _ = write!(
            text,
            "{name:<8} {:>9} {:>8.0}",
            tally.count(),
            rate(tally, measured.took)
        );
        for latency in tally.percentiles(SHARES) {
            let _ = write!(text, " {:>9.1}", latency.as_secs_f64() * 1e3);
        }
        let _ = writeln!(text, "   {}", tally.statuses());
    }
    let [first, middle, last] = moments(&measured.memory);
    let mega = |bytes: u64| bytes >> 20;
    let _ = writeln!(
        text,
        "memory of the gateway: {} MB at the start, {} MB in the middle, {} MB at the end",
        mega(first),
        mega(middle),
        mega(last)
    );
    let share = |cpu: Duration| cpu.as_secs_f64() / measured.took.as_secs_f64();
    let [gateway, server, own] = measured.cpu.map(share);
    let _ = write!(
        text,
        "processors: gateway {gateway:.2}, nats-server {server:.2}, this program {own:.2}"
    );
    let missing = f64::from(measured.rate) - rate(&measured.polls, measured.took);
    if missing > f64::from(measured.rate) * 0.02 {
        let _ = write!(
            text,
            "\nthe rate of {} polls a second was not reached: gateway, nats-server and this program used {:.2} processors together",
            measured.rate,
            gateway + server + own
        );
    }
    text
}

/// Checks what holds on every machine, and returns it as a sentence: no 5xx, no lost connection, no other refusal, memory that does not grow.
///
/// # Errors
/// What does not hold.
pub(crate) fn verdict(measured: &Measured) -> Outcome<String> {
    for (name, tally) in [("polls", &measured.polls), ("writes", &measured.writes)] {
        if tally.class(2) != tally.count() {
            let statuses = tally.statuses();
            return Err(
                format!("{name} were answered with {statuses}; all have to be of the class 2xx").into(),
            );
        }
        if let Some(failure) = &tally.failure {
            let count = tally.failures;
            return Err(format!("{name}: {count} connections failed, the first one: {failure}").into());
        }
    }
    if measured.polls.count() == 0 {
        return Err("no poll was answered".into());
    }
    let [first, _, last] = moments(&measured.memory);
    if last > allowed(first) {
        return Err(format!("the memory of the gateway grew from {first} to {last} bytes").into());
    }
    Ok(format!(
        "no response of the class 5xx, no connection lost; memory at most {:.0} % and {} MB above its start",
        GROWTH * 100.0,
        GROWTH_BYTES >> 20
    ))
}

fn rate(tally: &Tally, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact")]
    let count = tally.count() as f64;
    count / took.as_secs_f64()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "memory of a process is far below 2^53 bytes"
)]
fn allowed(first: u64) -> u64 {
    first + (first as f64 * GROWTH) as u64 + GROWTH_BYTES
}

/// Returns the medians of the second, the third and the last fifth: the first one is the warm-up.
fn moments(memory: &[u64]) -> [u64; 3] {
    let fifth = memory.len().div_ceil(5).max(1);
    [1, 2, 4].map(|part| {
        let from = (part * fifth).min(memory.len().saturating_sub(1));
        let to = (from + fifth).min(memory.len());
        let mut part = memory.get(from..to).unwrap_or_default().to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(memory: Vec<u64>, statuses: &[u16]) -> Measured {
        let mut polls = Tally::default();
        for status in statuses {
            polls.answered(*status, Duration::from_millis(1));
        }
        Measured {
            took: Duration::from_secs(1),
            rate: 1,
            polls,
            writes: Tally::default(),
            memory,
            cpu: [Duration::ZERO; 3],
        }
    }

    #[test]
    fn verdict_is_red_for_an_error_or_growing_memory() {
        let flat = vec![100 << 20; 50];
        assert!(verdict(&measured(flat.clone(), &[200, 204])).is_ok());
        assert!(verdict(&measured(flat.clone(), &[200, 503])).is_err());
        assert!(verdict(&measured(flat.clone(), &[200, 429])).is_err());
        assert!(verdict(&measured(flat.clone(), &[])).is_err());
        let growing = (0..50).map(|at| (100 + 2 * at) << 20).collect();
        assert!(verdict(&measured(growing, &[200])).is_err());
        let mut lost = measured(flat, &[200]);
        lost.polls.failed("the gateway closed the connection".to_owned());
        assert!(verdict(&lost).is_err());
    }

    #[test]
    fn memory_of_the_warm_up_does_not_count() {
        let memory: Vec<u64> = (0..50).map(|at| if at < 10 { 1 } else { at }).collect();
        assert_eq!(moments(&memory), [15, 25, 45]);
        assert_eq!(moments(&[7]), [7, 7, 7]);
        assert_eq!(moments(&[]), [0, 0, 0]);
    }
}
