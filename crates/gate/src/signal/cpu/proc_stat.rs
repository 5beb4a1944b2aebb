//! PURE: parses the counters in `/proc/stat`.

use std::time::Duration;

use super::share::HostTimes;

/// Returns interrupt and stolen time in `/proc/stat`, in ticks.
#[must_use]
pub fn interrupt_and_steal_ticks(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    let fields = line.split_ascii_whitespace().skip(6).take(3);
    fields.map(|field| field.parse::<u64>().ok()).sum()
}

/// Parses the counters in `/proc/stat`. Guest time is part of user time.
#[must_use]
pub fn parse(text: &str, at: Duration) -> Option<HostTimes> {
    let mut fields = text
        .lines()
        .find(|line| line.starts_with("cpu "))?
        .split_ascii_whitespace()
        .skip(1);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let (user, nice, system, idle) = (next()?, next()?, next()?, next()?);
    // Kernels before 2.6 have only these fields.
    let [iowait, irq, softirq, steal] = [(); 4].map(|()| next().unwrap_or(0));
    let busy = user + nice + system + irq + softirq + steal;
    let cores = text.lines().filter(|line| {
        line.strip_prefix("cpu")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    let cores = u32::try_from(cores.count()).ok().filter(|cores| *cores > 0)?;
    Some(HostTimes {
        busy,
        interrupts: irq + softirq,
        total: busy + idle + iowait,
        cores,
        precise: false,
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_counts_io_wait_as_idle_and_stolen_time_as_busy() {
        let text = "cpu  10 20 30 400 50 6 7 8 9 9\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n";
        let times = parse(text, Duration::ZERO);
        let wanted = HostTimes {
            busy: 10 + 20 + 30 + 6 + 7 + 8,
            interrupts: 6 + 7,
            total: 531,
            cores: 2,
            precise: false,
            at: Duration::ZERO,
        };
        assert_eq!(times, Some(wanted));
    }

    /// Trap: a probe error read as "not loaded".
    #[test]
    fn host_text_without_counters_is_refused() {
        for text in [
            "",
            "cpu",
            "cpu  a b c d\ncpu0 1\n",
            "cpu  1 2 3\ncpu0 1\n",
            "cpu0 1 2 3 4\n",
            "cpu  1 2 3 4\n",
        ] {
            assert_eq!(parse(text, Duration::ZERO), None, "{text}");
        }
    }
}
