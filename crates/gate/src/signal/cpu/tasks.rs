//! The CPU time of processes by thread, on Linux.
//!
//! Read from each thread's `schedstat`, in nanoseconds; from its `stat`, in ticks, if the kernel keeps no `schedstat`.
//! The files stay open, which is cheap and distinguishes instances. The threads of a process are listed twice a second.
//! The time of a thread that has ended, or that is not listed yet, counts as the business's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::share::ThreadInstance;
use crate::signal::procfs::{self, ProcFile};

const LIST_INTERVAL: Duration = Duration::from_millis(500);

/// The threads of one process.
#[derive(Debug)]
pub struct Tasks {
    pid: u32,
    process_stat: ProcFile,
    listed: Option<Instant>,
    threads: BTreeMap<u32, (u64, ProcFile)>,
}

impl Tasks {
    /// Opens the process; `None` if it does not exist.
    #[must_use]
    pub fn open(pid: u32) -> Option<Self> {
        let process_stat = ProcFile::open(format!("/proc/{pid}/stat")).ok()?;
        Some(Self {
            pid,
            process_stat,
            listed: None,
            threads: BTreeMap::new(),
        })
    }

    /// Adds the threads' times, in nanoseconds. Returns false if the process has ended.
    pub fn read(&mut self, instances: &mut u64, times: &mut BTreeMap<ThreadInstance, u64>) -> bool {
        if self.listed.is_none_or(|at| at.elapsed() >= LIST_INTERVAL) {
            // Reading the open file fails if the process has ended, even if its id was reused.
            if self.process_stat.text().is_err() || !self.list_threads(instances) {
                return false;
            }
            self.listed = Some(Instant::now());
        }
        self.threads.retain(|_, (instance, file)| {
            let Some(time) = file.text().ok().and_then(time) else {
                return false;
            };
            let instance = ThreadInstance {
                pid: self.pid,
                started: *instance,
            };
            times.insert(instance, time);
            true
        });
        !self.threads.is_empty()
    }

    fn list_threads(&mut self, instances: &mut u64) -> bool {
        let folder = format!("/proc/{}/task", self.pid);
        let Ok(entries) = std::fs::read_dir(&folder) else {
            return false;
        };
        for thread in entries.flatten() {
            let Some(thread) = thread.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if self.threads.contains_key(&thread) {
                continue;
            }
            let file = ProcFile::open(format!("{folder}/{thread}/schedstat"))
                .or_else(|_| ProcFile::open(format!("{folder}/{thread}/stat")));
            if let Ok(file) = file {
                *instances += 1;
                self.threads.insert(thread, (*instances, file));
            }
        }
        // The process may have ended between listing and opening, and its id may have been reused.
        self.process_stat.text().is_ok()
    }
}

/// PURE: returns a thread's CPU time from its `schedstat` or its `stat`, in nanoseconds.
fn time(text: &str) -> Option<u64> {
    let Some((_, rest)) = text.rsplit_once(')') else {
        return procfs::schedstat(text).map(|stat| stat.run);
    };
    let mut fields = rest.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)?.checked_mul(10_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_time_is_read_from_either_file() {
        assert_eq!(time("609582 2041032 9\n"), Some(609_582));
        let stat = "71 (po) st (x) S 42 71 71 0 -1 4194560 300 0 0 0 12 34 0 0 20 0 1 0 8812 1";
        assert_eq!(time(stat), Some(460_000_000));
        assert_eq!(time("71 (postgres) S 42"), None);
        assert_eq!(time(""), None);
    }
}
