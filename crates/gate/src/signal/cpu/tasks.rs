//! The CPU time of processes by thread, on Linux.
//!
//! From each thread's `schedstat`, to the nanosecond; from its `stat`, in ticks, where the kernel
//! keeps none. The files are held open, which is cheap and tells lives apart; the threads of a
//! process are listed anew twice a second. The time of a thread that has ended, or that is not
//! listed yet, counts as the business's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::share::Life;
use crate::signal::procfs::{self, Held};

const LIST_EVERY: Duration = Duration::from_millis(500);

/// The threads of one process.
#[derive(Debug)]
pub struct Tasks {
    pid: u32,
    proof: Held,
    listed: Option<Instant>,
    threads: BTreeMap<u32, (u64, Held)>,
}

impl Tasks {
    /// The threads of this process; none when it is not there.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let proof = Held::open(format!("/proc/{pid}/stat")).ok()?;
        Some(Self {
            pid,
            proof,
            listed: None,
            threads: BTreeMap::new(),
        })
    }

    /// Adds their times, in nanoseconds. Gives false when the process has ended.
    pub fn read(&mut self, lives: &mut u64, times: &mut BTreeMap<Life, u64>) -> bool {
        if self.listed.is_none_or(|at| at.elapsed() >= LIST_EVERY) {
            // Held open, it fails when the process has ended, whoever has its id now.
            if self.proof.text().is_err() || !self.list(lives) {
                return false;
            }
            self.listed = Some(Instant::now());
        }
        self.threads.retain(|_, (life, held)| {
            let Some(time) = held.text().ok().and_then(time) else {
                return false;
            };
            let life = Life {
                pid: self.pid,
                started: *life,
            };
            times.insert(life, time);
            true
        });
        !self.threads.is_empty()
    }

    fn list(&mut self, lives: &mut u64) -> bool {
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
            let held = Held::open(format!("{folder}/{thread}/schedstat"))
                .or_else(|_| Held::open(format!("{folder}/{thread}/stat")));
            if let Ok(held) = held {
                *lives += 1;
                self.threads.insert(thread, (*lives, held));
            }
        }
        // Between the listing and the opening the process may have ended and its id be another's.
        self.proof.text().is_ok()
    }
}

/// PURE: a thread's CPU time from its `schedstat`, or from its `stat`, in nanoseconds.
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
    fn the_time_is_read_from_either_file() {
        assert_eq!(time("609582 2041032 9\n"), Some(609_582));
        let stat = "71 (po) st (x) S 42 71 71 0 -1 4194560 300 0 0 0 12 34 0 0 20 0 1 0 8812 1";
        assert_eq!(time(stat), Some(460_000_000));
        assert_eq!(time("71 (postgres) S 42"), None);
        assert_eq!(time(""), None);
    }
}
