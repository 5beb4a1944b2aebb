//! One request: look, move, look again, and move back what is not as it was.

use rustix::process::geteuid;

use super::HelperError;
use super::config::{Account, HelperTable};
use crate::backend::{self, Pair, Rule};
use crate::cgroup::{Group, Hierarchy};
use crate::own::io_class;
use crate::process::{Life, Proc};
use crate::protocol::{Place, Reply, Request};

/// Who asks, as the kernel says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub(super) uid: u32,
    /// None when it is in a namespace that this process does not see.
    pub(super) pid: Option<u32>,
}

/// Decides and does.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    allow: Vec<u32>,
    rule: Rule,
    cgroup: String,
    proc: Proc,
}

impl Judge {
    /// Makes the group, too: without the right to, there is no use in listening.
    pub(super) fn new(table: &HelperTable) -> Result<Self, HelperError> {
        if table.allow.is_empty() {
            return Err(HelperError::Nobody);
        }
        let judge = Self {
            allow: table.allow.iter().map(Account::user).collect::<Result<_, _>>()?,
            rule: Rule {
                owner: table.owner.user()?,
                executables: table.executables.clone(),
            },
            cgroup: table.cgroup.clone(),
            proc: Proc::default(),
        };
        let group = judge.group()?;
        tracing::info!(
            cgroup = group.path(),
            level = ?group.level,
            io = group.io.as_ref().err().map_or("lowest", String::as_str),
            uid = geteuid().as_raw(),
            "the idle group is ready"
        );
        Ok(judge)
    }

    /// Set anew each time: others write to that file system too.
    fn group(&self) -> Result<Group, crate::cgroup::CgroupError> {
        Group::prepare(Hierarchy::of_host()?, &self.cgroup)
    }

    /// Answers, and logs the answer.
    pub(super) fn answer(&self, asker: Asker, request: Request) -> Reply {
        let outcome = self.decide(asker, request);
        let (asker_pid, asker_uid) = (asker.pid, asker.uid);
        match outcome {
            Ok((group, moved)) => {
                if let Some(life) = moved {
                    tracing::info!(
                        asker_pid,
                        asker_uid,
                        pid = life.pid,
                        start_ticks = life.start,
                        cgroup = group.path(),
                        "moved a process into the idle group"
                    );
                }
                Reply::Done(Place {
                    controller: group.hierarchy().controller().to_owned(),
                    path: group.path().to_owned(),
                    idle_file: group.idle_file(),
                    level: group.level,
                })
            }
            Err(why) => {
                tracing::warn!(asker_pid, asker_uid, ?request, %why, "refused");
                Reply::Refused { why }
            }
        }
    }

    fn decide(&self, asker: Asker, request: Request) -> Result<(Group, Option<Life>), String> {
        if !self.allow.contains(&asker.uid) {
            return Err(format!(
                "user {} may not ask; name it in idle_helper.allow",
                asker.uid
            ));
        }
        let pid = asker.pid.ok_or(
            "the asking process is in a namespace that the helper does not see; run both on the host",
        )?;
        let told = |error: crate::cgroup::CgroupError| error.to_string();
        let group = self.group().map_err(told)?;
        let moved = match request {
            Request::Look => return Ok((group, None)),
            Request::Own => {
                let look = || self.proc.life(pid).map_err(|error| error.to_string());
                self.relocate(&group, pid, look)?
            }
            Request::Backend { pid: backend } => {
                let look =
                    || backend::verify(&self.proc, &self.rule, pid, backend).map_err(|no| no.to_string());
                self.relocate(&group, backend, look)?.backend
            }
        };
        Ok((group, Some(moved)))
    }

    /// The look is taken twice, around the move: a number that was given to another process in
    /// between, or a connection that ended, is seen by then.
    fn relocate<T: Looked>(
        &self,
        group: &Group,
        pid: u32,
        look: impl Fn() -> Result<T, String>,
    ) -> Result<T, String> {
        let hierarchy = group.hierarchy();
        let before = look()?;
        let from = self
            .proc
            .cgroup(pid)
            .ok()
            .and_then(|text| hierarchy.membership(&text).map(str::to_owned))
            .ok_or_else(|| format!("process {pid} has ended"))?;
        if from != group.path() {
            group.put(pid).map_err(|error| error.to_string())?;
        }
        let there = self
            .proc
            .cgroup(pid)
            .is_ok_and(|text| hierarchy.membership(&text) == Some(group.path()));
        let after = look();
        match after {
            Ok(after) if there && after == before => {
                if let Err(why) = io_class(pid) {
                    tracing::debug!(pid, %why, "no idle io class");
                }
                Ok(after)
            }
            other => {
                let back = self.home(hierarchy, pid, before.subject(), &from, group.path());
                if let Err(error) = hierarchy.put(&back, pid) {
                    tracing::warn!(pid, %error, "could not move a process back");
                }
                Err(match other {
                    Ok(_) if !there => format!("process {pid} was moved and is not in {}", group.path()),
                    Ok(_) => format!("process {pid} became another one meanwhile; it was moved back"),
                    Err(why) => format!("{why}; it was moved back"),
                })
            }
        }
    }

    /// Where a process belongs: where it came from; one that got the number since, or was there
    /// already, where its parent is.
    fn home(&self, hierarchy: &Hierarchy, pid: u32, before: &Life, from: &str, idle: &str) -> String {
        let now = self.proc.life(pid).ok();
        if from != idle && now.as_ref().is_none_or(|now| now.start == before.start) {
            return from.to_owned();
        }
        let parent = now.map_or(before.parent, |now| now.parent);
        let text = self.proc.cgroup(parent).unwrap_or_default();
        match hierarchy.membership(&text) {
            Some(path) if path != idle => path.to_owned(),
            _ => "/".to_owned(),
        }
    }
}

/// What a look finds.
trait Looked: PartialEq {
    /// The process that is moved.
    fn subject(&self) -> &Life;
}

impl Looked for Life {
    fn subject(&self) -> &Life {
        self
    }
}

impl Looked for Pair {
    fn subject(&self) -> &Life {
        &self.backend
    }
}
