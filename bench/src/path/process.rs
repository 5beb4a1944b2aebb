//! Memory and CPU time of a process and of the machine, from the kernel.

use std::fs;
use std::time::Duration;

use crate::Outcome;

/// Returns the peak memory of a process, in bytes (`VmHWM`).
///
/// # Errors
/// If the process has ended.
pub(crate) fn peak_memory(pid: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .ok_or("no VmHWM in the process status")?;
    Ok(kilobytes.trim().parse::<u64>()? * 1024)
}

/// Returns the CPU time of a process and of all its children, including ended ones.
///
/// # Errors
/// If the process has ended.
pub(crate) fn cpu_time(pid: u32) -> Outcome<Duration> {
    let read = || Stat::read(pid).ok_or("the process has ended");
    let mut own = read()?;
    loop {
        let mut children = 0;
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(other) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(stat) = Stat::read(other).filter(|stat| stat.parent == pid) {
                children += stat.ticks + stat.reaped;
            }
        }
        let now = read()?;
        // A child that ended meanwhile would be counted twice, or not at all.
        if now.reaped == own.reaped {
            // The kernel reports hundredths of a second, independent of its tick.
            return Ok(Duration::from_millis((now.ticks + now.reaped + children) * 10));
        }
        own = now;
    }
}

/// Returns the CPU time of the ended children of this process.
///
/// # Errors
/// If the kernel does not report it.
pub(crate) fn ended_children() -> Outcome<Duration> {
    let own = Stat::read(std::process::id()).ok_or("no CPU time of this process")?;
    Ok(Duration::from_millis(own.reaped * 10))
}

/// The CPU time of all cores since boot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Busy time of all processes.
    pub(crate) busy: Duration,
    /// Idle time, including I/O wait.
    pub(crate) idle: Duration,
}

impl Machine {
    /// Returns the current values.
    ///
    /// # Errors
    /// If the kernel does not report them.
    pub(crate) fn now() -> Outcome<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().and_then(|line| line.strip_prefix("cpu "));
        let fields = line.ok_or("no CPU time in /proc/stat")?.split_whitespace();
        // user, nice, system, idle, iowait, irq, softirq, steal; user includes guests.
        let ticks = fields
            .take(8)
            .map(str::parse::<u64>)
            .collect::<Result<Vec<_>, _>>()?;
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        let all: u64 = ticks.iter().sum();
        Ok(Self {
            busy: Duration::from_millis((all - idle) * 10),
            idle: Duration::from_millis(idle * 10),
        })
    }
}

struct Stat {
    parent: u32,
    ticks: u64,
    reaped: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may contain any character.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
            reaped: number(13)? + number(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_of_this_test_has_memory_and_time() {
        let me = std::process::id();
        assert!(peak_memory(me).is_ok_and(|bytes| bytes > 100_000));
        assert!(cpu_time(me).is_ok());
        assert!(cpu_time(u32::MAX).is_err());
        assert!(Machine::now().is_ok_and(|machine| machine.busy > Duration::ZERO));
    }
}
