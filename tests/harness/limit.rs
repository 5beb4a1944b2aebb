//! Resource limits of a running child, set from outside. Limiting one's own children needs no root.

use crate::Process;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::time::Duration;

/// A resource of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Open files and sockets, by the highest descriptor number.
    Files,
    /// Bytes of writable memory. The kernel rejects 0; the smallest useful value is a page.
    Memory,
}

impl Process {
    /// Limits a resource from now on; the process keeps what it already has.
    pub fn limit(&self, what: Limit, most: u64) {
        self.set(what, Some(most));
    }

    /// Raises the limit to the limit of this process.
    pub fn unlimit(&self, what: Limit) {
        self.set(what, getrlimit(resource(what)).current);
    }

    fn set(&self, what: Limit, current: Option<u64>) {
        let maximum = getrlimit(resource(what)).maximum;
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        prlimit(pid, resource(what), Rlimit { current, maximum })
            .unwrap_or_else(|error| panic!("{what:?} of process {}: {error}", self.pid()));
    }

    /// Returns the number of open files and sockets.
    #[must_use]
    pub fn open_files(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        open.map(Iterator::count).unwrap_or_default()
    }

    /// Returns the processor time used so far, in steps of the kernel's clock tick.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The process name is in brackets and may hold anything. User and system time are fields 14 and 15 of the whole line.
        let fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
    }

    /// Returns whether the process handles SIGTERM. Before it installs its handler, the signal ends it.
    #[must_use]
    pub fn handles_sigterm(&self) -> bool {
        const SIGTERM: u64 = 1 << 14;
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask & SIGTERM != 0)
    }
}

fn resource(what: Limit) -> Resource {
    match what {
        Limit::Files => Resource::Nofile,
        Limit::Memory => Resource::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::until;
    use std::process::Command;
    use std::time::Duration;

    #[tokio::test]
    async fn process_limit_applies_until_it_is_lifted() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "while :; do cat /dev/null && echo ok || echo no; sleep 0.02; done 2>/dev/null",
        ]);
        let process = Process::spawn("sh", &mut command);
        let wait_output = async |what: &str, word: &str| {
            let before = process.stdout().matches(word).count();
            until(what, Duration::from_secs(20), async || {
                process.stdout().matches(word).count() > before
            })
            .await;
        };
        wait_output("it to open files", "ok").await;
        assert!(process.open_files() >= 3);
        process.limit(Limit::Files, 0);
        wait_output("it to fail without descriptors", "no").await;
        process.unlimit(Limit::Files);
        wait_output("it to open files again", "ok").await;
    }
}
