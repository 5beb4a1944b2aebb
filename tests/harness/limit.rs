//! Resources of a running child, taken away from outside and given back: no root is needed for one's own.

use crate::Process;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::time::Duration;

/// What a process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Open files and sockets, by their highest number.
    Files,
    /// Bytes of memory that it may write to. The kernel takes 0 for none at all; say a page.
    Memory,
}

impl Process {
    /// Lets it use no more than so much from now on; what it has already it keeps.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn limit(&self, what: Limit, most: u64) {
        self.set(what, Some(most));
    }

    /// Lets it use as much as this process may.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn unlimit(&self, what: Limit) {
        self.set(what, getrlimit(resource(what)).current);
    }

    fn set(&self, what: Limit, current: Option<u64>) {
        let maximum = getrlimit(resource(what)).maximum;
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        prlimit(pid, resource(what), Rlimit { current, maximum })
            .unwrap_or_else(|error| panic!("{what:?} of process {}: {error}", self.pid()));
    }

    /// How many files and sockets it has open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        open.map(Iterator::count).unwrap_or_default()
    }

    /// The processor time that it has used so far, in steps of the kernel's clock tick.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // After the name, which may hold anything, in brackets: user and system time are the 14th and 15th field of all.
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

    /// Whether it handles SIGTERM itself: before that, the signal ends it.
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
    async fn a_running_process_is_limited_and_freed_again() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "while :; do cat /dev/null && echo ok || echo no; sleep 0.02; done 2>/dev/null",
        ]);
        let process = Process::spawn("sh", &mut command);
        let says = async |what: &str, word: &str| {
            let before = process.stdout().matches(word).count();
            until(what, Duration::from_secs(20), async || {
                process.stdout().matches(word).count() > before
            })
            .await;
        };
        says("it to open files", "ok").await;
        assert!(process.open_files() >= 3);
        process.limit(Limit::Files, 0);
        says("it to fail for want of files", "no").await;
        process.unlimit(Limit::Files);
        says("it to open files again", "ok").await;
    }
}
