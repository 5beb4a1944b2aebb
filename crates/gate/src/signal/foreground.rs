//! Finds the business's processes and reads their scheduling statistics.
//!
//! These are the other children of the database server whose backend serves us, and the programs that the configuration
//! names. The server is the parent of one of our backends, if both run the same program. It is remembered while it
//! lives, so that the business can be measured while we have no connection. Our own backends are excluded.
//!
//! At most [`MAX_WATCHED`] processes are watched. If there are more, the set rotates by a quarter each second, so that
//! two snapshots always have most processes in common. Only the main thread of a process is measured. The parallel
//! workers of our own query count as the business's.
//!
//! - `snapshot` PURE: two snapshots -> scheduler contention

mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::SignalError;
use super::procfs::{self, ProcFile};
use crate::foreground::{Foreground, SchedulerContention};
use crate::own::{OwnEntry, OwnPids};

pub use snapshot::{Snapshot, contention_between};

/// Maximum number of watched processes.
pub const MAX_WATCHED: usize = 64;

/// Interval between refreshes of the process list.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Reads the scheduler contention of the business.
#[derive(Debug)]
pub struct ForegroundReader {
    own: OwnPids,
    programs: Vec<OwnEntry>,
    servers: BTreeMap<u32, ProcFile>,
    watched: BTreeMap<u32, (u64, ProcFile)>,
    last_id: u64,
    rotation: usize,
    refreshed: Option<Instant>,
    before: Option<Snapshot>,
}

impl ForegroundReader {
    /// Creates a reader that excludes our own processes and includes these programs.
    #[must_use]
    pub fn new(own: OwnPids, programs: Vec<OwnEntry>) -> Self {
        Self {
            own,
            programs,
            servers: BTreeMap::new(),
            watched: BTreeMap::new(),
            last_id: 0,
            rotation: 0,
            refreshed: None,
            before: None,
        }
    }

    /// Checks whether this system keeps scheduling statistics.
    ///
    /// # Errors
    /// If not, with the remedy.
    pub fn check_available() -> Result<(), SignalError> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        match procfs::schedstat(&text) {
            Some(stat) if stat.slices > 0 => Ok(()),
            _ => Err(SignalError(
                "this system keeps no scheduling statistics of processes (/proc/PID/schedstat); use psi_cpu or run_queue"
                    .to_owned(),
            )),
        }
    }

    /// Reads the current statistics. Takes well under a millisecond; the refresh once a second takes longer if programs
    /// are named.
    ///
    /// # Errors
    /// If this system keeps none.
    pub fn read(&mut self) -> Result<Snapshot, SignalError> {
        if self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH_INTERVAL) {
            Self::check_available()?;
            self.refresh();
            self.refreshed = Some(Instant::now());
        }
        let own = self.own.get();
        let mut stats = BTreeMap::new();
        self.watched.retain(|pid, (id, file)| {
            let stat = file.text().ok().and_then(procfs::schedstat);
            let Some(stat) = stat.filter(|_| !own.contains(pid)) else {
                return false;
            };
            stats.insert(*id, stat);
            true
        });
        let known = !self.servers.is_empty() || !stats.is_empty();
        Ok(Snapshot {
            processes: stats,
            known,
        })
    }

    fn refresh(&mut self) {
        let own = self.own.get();
        self.servers.retain(|_, file| file.text().is_ok());
        for pid in &own {
            if let Some((server, file)) = server_of(*pid) {
                self.servers.entry(server).or_insert(file);
            }
        }
        let mut found: BTreeSet<u32> = self.servers.keys().flat_map(|pid| children(*pid)).collect();
        if !self.programs.is_empty() {
            found.extend(processes().filter(|pid| self.is_named(*pid)));
        }
        found.retain(|pid| !own.contains(pid) && *pid != std::process::id());
        let chosen = select_rotating(&found, self.rotation);
        self.rotation = self.rotation.wrapping_add(MAX_WATCHED / 4);
        self.watched.retain(|pid, _| chosen.contains(pid));
        for pid in chosen {
            if self.watched.contains_key(&pid) {
                continue;
            }
            if let Ok(file) = ProcFile::open(format!("/proc/{pid}/schedstat")) {
                self.last_id += 1;
                self.watched.insert(pid, (self.last_id, file));
            }
        }
    }

    fn is_named(&self, pid: u32) -> bool {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        let words: Vec<&str> = command.trim_end_matches('\0').split('\0').collect();
        let cgroup = || std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        self.programs.iter().any(|entry| match entry {
            OwnEntry::Pid(wanted) => *wanted == pid,
            // Database servers put their state after their name: `postgres: app db idle`.
            OwnEntry::Program(wanted) => {
                let first = words.first().copied().unwrap_or_default();
                let title = first.split_once(": ").map_or("", |(program, _)| program);
                entry.matches_command(&words) || (wanted.len() == 1 && wanted.iter().any(|w| w == title))
            }
            OwnEntry::Unit(_) => entry.matches_cgroup(&cgroup()),
        })
    }
}

