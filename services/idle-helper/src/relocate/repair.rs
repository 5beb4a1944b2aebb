//! Moves back a process that reused the id of the target and may have been moved in its place.

use priority::io_class::IoClass;

use crate::host::Host;
use crate::log;

/// Maximum processes moved back per request. An id that is reused more often is reused deliberately.
const ROUNDS: usize = 64;

/// The settings to restore of a process that reused the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Its previous group.
    pub(super) group: Option<String>,
    /// Its previous I/O class.
    pub(super) io_class: Option<IoClass>,
}

/// The settings written by id, which another process may have received.
#[derive(Debug, Clone)]
pub(super) struct WrittenSettings {
    /// The groups it was moved to.
    pub(super) groups: Vec<String>,
    /// Whether the idle I/O class was set.
    pub(super) io_class: bool,
}

impl WrittenSettings {
    /// Returns a move to this group.
    pub(super) fn group(group: &str) -> Self {
        Self {
            groups: vec![group.to_owned()],
            io_class: false,
        }
    }
}

/// PURE. A process that reused the id was forked a moment ago, with the group and the I/O class of its parent. If it is
/// in a group that we wrote, and its parent is not, we moved it there. The same applies to the I/O class.
pub(super) fn plan(
    written: &WrittenSettings,
    group: Option<&str>,
    parent_group: Option<&str>,
    io_class: Option<IoClass>,
    parent_io_class: Option<IoClass>,
) -> Plan {
    let is_misplaced = group.is_some_and(|group| written.groups.iter().any(|one| one == group));
    let home = parent_group.unwrap_or("/");
    let changed =
        written.io_class && io_class == Some(IoClass::IDLE) && parent_io_class != Some(IoClass::IDLE);
    Plan {
        group: (is_misplaced && group != Some(home)).then(|| home.to_owned()),
        io_class: changed.then(|| parent_io_class.unwrap_or(IoClass::NONE)),
    }
}

/// Moves back the process that has the id now, and its children.
pub(super) fn repair<H: Host>(host: &H, written: WrittenSettings, pid: u32) {
    repair_all(host, written, vec![pid]);
}

/// Moves back the children that a process forked while it was in the group.
pub(super) fn repair_children<H: Host>(host: &H, written: WrittenSettings, pid: u32) {
    repair_all(host, written, host.children(pid));
}

fn repair_all<H: Host>(host: &H, mut written: WrittenSettings, mut pids: Vec<u32>) {
    for _ in 0..ROUNDS {
        let Some(pid) = pids.pop() else { return };
        match repair_one(host, &mut written, pid) {
            Round::Done => {}
            Round::Moved => pids.extend(host.children(pid)),
            Round::Again => pids.push(pid),
        }
    }
    log::error(
        "processes not moved back, their ids are reused too fast",
        &[("pids", pids.into())],
    );
}

enum Round {
    /// No process has the id, or the process that has it is in the right group.
    Done,
    /// It was moved back, or could not be.
    Moved,
    /// The id was reused meanwhile.
    Again,
}

fn repair_one<H: Host>(host: &H, written: &mut WrittenSettings, pid: u32) -> Round {
    let Some(process) = host.open(pid) else {
        return Round::Done;
    };
    let parent = host.parent(pid);
    let (io_class, parent_io_class) = if written.io_class {
        (
            host.io_class(pid),
            parent.and_then(|parent| host.io_class(parent)),
        )
    } else {
        (None, None)
    };
    let plan = plan(
        written,
        host.group(pid).as_deref(),
        parent.and_then(|parent| host.group(parent)).as_deref(),
        io_class,
        parent_io_class,
    );
    // With the same parent as before, the parent was the one that was read, and all facts concern the new process.
    if !host.is_running(&process) || host.parent(pid) != parent {
        return Round::Again;
    }
    let mut failures = Vec::new();
    if let Some(home) = &plan.group {
        if let Err(error) = host.put(home, pid) {
            failures.push(error.to_string());
        }
        written.groups.push(home.clone());
    }
    if let Some(class) = plan.io_class
        && let Err(error) = host.set_io_class(class, pid)
    {
        failures.push(error.to_string());
    }
    if !host.is_running(&process) {
        // Another process has the id, and received the settings just written.
        return Round::Again;
    }
    if plan.group.is_none() && plan.io_class.is_none() {
        return Round::Done;
    }
    let mut fields = vec![("pid", pid.into()), ("plan", format!("{plan:?}").into())];
    if failures.is_empty() {
        log::warn("process with a reused id moved back", &fields);
    } else {
        fields.push(("error", failures.join("; ").into()));
        log::error("process with a reused id not moved back", &fields);
    }
    Round::Moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_puts_back_only_what_we_wrote() {
        let written = WrittenSettings::group("/idle");
        let of = |group, parent| plan(&written, group, parent, None, None).group;
        assert_eq!(of(Some("/idle"), Some("/app")).as_deref(), Some("/app"));
        assert_eq!(of(Some("/idle"), None).as_deref(), Some("/"));
        // Forked by a member of the group, in another group, or ended.
        for (group, parent) in [
            (Some("/idle"), Some("/idle")),
            (Some("/db"), Some("/app")),
            (None, Some("/app")),
        ] {
            assert_eq!(of(group, parent), None, "{group:?}");
        }
    }

    #[test]
    fn plan_gives_the_io_class_of_the_parent() {
        let mut written = WrittenSettings::group("/idle");
        written.io_class = true;
        let of = |own, parent| plan(&written, None, None, own, parent).io_class;
        let idle = Some(IoClass::IDLE);
        assert_eq!(of(idle, Some(IoClass::NONE)), Some(IoClass::NONE));
        assert_eq!(of(idle, None), Some(IoClass::NONE));
        assert_eq!(of(idle, idle), None);
        assert_eq!(of(Some(IoClass::NONE), idle), None);
        assert_eq!(of(None, None), None);
        // Its own choice, not written by us.
        written.io_class = false;
        assert_eq!(
            plan(&written, None, None, idle, Some(IoClass::NONE)).io_class,
            None
        );
    }
}
