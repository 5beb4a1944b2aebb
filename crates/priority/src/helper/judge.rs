//! One request: check, move, check again, and move back what is not as it was.

use rustix::process::geteuid;

use super::HelperError;
use super::config::{Account, HelperTable};
use super::denial::Denial;
use super::host::RealHost;
use super::peer::{Asker, Peer};
use super::relocate::{Target, relocate};
use crate::backend::{self, Refusal, Rule};
use crate::cgroup::{Group, Hierarchy};
use crate::handle::ProcessHandle;
use crate::identity::ProcessIdentity;
use crate::process::Proc;
use crate::protocol::{Place, Reply, Request};

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
        let proc = Proc::default();
        if !proc.is_of_this_namespace().map_err(HelperError::Processes)? {
            return Err(HelperError::Namespace);
        }
        let judge = Self {
            allow: table.allow.iter().map(Account::user).collect::<Result<_, _>>()?,
            rule: Rule {
                owner: table.owner.user()?,
                executables: table.executables.clone(),
            },
            cgroup: table.cgroup.clone(),
            proc,
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

    /// The users whose processes may ask.
    pub(super) fn allowed(&self) -> &[u32] {
        &self.allow
    }

    /// Prepared for each request: others write to that file system too.
    fn group(&self) -> Result<Group, crate::cgroup::CgroupError> {
        Group::prepare(Hierarchy::of_host()?, &self.cgroup)
    }

    /// Answers a process of an allowed user, and logs the answer.
    pub(super) fn answer(&self, peer: Peer, request: Request) -> Reply {
        let (asker_pid, asker_uid) = (peer.pid, peer.uid);
        match self.decide(peer, request) {
            Ok((group, moved)) => {
                if let Some(identity) = moved {
                    tracing::info!(
                        asker_pid,
                        asker_uid,
                        pid = identity.pid,
                        start_ticks = identity.start_ticks,
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
            Err(Denial { answer, reason }) => {
                tracing::warn!(asker_pid, asker_uid, ?request, why = %reason, "refused");
                Reply::Refused { why: answer }
            }
        }
    }

    fn decide(&self, peer: Peer, request: Request) -> Result<(Group, Option<ProcessIdentity>), Denial> {
        if !self.allow.contains(&peer.uid) {
            return Err(not_allowed(peer.uid).into());
        }
        let group = self.group().map_err(|error| error.to_string())?;
        let host = RealHost {
            proc: self.proc.clone(),
            hierarchy: group.hierarchy().clone(),
        };
        let moved = match request {
            // It moves nothing, so it takes no proof of which process asks.
            Request::Look => {
                peer.visible_pid()?;
                None
            }
            Request::Own => {
                let asker = peer.admit(&self.proc)?;
                let target = Target {
                    pid: asker.identity.pid,
                    handle: &asker.handle,
                    asker: &asker.handle,
                };
                Some(relocate(&host, group.path(), &target, || self.still(&asker))?)
            }
            Request::Backend { pid } => {
                let asker = peer.admit(&self.proc)?;
                let asker_pid = asker.identity.pid;
                let refuse = |refusal: Refusal| Denial {
                    answer: refusal.answer(asker_pid, pid),
                    reason: refusal.to_string(),
                };
                let handle =
                    ProcessHandle::open(pid).map_err(|error| refuse(Refusal::Unreadable { pid, error }))?;
                let target = Target {
                    pid,
                    handle: &handle,
                    asker: &asker.handle,
                };
                let examine = || {
                    let asker = self.still(&asker)?;
                    let backend = backend::collect(&self.proc, asker_pid, pid)
                        .and_then(|evidence| backend::judge(&self.rule, asker_pid, &evidence))
                        .map_err(refuse)?;
                    Ok((asker, backend))
                };
                let (_, backend) = relocate(&host, group.path(), &target, examine)?;
                Some(backend)
            }
        };
        Ok((group, moved))
    }

    /// The asker's identity, if it is what it was when it was admitted: a program with the setuid bit is not.
    fn still(&self, asker: &Asker) -> Result<ProcessIdentity, Denial> {
        let pid = asker.identity.pid;
        let now = self
            .proc
            .identity(pid)
            .map_err(|error| format!("process {pid}, which asks, cannot be read: {error}"))?;
        if now == asker.identity {
            Ok(now)
        } else {
            Err(
                format!("process {pid}, which asks, changed its user; ask as one user from start to end")
                    .into(),
            )
        }
    }
}

/// What a user reads who may not ask.
pub(super) fn not_allowed(uid: u32) -> String {
    format!("user {uid} may not ask; name it in idle_helper.allow")
}