impl Foreground for ForegroundReader {
    fn contention(&mut self) -> Option<SchedulerContention> {
        let after = match self.read() {
            Ok(after) => after,
            Err(error) => {
                tracing::debug!(%error, "scheduler contention of the business not known");
                self.before = None;
                return None;
            }
        };
        let contention = self
            .before
            .as_ref()
            .and_then(|before| contention_between(before, &after));
        self.before = Some(after);
        contention
    }

    fn reset(&mut self) {
        self.before = None;
    }
}

/// PURE: selects the processes to watch, starting at a rotating offset.
fn select_rotating(found: &BTreeSet<u32>, from: usize) -> BTreeSet<u32> {
    let skip = if found.len() > MAX_WATCHED {
        from % found.len()
    } else {
        0
    };
    found
        .iter()
        .copied()
        .cycle()
        .skip(skip)
        .take(MAX_WATCHED.min(found.len()))
        .collect()
}

/// Returns the server that started this backend, if it runs the same program.
fn server_of(backend: u32) -> Option<(u32, ProcFile)> {
    let read = |pid: u32| procfs::stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    let child = read(backend)?;
    let file = ProcFile::open(format!("/proc/{}/stat", child.parent)).ok()?;
    (read(child.parent)?.name == child.name).then_some((child.parent, file))
}

/// Returns the children of a process, from the kernel's list or by scanning all processes.
fn children(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).map_or_else(
        |_| {
            let is_child = |child: &u32| {
                std::fs::read_to_string(format!("/proc/{child}/stat"))
                    .ok()
                    .and_then(|text| procfs::stat(&text))
                    .is_some_and(|stat| stat.parent == pid)
            };
            processes().filter(is_child).collect()
        },
        |list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect()
        },
    )
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    struct ChildGuard(Child);

    impl Drop for ChildGuard {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn cat() -> std::io::Result<ChildGuard> {
        let mut command = Command::new("cat");
        command.arg("-").stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().map(ChildGuard)
    }

    #[test]
    fn reader_watches_named_processes_except_our_own() -> std::io::Result<()> {
        let (business, ours) = (cat()?, cat()?);
        let own = OwnPids::new();
        own.add(ours.0.id());
        let programs = vec![OwnEntry::Pid(business.0.id()), OwnEntry::Pid(ours.0.id())];
        let mut reader = ForegroundReader::new(own.clone(), programs);
        assert_eq!(reader.read().map(|snapshot| snapshot.processes.len()), Ok(1));
        // Trap: its own work read as foreground load. The exclusion takes effect at once.
        own.add(business.0.id());
        assert_eq!(reader.read().map(|snapshot| snapshot.processes.len()), Ok(0));
        Ok(())
    }

    #[test]
    fn reader_unknown_or_ended_process_gives_no_contention() -> std::io::Result<()> {
        let mut none = ForegroundReader::new(OwnPids::new(), Vec::new());
        assert_eq!(none.read(), Ok(Snapshot::default()));
        assert_eq!((none.contention(), none.contention()), (None, None));
        let mut business = cat()?;
        let programs = vec![OwnEntry::Pid(business.0.id())];
        let mut reader = ForegroundReader::new(OwnPids::new(), programs);
        assert_eq!(reader.contention(), None);
        assert!(reader.contention().is_some());
        business.0.kill()?;
        business.0.wait()?;
        assert_eq!(reader.contention(), None);
        Ok(())
    }

    #[test]
    fn rotation_keeps_at_least_half_of_the_processes() {
        let found: BTreeSet<u32> = (1..=200).collect();
        let (first, next) = (
            select_rotating(&found, 190),
            select_rotating(&found, 190 + MAX_WATCHED / 4),
        );
        assert_eq!((first.len(), next.len()), (MAX_WATCHED, MAX_WATCHED));
        assert!(first.intersection(&next).count() >= MAX_WATCHED / 2);
        let few: BTreeSet<u32> = (1..=3).collect();
        assert_eq!(select_rotating(&few, 7), few);
    }
}
