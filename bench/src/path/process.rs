//! Memory and CPU time of a process and of the machine, by the kernel's word.

use std::fs;
use std::time::Duration;

use crate::Outcome;

/// The most memory that a process ever held, in bytes (`VmHWM`).
///
/// # Errors
/// When it is gone.
pub(crate) fn peak_memory(pid: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .ok_or("the kernel tells no VmHWM")?;
    Ok(kilobytes.trim().parse::<u64>()? * 1024)
}

/// CPU time of a process and of all its children, those that ended included.
///
/// # Errors
/// When it is gone.
pub(crate) fn cpu_time(pid: u32) -> Outcome<Duration> {
    let read = || Stat::read(pid).ok_or("the process is gone");
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
            // The kernel counts in hundredths of a second, whatever its own tick is.
            return Ok(Duration::from_millis((now.ticks + now.reaped + children) * 10));
        }
        own = now;
    }
}

/// What all cores did since the machine started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Time at work, whoever's it was.
    pub(crate) busy: Duration,
    /// Time without work, waiting for the disk included.
    pub(crate) idle: Duration,
}

impl Machine {
    /// As of now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(crate) fn now() -> Outcome<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().and_then(|line| line.strip_prefix("cpu "));
        let fields = line.ok_or("the kernel tells no CPU time")?.split_whitespace();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
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
        // The name stands in brackets and may hold anything.
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
    fn this_process_has_memory_and_time() {
        let me = std::process::id();
        assert!(peak_memory(me).is_ok_and(|bytes| bytes > 100_000));
        assert!(cpu_time(me).is_ok());
        assert!(cpu_time(u32::MAX).is_err());
        assert!(Machine::now().is_ok_and(|machine| machine.busy > Duration::ZERO));
    }
}
