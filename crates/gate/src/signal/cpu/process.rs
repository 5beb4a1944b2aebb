//! The CPU time of our processes.
//!
//! The whole process list is looked through every two seconds and only for entries that need
//! it; in between only the processes found are read, on Linux from files that are held open.

#[cfg(target_os = "linux")]
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::share::Life;
use crate::own::{OwnEntry, OwnPids};
use crate::signal::SignalError;

/// How often the whole process list is looked through.
const SCAN_EVERY: Duration = Duration::from_secs(2);

/// Finds our processes and reads their CPU time.
#[derive(Debug)]
pub struct OwnProcesses {
    entries: Vec<OwnEntry>,
    pids: OwnPids,
    system: Option<System>,
    found: BTreeSet<Life>,
    scanned: Option<Instant>,
    #[cfg(target_os = "linux")]
    tasks: BTreeMap<u32, super::tasks::Tasks>,
    #[cfg(target_os = "linux")]
    lives: u64,
}

impl OwnProcesses {
    /// Our processes by these entries, this registry, and this process itself.
    #[must_use]
    pub fn new(entries: Vec<OwnEntry>, pids: OwnPids) -> Self {
        Self {
            entries,
            pids,
            system: None,
            found: BTreeSet::new(),
            scanned: None,
            #[cfg(target_os = "linux")]
            tasks: BTreeMap::new(),
            #[cfg(target_os = "linux")]
            lives: 0,
        }
    }

    /// Whether the next reading looks through the whole process list, which takes milliseconds.
    #[must_use]
    pub fn will_scan(&self) -> bool {
        self.scanned.is_none_or(|at| at.elapsed() >= SCAN_EVERY)
            && self
                .entries
                .iter()
                .any(|entry| !matches!(entry, OwnEntry::Pid(_)))
    }

    /// CPU time since its start of each of them, in nanoseconds.
    ///
    /// # Errors
    /// When this system tells nothing about its processes.
    pub fn read(&mut self) -> Result<BTreeMap<Life, u64>, SignalError> {
        if self.will_scan() {
            let mut system = self.take_system()?;
            self.scan(&mut system);
            self.system = Some(system);
            self.scanned = Some(Instant::now());
        }
        let mut named = self.pids.get();
        named.insert(std::process::id());
        named.extend(self.entries.iter().filter_map(|entry| match entry {
            OwnEntry::Pid(pid) => Some(*pid),
            OwnEntry::Program(_) | OwnEntry::Unit(_) => None,
        }));
        self.times(&named)
    }

    fn take_system(&mut self) -> Result<System, SignalError> {
        match self.system.take() {
            Some(system) => Ok(system),
            None => System::new().map_err(|error| SignalError(format!("process list: {error}"))),
        }
    }

    #[cfg(target_os = "linux")]
    fn times(&mut self, named: &BTreeSet<u32>) -> Result<BTreeMap<Life, u64>, SignalError> {
        let mut times = BTreeMap::new();
        let found: BTreeSet<u32> = self.found.iter().map(|life| life.pid).collect();
        self.tasks
            .retain(|pid, _| named.contains(pid) || found.contains(pid));
        for pid in named.union(&found) {
            let tasks = match self.tasks.entry(*pid) {
                Entry::Occupied(tasks) => tasks.into_mut(),
                Entry::Vacant(place) => match super::tasks::Tasks::of(*pid) {
                    Some(tasks) => place.insert(tasks),
                    None => continue,
                },
            };
            if !tasks.read(&mut self.lives, &mut times) {
                self.tasks.remove(pid);
                // Who has this id now is another process, and is looked at by the next scan.
                self.found.retain(|life| life.pid != *pid);
            }
        }
        if times.is_empty() {
            return Err(SignalError("/proc tells nothing about this process".to_owned()));
        }
        Ok(times)
    }

