//! Whether a process is in the idle group and the group is idle, as read by this process.

use crate::cgroup::Level;
use crate::cgroup::hierarchy::membership;
use crate::process::Proc;
use crate::protocol::GroupLocation;

/// Whether a process is in the group now.
#[must_use]
pub fn is_in(proc: &Proc, location: &GroupLocation, pid: u32) -> bool {
    proc.cgroup(pid)
        .is_ok_and(|text| membership(&location.controller, &text) == Some(location.path.as_str()))
}

/// Returns why the group is not idle now, if so.
#[must_use]
pub fn not_idle(location: &GroupLocation) -> Option<String> {
    if let Level::Lowest { why } = &location.level {
        return Some(why.clone());
    }
    match std::fs::read_to_string(&location.idle_file) {
        Ok(text) if text.trim() == "1" => None,
        Ok(_) => Some(format!("{} no longer reads 1", location.idle_file.display())),
        Err(error) => Some(format!("{}: {error}", location.idle_file.display())),
    }
}
