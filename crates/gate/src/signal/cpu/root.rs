//! The counters of the root control group, if present and plausible.

use std::path::Path;
use std::time::Duration;

use super::proc_stat;
use super::share::HostTimes;
use crate::signal::SignalError;
use crate::signal::procfs::ProcFile;

/// One tick of `/proc/stat` in nanoseconds: the kernel reports hundredths of a second.
const TICK_NS: u64 = 10_000_000;

/// Interval of the plausibility check against the ticks.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The counter file, by control group version.
#[derive(Debug)]
enum CgroupCounter {
    V1(ProcFile),
    V2(ProcFile),
}

/// Reader of the host's counters on Linux.
#[derive(Debug)]
pub struct Counters {
    stat: Option<ProcFile>,
    exact: Option<CgroupCounter>,
    anchor: Option<(HostTimes, u64)>,
}

impl Counters {
    /// Selects the best counters of this system.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stat: None,
            exact: find_counter(),
            anchor: None,
        }
    }

    /// Reads the current counters, timed by this clock.
    ///
    /// # Errors
    /// If they cannot be read or parsed.
    pub fn read(&mut self, clock: impl Fn() -> Duration) -> Result<HostTimes, SignalError> {
        let unread = |what: String| SignalError(format!("/proc/stat: {what}"));
        let stat = match &mut self.stat {
            Some(stat) => stat,
            none => none.insert(ProcFile::open("/proc/stat").map_err(|error| unread(error.to_string()))?),
        };
        let text = stat.text()?;
        let nothing = || unread("no line of CPU counters".to_owned());
        let at = clock();
        let ticks = proc_stat::parse(text, at).ok_or_else(nothing)?;
        let interrupt_and_steal_ticks = proc_stat::interrupt_and_steal_ticks(text).ok_or_else(nothing)?;
        let Some(exact) = &mut self.exact else {
            return Ok(ticks);
        };
        let busy = match exact {
            CgroupCounter::V1(file) => file
                .text()?
                .trim()
                .parse::<u64>()
                .ok()
                .and_then(|nanos| nanos.checked_add(interrupt_and_steal_ticks.checked_mul(TICK_NS)?)),
            CgroupCounter::V2(file) => usage(file.text()?),
        };
        let busy = busy.ok_or_else(|| {
            SignalError("the CPU counter of the root control group is not a number".to_owned())
        })?;
        let at = clock();
        let total = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let precise = HostTimes {
            busy,
            interrupts: ticks.interrupts.saturating_mul(TICK_NS),
            total: total.saturating_mul(u64::from(ticks.cores)),
            cores: ticks.cores,
            precise: true,
            at,
        };
        if !self.is_believable(ticks, busy) {
            tracing::warn!(
                "CPU counter of the root control group is lower than /proc/stat; counter not used"
            );
            self.exact = None;
            return Ok(ticks);
        }
        Ok(precise)
    }

    /// Whether the counter is not below the ticks by more than a quarter of the machine.
    fn is_believable(&mut self, ticks: HostTimes, busy: u64) -> bool {
        let Some((then, busy_then)) = self.anchor else {
            self.anchor = Some((ticks, busy));
            return true;
        };
        if ticks.at.saturating_sub(then.at) < CHECK_INTERVAL {
            return true;
        }
        self.anchor = Some((ticks, busy));
        let by_ticks = ticks.busy.saturating_sub(then.busy).saturating_mul(TICK_NS);
        let all = ticks.total.saturating_sub(then.total).saturating_mul(TICK_NS);
        busy.saturating_sub(busy_then).saturating_add(all / 4) >= by_ticks
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

/// Only the root group has a `release_agent` (version 1) and no `cgroup.type` (version 2).
fn find_counter() -> Option<CgroupCounter> {
    for folder in ["/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct"] {
        let is_root = Path::new(folder).join("release_agent").exists();
        if let (true, Ok(file)) = (is_root, ProcFile::open(format!("{folder}/cpuacct.usage"))) {
            return Some(CgroupCounter::V1(file));
        }
    }
    let folder = Path::new("/sys/fs/cgroup");
    if folder.join("cgroup.controllers").exists() && !folder.join("cgroup.type").exists() {
        let mut file = ProcFile::open("/sys/fs/cgroup/cpu.stat").ok()?;
        let counts = file.text().ok().and_then(usage).is_some_and(|nanos| nanos > 0);
        return counts.then_some(CgroupCounter::V2(file));
    }
    None
}

/// PURE: returns the total CPU time in `cpu.stat`, in nanoseconds.
#[must_use]
pub fn usage(text: &str) -> Option<u64> {
    let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    micros.trim().parse::<u64>().ok()?.checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_stat_is_parsed_and_partial_text_refused() {
        let text = "usage_usec 14789060009\nuser_usec 12638860000\nsystem_usec 2150200009\n";
        assert_eq!(usage(text), Some(14_789_060_009_000));
        for text in ["", "usage_usec", "usage_usec x", "user_usec 3"] {
            assert_eq!(usage(text), None, "{text}");
        }
    }

    #[test]
    fn stuck_counter_during_busy_ticks_is_not_believed() {
        let mut counters = Counters {
            stat: None,
            exact: None,
            anchor: None,
        };
        let ticks = |seconds: u64, busy: u64| HostTimes {
            busy,
            interrupts: 0,
            total: seconds * 200,
            cores: 2,
            precise: false,
            at: Duration::from_secs(seconds),
        };
        assert!(counters.is_believable(ticks(0, 0), 0));
        assert!(counters.is_believable(ticks(3, 60), 0));
        assert!(!counters.is_believable(ticks(6, 660), 0));
    }
}