    #[cfg(not(target_os = "linux"))]
    fn times(&mut self, named: &BTreeSet<u32>) -> Result<BTreeMap<Life, u64>, SignalError> {
        let mut system = self.take_system()?;
        let wanted: Vec<Pid> = named
            .iter()
            .copied()
            .chain(self.found.iter().map(|life| life.pid))
            .map(Pid::from_u32)
            .collect();
        let kind = ProcessRefreshKind::nothing().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&wanted), true, kind);
        let times = wanted
            .iter()
            .filter_map(|pid| system.process(*pid))
            .map(|process| {
                (
                    life(process),
                    process.accumulated_cpu_time().saturating_mul(1_000_000),
                )
            })
            .filter(|(life, _)| named.contains(&life.pid) || self.found.contains(life))
            .collect();
        self.system = Some(system);
        Ok(times)
    }

    fn scan(&mut self, system: &mut System) {
        // Always: a process that was seen between fork and exec had another command line.
        let kind = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        let units = self
            .entries
            .iter()
            .any(|entry| matches!(entry, OwnEntry::Unit(_)));
        let is_ours = |process: &Process| {
            let command: Vec<_> = process.cmd().iter().map(|word| word.to_string_lossy()).collect();
            let command: Vec<&str> = command.iter().map(AsRef::as_ref).collect();
            if self.entries.iter().any(|entry| entry.matches_command(&command)) {
                return true;
            }
            let cgroup = if units {
                cgroup(process.pid())
            } else {
                String::new()
            };
            self.entries.iter().any(|entry| entry.matches_cgroup(&cgroup))
        };
        self.found = system
            .processes()
            .values()
            .filter(|process| is_ours(process))
            .map(life)
            .collect();
    }
}

fn life(process: &Process) -> Life {
    Life {
        pid: process.pid().as_u32(),
        started: process.start_time(),
    }
}

/// The control groups of a process; none where there are none.
fn cgroup(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Ends the child that a test started.
    struct Leash(Child);

    impl Drop for Leash {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn started(program: &str, arguments: &[&str]) -> std::io::Result<Leash> {
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map(Leash)
    }

    fn pids(own: &mut OwnProcesses) -> Vec<u32> {
        let times = own.read().unwrap_or_default();
        let pids: BTreeSet<u32> = times.keys().map(|life| life.pid).collect();
        pids.into_iter().collect()
    }

    #[test]
    fn this_process_is_always_ours_and_others_when_told() -> std::io::Result<()> {
        let other = started("cat", &["-"])?;
        let registry = OwnPids::new();
        let mut own = OwnProcesses::new(Vec::new(), registry.clone());
        assert_eq!(pids(&mut own), [std::process::id()]);
        registry.add(other.0.id());
        assert!(pids(&mut own).contains(&other.0.id()));
        registry.remove(other.0.id());
        assert_eq!(pids(&mut own), [std::process::id()]);
        Ok(())
    }

    #[test]
    fn a_program_is_found_by_its_leading_arguments_only() -> std::io::Result<()> {
        let wanted = started("cat", &["-u", "-"])?;
        let other = started("cat", &["-", "-u"])?;
        let entry: Result<OwnEntry, _> = "cat -u".parse();
        // The child has another command line until it has become its program.
        while std::fs::read_to_string(format!("/proc/{}/comm", wanted.0.id()))?.trim() != "cat" {
            std::thread::yield_now();
        }
        let mut own = OwnProcesses::new(entry.into_iter().collect(), OwnPids::new());
        let found = pids(&mut own);
        assert!(found.contains(&wanted.0.id()) && !found.contains(&other.0.id()));
        Ok(())
    }

    #[test]
    fn a_process_that_ended_is_no_longer_read() -> std::io::Result<()> {
        let mut other = started("cat", &["-"])?;
        let registry = OwnPids::new();
        registry.add(other.0.id());
        let mut own = OwnProcesses::new(Vec::new(), registry);
        assert_eq!(pids(&mut own).len(), 2);
        other.0.kill()?;
        other.0.wait()?;
        assert_eq!(pids(&mut own), [std::process::id()]);
        Ok(())
    }

    #[test]
    fn the_time_of_threads_is_counted_once() {
        let mut own = OwnProcesses::new(Vec::new(), OwnPids::new());
        let before: u64 = own.read().unwrap_or_default().values().sum();
        let begun = Instant::now();
        let seen = Arc::new(AtomicBool::new(false));
        let spin = |seen: Arc<AtomicBool>| {
            while !seen.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || spin(seen))
            })
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut spent = 0;
        // They are listed after half a second, and a busy machine lets them run when it likes: half a second of their
        // time, however long that takes.
        while spent < 500_000_000 {
            let now: u64 = own.read().unwrap_or_default().values().sum();
            spent = spent.max(now.saturating_sub(before));
        }
        let most = begun.elapsed().as_nanos() * cores as u128 + 100_000_000;
        seen.store(true, Ordering::Relaxed);
        for thread in threads {
            assert!(thread.join().is_ok());
        }
        assert!(u128::from(spent) <= most, "{spent} ns of at most {most} ns");
    }
}
