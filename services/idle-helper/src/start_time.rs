//! Start times of processes, on the clock of the kernel.

use std::time::Duration;

/// PURE. Returns whether a process had started for certain before `moment`, a time since boot.
///
/// The kernel rounds the start down to a clock tick, so a process counts only from the end of that tick.
#[must_use]
pub(crate) fn started_before(start_ticks: u64, ticks_per_second: u64, moment: Duration) -> bool {
    const NANOS: u128 = 1_000_000_000;
    let end_of_tick = (u128::from(start_ticks) + 1) * NANOS;
    ticks_per_second > 0 && end_of_tick <= moment.as_nanos() * u128::from(ticks_per_second)
}

/// Returns the time since boot, on the clock of process start times.
#[must_use]
pub(crate) fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// Returns the clock ticks per second of process start times.
#[must_use]
pub(crate) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn started_before_rounds_against_the_process() {
        let moment = Duration::from_millis(1_000);
        for (start_ticks, wanted) in [(0, true), (98, true), (99, true), (100, false), (101, false)] {
            assert_eq!(started_before(start_ticks, 100, moment), wanted, "{start_ticks}");
        }
        // The tick ends after the moment, so the process may have started after it.
        assert!(!started_before(99, 100, Duration::from_nanos(999_999_999)));
        assert!(!started_before(u64::MAX, u64::MAX, Duration::ZERO));
        assert!(!started_before(0, 0, Duration::MAX));
        assert!(!started_before(u64::MAX, 1, Duration::ZERO));
    }

    #[test]
    fn since_boot_is_on_the_clock_of_start_times() {
        let stat = priority::process::Proc::default()
            .stat(std::process::id())
            .expect("this process");
        let start = stat.start_ticks;
        assert!(
            started_before(start, ticks_per_second(), since_boot() + Duration::from_secs(1)),
            "{start}"
        );
        assert!(!started_before(start, ticks_per_second(), Duration::ZERO));
    }
}
