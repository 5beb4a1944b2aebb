//! The kernel interface for moving a process, replaceable so that tests can change it between any two steps.

use priority::cgroup::{CgroupError, Hierarchy};
use priority::io_class::{IoClass, IoClassError};
use priority::process::Proc;

use crate::handle::ProcessHandle;

/// The kernel interface. Every method but [`Host::is_running`] addresses a process by its id: the process that has it
/// at this moment.
pub(crate) trait Host {
    /// A process, independent of its id.
    type Handle;
    /// Opens the process with this id; `None` if there is none.
    fn open(&self, pid: u32) -> Option<Self::Handle>;
    /// Whether it still runs, so that its id is its own.
    fn is_running(&self, handle: &Self::Handle) -> bool;
    /// Returns its parent's id.
    fn parent(&self, pid: u32) -> Option<u32>;
    /// Returns its control group.
    fn group(&self, pid: u32) -> Option<String>;
    /// Returns its children's ids.
    fn children(&self, pid: u32) -> Vec<u32>;
    /// Moves it into the group.
    fn put(&self, group: &str, pid: u32) -> Result<(), CgroupError>;
    /// Returns its I/O class.
    fn io_class(&self, pid: u32) -> Option<IoClass>;
    /// Sets its I/O class.
    fn set_io_class(&self, class: IoClass, pid: u32) -> Result<(), IoClassError>;
}

/// The host of this process.
#[derive(Debug, Clone)]
pub(crate) struct RealHost {
    pub(crate) proc: Proc,
    pub(crate) hierarchy: Hierarchy,
}

impl Host for RealHost {
    type Handle = ProcessHandle;

    fn open(&self, pid: u32) -> Option<ProcessHandle> {
        ProcessHandle::open(pid).ok()
    }

    fn is_running(&self, handle: &ProcessHandle) -> bool {
        handle.is_running()
    }

    fn parent(&self, pid: u32) -> Option<u32> {
        self.proc.stat(pid).ok().map(|stat| stat.parent)
    }

    fn group(&self, pid: u32) -> Option<String> {
        let text = self.proc.cgroup(pid).ok()?;
        self.hierarchy.membership(&text).map(str::to_owned)
    }

    fn children(&self, pid: u32) -> Vec<u32> {
        let mut all = self.proc.all().unwrap_or_default();
        all.retain(|child| self.parent(*child) == Some(pid));
        all
    }

    fn put(&self, group: &str, pid: u32) -> Result<(), CgroupError> {
        self.hierarchy.put(group, pid)
    }

    fn io_class(&self, pid: u32) -> Option<IoClass> {
        IoClass::read(pid).ok()
    }

    fn set_io_class(&self, class: IoClass, pid: u32) -> Result<(), IoClassError> {
        class.set(pid)
    }
}
