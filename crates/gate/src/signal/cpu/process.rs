//! The CPU time of our processes.
//!
//! The process list is scanned every two seconds, and only if an entry requires it. In between, only the processes
//! found are read; on Linux from files that are kept open.

#[cfg(target_os = "linux")]
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::share::ThreadInstance;
use crate::own::{OwnEntry, OwnPids};
use crate::signal::SignalError;

/// Interval between scans of the process list.
const SCAN_INTERVAL: Duration = Duration::from_secs(2);

/// Finds our processes and reads their CPU time.
#[derive(Debug)]
pub struct OwnProcesses {
    entries: Vec<OwnEntry>,
    pids: OwnPids,
    system: Option<System>,
    found: BTreeSet<ThreadInstance>,
    scanned: Option<Instant>,
    #[cfg(target_os = "linux")]
    tasks: BTreeMap<u32, super::tasks::Tasks>,
    #[cfg(target_os = "linux")]
    instances: u64,
}

impl OwnProcesses {
    /// Creates a reader of the processes in these entries, in this registry, and of this process.
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
            instances: 0,
        }
    }

    /// Whether the next reading scans the process list, which takes milliseconds.
    #[must_use]
    pub fn will_scan(&self) -> bool {
        self.scanned.is_none_or(|at| at.elapsed() >= SCAN_INTERVAL)
            && self
                .entries
                .iter()
                .any(|entry| !matches!(entry, OwnEntry::Pid(_)))
    }

    /// Returns the total CPU time of each of our threads, in nanoseconds.
    ///
    /// # Errors
    /// If this system shows no processes.
    pub fn read(&mut self) -> Result<BTreeMap<ThreadInstance, u64>, SignalError> {
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
    fn times(&mut self, named: &BTreeSet<u32>) -> Result<BTreeMap<ThreadInstance, u64>, SignalError> {
        let mut times = BTreeMap::new();
        let found: BTreeSet<u32> = self.found.iter().map(|instance| instance.pid).collect();
        self.tasks
            .retain(|pid, _| named.contains(pid) || found.contains(pid));
        for pid in named.union(&found) {
            let tasks = match self.tasks.entry(*pid) {
                Entry::Occupied(tasks) => tasks.into_mut(),
                Entry::Vacant(place) => match super::tasks::Tasks::open(*pid) {
                    Some(tasks) => place.insert(tasks),
                    None => continue,
                },
            };
            if !tasks.read(&mut self.instances, &mut times) {
                self.tasks.remove(pid);
                // The id may belong to another process now; the next scan examines it.
                self.found.retain(|instance| instance.pid != *pid);
            }
        }
        if times.is_empty() {
            return Err(SignalError("/proc shows no thread of this process".to_owned()));
        }
        Ok(times)
    }

    #[cfg(not(target_os = "linux"))]
    fn times(&mut self, named: &BTreeSet<u32>) -> Result<BTreeMap<ThreadInstance, u64>, SignalError> {
        let mut system = self.take_system()?;
        let wanted: Vec<Pid> = named
            .iter()
            .copied()
            .chain(self.found.iter().map(|instance| instance.pid))
            .map(Pid::from_u32)
            .collect();
        let kind = ProcessRefreshKind::nothing().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&wanted), true, kind);
        let times = wanted
            .iter()
            .filter_map(|pid| system.process(*pid))
            .map(|process| {
                (
                    instance(process),
                    process.accumulated_cpu_time().saturating_mul(1_000_000),
                )
            })
            .filter(|(instance, _)| named.contains(&instance.pid) || self.found.contains(instance))
            .collect();
        self.system = Some(system);
        Ok(times)
    }

    fn scan(&mut self, system: &mut System) {
        // Always, as a process between fork and exec has another command line.
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
            .map(instance)
            .collect();
    }
}

fn instance(process: &Process) -> ThreadInstance {
    ThreadInstance {
        pid: process.pid().as_u32(),
        started: process.start_time(),
    }
}

/// Returns the control groups of a process; empty if there are none.
fn cgroup(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Kills the child when dropped.
    struct ChildGuard(Child);

    impl Drop for ChildGuard {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn spawn(program: &str, arguments: &[&str]) -> std::io::Result<ChildGuard> {
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map(ChildGuard)
    }

    fn pids(own: &mut OwnProcesses) -> Vec<u32> {
        let times = own.read().unwrap_or_default();
        let pids: BTreeSet<u32> = times.keys().map(|instance| instance.pid).collect();
        pids.into_iter().collect()
    }

    #[test]
    fn own_processes_include_this_one_and_registered_ones() -> std::io::Result<()> {
        let other = spawn("cat", &["-"])?;
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
    fn program_is_found_by_its_leading_arguments() -> std::io::Result<()> {
        let wanted = spawn("cat", &["-u", "-"])?;
        let other = spawn("cat", &["-", "-u"])?;
        let entry: Result<OwnEntry, _> = "cat -u".parse();
        // The child has another command line until exec.
        while std::fs::read_to_string(format!("/proc/{}/comm", wanted.0.id()))?.trim() != "cat" {
            std::thread::yield_now();
        }
        let mut own = OwnProcesses::new(entry.into_iter().collect(), OwnPids::new());
        let found = pids(&mut own);
        assert!(found.contains(&wanted.0.id()) && !found.contains(&other.0.id()));
        Ok(())
    }

    #[test]
    fn ended_process_is_no_longer_read() -> std::io::Result<()> {
        let mut other = spawn("cat", &["-"])?;
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
    fn thread_time_is_counted_once() {
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
        // The threads are listed within half a second, but a busy machine may delay them: wait for half a second of
        // their CPU time, however long that takes.
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
