//! What moving a process takes of the host, so that tests can let it change between any two steps.

use crate::cgroup::Hierarchy;
use crate::handle::ProcessHandle;
use crate::io_class::IoClass;
use crate::process::Proc;

/// The kernel, as far as moving a process needs it. Everything but [`Host::is_running`] means a process by its number:
/// whatever has that number at this moment.
pub(super) trait Host {
    /// A process, whatever becomes of its number.
    type Handle;
    /// Opens the process with this number; `None` if there is none.
    fn open(&self, pid: u32) -> Option<Self::Handle>;
    /// Whether it still runs, so that its number is its own.
    fn is_running(&self, handle: &Self::Handle) -> bool;
    /// The number of its parent.
    fn parent(&self, pid: u32) -> Option<u32>;
    /// The control group that it is in.
    fn group(&self, pid: u32) -> Option<String>;
    /// The numbers of its children.
    fn children(&self, pid: u32) -> Vec<u32>;
    /// Moves it there.
    fn put(&self, group: &str, pid: u32) -> Result<(), String>;
    /// Its IO class.
    fn io_class(&self, pid: u32) -> Option<IoClass>;
    /// Gives it that class.
    fn set_io_class(&self, class: IoClass, pid: u32) -> Result<(), String>;
}

/// The host that this process runs on.
#[derive(Debug, Clone)]
pub(super) struct RealHost {
    pub(super) proc: Proc,
    pub(super) hierarchy: Hierarchy,
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

    fn put(&self, group: &str, pid: u32) -> Result<(), String> {
        self.hierarchy.put(group, pid).map_err(|error| error.to_string())
    }

    fn io_class(&self, pid: u32) -> Option<IoClass> {
        IoClass::of(pid).ok()
    }

    fn set_io_class(&self, class: IoClass, pid: u32) -> Result<(), String> {
        class.set(pid)
    }
}
