//! A process that got the number of the one that was meant, and may have been moved in its place, is put back.

use super::super::host::Host;
use crate::io_class::IoClass;

/// How many processes are put back for one request at most. A number that changes hands in each of them is given away
/// on purpose.
const ROUNDS: usize = 64;

/// What has to be put back of a process that got the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The group that it belongs in.
    pub(super) group: Option<String>,
    /// The IO class that it had.
    pub(super) io_class: Option<IoClass>,
}

/// What was written by a number, so that another process may have got it.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// The groups that it was moved to.
    pub(super) groups: Vec<String>,
    /// Whether it was given the idle IO class.
    pub(super) io_class: bool,
}

impl Written {
    /// A move to this group.
    pub(super) fn group(group: &str) -> Self {
        Self {
            groups: vec![group.to_owned()],
            io_class: false,
        }
    }
}

/// PURE. A process that got the number was forked a moment ago, and a fork has the group and the IO class of its
/// parent. If it is in a group that we wrote, and its parent is not, we put it there. The same with the IO class.
pub(super) fn plan(
    written: &Written,
    group: Option<&str>,
    parent_group: Option<&str>,
    io_class: Option<IoClass>,
    parent_io_class: Option<IoClass>,
) -> Plan {
    let misplaced = group.is_some_and(|group| written.groups.iter().any(|one| one == group));
    let home = parent_group.unwrap_or("/");
    let changed =
        written.io_class && io_class == Some(IoClass::IDLE) && parent_io_class != Some(IoClass::IDLE);
    Plan {
        group: (misplaced && group != Some(home)).then(|| home.to_owned()),
        io_class: changed.then(|| parent_io_class.unwrap_or(IoClass::NONE)),
    }
}

/// Puts back whatever process has the number now, and what it forked meanwhile.
pub(super) fn repair<H: Host>(host: &H, written: Written, pid: u32) {
    work_off(host, written, vec![pid]);
}

/// Puts back what a process forked while it was in the group.
pub(super) fn repair_children<H: Host>(host: &H, written: Written, pid: u32) {
    work_off(host, written, host.children(pid));
}

fn work_off<H: Host>(host: &H, mut written: Written, mut numbers: Vec<u32>) {
    for _ in 0..ROUNDS {
        let Some(pid) = numbers.pop() else { return };
        match put_back(host, &mut written, pid) {
            Round::Done => {}
            Round::Moved => numbers.extend(host.children(pid)),
            Round::Again => numbers.push(pid),
        }
    }
    tracing::error!(
        ?numbers,
        "processes not put back, their numbers change hands too fast"
    );
}

enum Round {
    /// No process has the number, or nothing is wrong with the process that has it.
    Done,
    /// It was put back, or could not be.
    Moved,
    /// The number changed hands meanwhile.
    Again,
}

fn put_back<H: Host>(host: &H, written: &mut Written, pid: u32) -> Round {
    let Some(newcomer) = host.open(pid) else {
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
    // With the same parent as before, it was the parent that was read. And all of it was of the newcomer.
    if !host.is_running(&newcomer) || host.parent(pid) != parent {
        return Round::Again;
    }
    let mut outcome = Ok(());
    if let Some(home) = &plan.group {
        outcome = host.put(home, pid);
        written.groups.push(home.clone());
    }
    if let Some(class) = plan.io_class {
        outcome = outcome.and(host.set_io_class(class, pid));
    }
    if !host.is_running(&newcomer) {
        // Another one has the number, and what was just written.
        return Round::Again;
    }
    match outcome {
        Ok(()) if plan.group.is_none() && plan.io_class.is_none() => Round::Done,
        Ok(()) => {
            tracing::warn!(pid, ?plan, "process had got the number of another one, put back");
            Round::Moved
        }
        Err(error) => {
            tracing::error!(pid, ?plan, %error, "process had got the number of another one, not put back");
            Round::Moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_puts_back_only_what_we_wrote() {
        let written = Written::group("/idle");
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
        let mut written = Written::group("/idle");
        written.io_class = true;
        let of = |own, parent| plan(&written, None, None, own, parent).io_class;
        let idle = Some(IoClass::IDLE);
        assert_eq!(of(idle, Some(IoClass::NONE)), Some(IoClass::NONE));
        assert_eq!(of(idle, None), Some(IoClass::NONE));
        assert_eq!(of(idle, idle), None);
        assert_eq!(of(Some(IoClass::NONE), idle), None);
        assert_eq!(of(None, None), None);
        // Its own choice, for we did not write it.
        written.io_class = false;
        assert_eq!(
            plan(&written, None, None, idle, Some(IoClass::NONE)).io_class,
            None
        );
    }
}
