//! Memory and CPU time of a process, from the kernel.

use std::fs;
use std::time::Duration;

use crate::Outcome;

/// Memory and CPU time at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Resident memory, in bytes.
    pub(crate) memory: u64,
    /// CPU time since its start.
    pub(crate) cpu: Duration,
}

impl Usage {
    /// Returns the current values of a process.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn of(pid: u32) -> Outcome<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix("kB"));
        let kilobytes: u64 = kilobytes
            .ok_or("no VmRSS in the process status")?
            .trim()
            .parse()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name is in parentheses and may contain any character.
        let fields = stat
            .rsplit_once(')')
            .ok_or("no name in the process statistics")?
            .1;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks
            .map(str::parse::<u64>)
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .sum();
        Ok(Self {
            memory: kilobytes * 1024,
            // The kernel reports hundredths of a second, independent of its tick.
            cpu: Duration::from_millis(ticks * 10),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_this_process_has_memory() {
        let me = std::process::id();
        assert!(Usage::of(me).is_ok_and(|usage| usage.memory > 100_000));
        assert!(Usage::of(u32::MAX).is_err());
    }
}
