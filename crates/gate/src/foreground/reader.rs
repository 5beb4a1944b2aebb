//! Finds the business's processes and reads their scheduling statistics.
//!
//! The business's processes are the other children of the database server whose backend serves
//! us, and programs that the configuration names. The server is the parent of one of our
//! backends, when both run the same program; it is remembered while it lives, so that the
//! business can be watched while we have no connection. Our own backends are left out.
//!
//! At most [`MOST`] processes are watched. Of more, another quarter takes its turn each second,
//! so that two looks always have most in common. Of a process with threads only the first is
//! seen; the parallel workers of our own query count as the business's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::snapshot::{Snapshot, between};
use super::{Foreground, Strain};
use crate::own::{OwnEntry, OwnPids};
use crate::signal::SignalError;
use crate::signal::procfs::{self, Held};

/// How many processes are watched at once.
pub const MOST: usize = 64;

/// How often the list is made anew.
const REFRESH: Duration = Duration::from_secs(1);

/// Reads the strain of the business.
#[derive(Debug)]
pub struct ForegroundReader {
    own: OwnPids,
    programs: Vec<OwnEntry>,
    servers: BTreeMap<u32, Held>,
    watched: BTreeMap<u32, (u64, Held)>,
    lives: u64,
    turn: usize,
    refreshed: Option<Instant>,
    before: Option<Snapshot>,
}

impl ForegroundReader {
    /// A reader that leaves out our own processes, and adds these programs.
    #[must_use]
    pub fn new(own: OwnPids, programs: Vec<OwnEntry>) -> Self {
        Self {
            own,
            programs,
            servers: BTreeMap::new(),
            watched: BTreeMap::new(),
            lives: 0,
            turn: 0,
            refreshed: None,
            before: None,
        }
    }

    /// Whether this system keeps scheduling statistics.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn available() -> Result<(), SignalError> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        match procfs::schedstat(&text) {
            Some(stat) if stat.slices > 0 => Ok(()),
            _ => Err(SignalError(
                "this system keeps no scheduling statistics of processes (/proc/PID/schedstat); use psi_cpu or run_queue"
                    .to_owned(),
            )),
        }
    }

    /// The statistics now. Takes well under a millisecond; once a second the list is made anew,
    /// which takes longer where programs are named.
    ///
    /// # Errors
    /// When this system keeps none.
    pub fn read(&mut self) -> Result<Snapshot, SignalError> {
        if self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
            Self::available()?;
            self.refresh();
            self.refreshed = Some(Instant::now());
        }
        let own = self.own.get();
        let mut lives = BTreeMap::new();
        self.watched.retain(|pid, (life, held)| {
            let stat = held.text().ok().and_then(procfs::schedstat);
            let Some(stat) = stat.filter(|_| !own.contains(pid)) else {
                return false;
            };
            lives.insert(*life, stat);
            true
        });
        let known = !self.servers.is_empty() || !lives.is_empty();
        Ok(Snapshot { lives, known })
    }

    fn refresh(&mut self) {
        let own = self.own.get();
        self.servers.retain(|_, held| held.text().is_ok());
        for pid in &own {
            if let Some((server, held)) = server_of(*pid) {
                self.servers.entry(server).or_insert(held);
            }
        }
        let mut found: BTreeSet<u32> = self.servers.keys().flat_map(|pid| children(*pid)).collect();
        if !self.programs.is_empty() {
            found.extend(processes().filter(|pid| self.is_named(*pid)));
        }
        found.retain(|pid| !own.contains(pid) && *pid != std::process::id());
        let chosen = turn(&found, self.turn);
        self.turn = self.turn.wrapping_add(MOST / 4);
        self.watched.retain(|pid, _| chosen.contains(pid));
        for pid in chosen {
            if self.watched.contains_key(&pid) {
                continue;
            }
            if let Ok(held) = Held::open(format!("/proc/{pid}/schedstat")) {
                self.lives += 1;
                self.watched.insert(pid, (self.lives, held));
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
            // Database servers write what they do behind their name: `postgres: app db idle`.
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
    fn strain(&mut self) -> Option<Strain> {
        let after = match self.read() {
            Ok(after) => after,
            Err(error) => {
                tracing::debug!(%error, "the strain of the business is not known");
                self.before = None;
                return None;
            }
        };
        let strain = self.before.as_ref().and_then(|before| between(before, &after));
        self.before = Some(after);
        strain
    }

    fn forget(&mut self) {
        self.before = None;
    }
}

/// PURE: those whose turn it is.
fn turn(found: &BTreeSet<u32>, from: usize) -> BTreeSet<u32> {
    let skip = if found.len() > MOST { from % found.len() } else { 0 };
    found
        .iter()
        .copied()
        .cycle()
        .skip(skip)
        .take(MOST.min(found.len()))
        .collect()
}

/// The server that started this backend, when it runs the same program.
fn server_of(backend: u32) -> Option<(u32, Held)> {
    let read = |pid: u32| procfs::stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    let child = read(backend)?;
    let held = Held::open(format!("/proc/{}/stat", child.parent)).ok()?;
    (read(child.parent)?.name == child.name).then_some((child.parent, held))
}

/// The children of a process: from the kernel's list, or by looking at all.
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

    struct Leash(Child);

    impl Drop for Leash {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn cat() -> std::io::Result<Leash> {
        let mut command = Command::new("cat");
        command.arg("-").stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().map(Leash)
    }

    #[test]
    fn a_named_process_is_watched_and_one_of_ours_is_not() -> std::io::Result<()> {
        let (business, ours) = (cat()?, cat()?);
        let own = OwnPids::new();
        own.add(ours.0.id());
        let programs = vec![OwnEntry::Pid(business.0.id()), OwnEntry::Pid(ours.0.id())];
        let mut reader = ForegroundReader::new(own.clone(), programs);
        assert_eq!(reader.read().map(|look| look.lives.len()), Ok(1));
        // Trap: its own work read as foreground load. It counts from the moment it is told.
        own.add(business.0.id());
        assert_eq!(reader.read().map(|look| look.lives.len()), Ok(0));
        Ok(())
    }

    #[test]
    fn nothing_known_is_no_strain_and_an_ended_process_is_left_out() -> std::io::Result<()> {
        let mut none = ForegroundReader::new(OwnPids::new(), Vec::new());
        assert_eq!(none.read(), Ok(Snapshot::default()));
        assert_eq!((none.strain(), none.strain()), (None, None));
        let mut business = cat()?;
        let programs = vec![OwnEntry::Pid(business.0.id())];
        let mut reader = ForegroundReader::new(OwnPids::new(), programs);
        assert_eq!(reader.strain(), None);
        assert!(reader.strain().is_some());
        business.0.kill()?;
        business.0.wait()?;
        assert_eq!(reader.strain(), None);
        Ok(())
    }

    #[test]
    fn of_many_processes_most_are_in_the_next_look_too() {
        let found: BTreeSet<u32> = (1..=200).collect();
        let (first, next) = (turn(&found, 190), turn(&found, 190 + MOST / 4));
        assert_eq!((first.len(), next.len()), (MOST, MOST));
        assert!(first.intersection(&next).count() >= MOST / 2);
        let few: BTreeSet<u32> = (1..=3).collect();
        assert_eq!(turn(&few, 7), few);
    }
}
