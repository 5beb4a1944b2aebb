//! Decides whether a process is exactly the PostgreSQL backend that serves the requester.
//!
//! The requester sends only a process id, and nothing it sends is trusted. Facts are collected from `/proc` as
//! [`Evidence`], and [`judge`] decides on them. The backend must hold the server's end of an established TCP connection
//! whose client's end the requester holds, and its postmaster must listen at the connection's address. A pooler in
//! between holds both of those ends, so a pooled backend, which serves other clients a moment later, is refused. So is
//! a backend that itself connected to the requester, such as a replication worker. It must also belong to the
//! configured owner and run the configured program, as a child of a postmaster. The ends of a Unix socket are not in
//! `/proc`, so such a backend is refused as well.
//!
//! All of this is read by process id. The caller must verify afterwards that the process's handle, opened before, is
//! still running ([`crate::handle`]).

use std::io;
use std::path::PathBuf;

use priority::process::{Proc, ProcessIdentity, ProcessStat};
use priority::sockets::TcpSocket;

/// The characteristics of a backend on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The user that PostgreSQL runs as.
    pub owner: u32,
    /// Its programs; if empty, any program named `postgres`.
    pub executables: Vec<PathBuf>,
}

/// Facts about a process, its parent, and the TCP sockets that it shares with the requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The process, read first.
    pub before: ProcessStat,
    /// The process, read last: with the same parent, the parent lived in between.
    pub after: ProcessStat,
    /// Its user.
    pub owner: u32,
    /// Its program.
    pub program: PathBuf,
    /// Its parent's program and user; `None` when they cannot be read.
    pub parent: Option<(PathBuf, u32)>,
    /// The TCP sockets of the requester.
    pub requester_sockets: Vec<TcpSocket>,
    /// The TCP sockets of the process.
    pub sockets: Vec<TcpSocket>,
    /// The TCP sockets of its parent.
    pub parent_sockets: Vec<TcpSocket>,
}

/// Why a process is not the requester's backend.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The requester cannot be read.
    #[error(
        "process {pid}, which asks, cannot be read: {error}; it ended, or the helper needs root or CAP_SYS_PTRACE"
    )]
    Requester {
        /// The requester.
        pid: u32,
        /// The cause.
        error: io::Error,
    },
    /// The process ended, or `/proc` denies access.
    #[error("process {pid} cannot be read: {error}; it ended, or the helper needs root or CAP_SYS_PTRACE")]
    Unreadable {
        /// The process.
        pid: u32,
        /// The cause.
        error: io::Error,
    },
    /// The two are in different network namespaces.
    #[error(
        "process {0} is in another network namespace than the requester; run both on this host without a container between"
    )]
    Network(u32),
    /// They share no connection.
    #[error("process {backend} does not serve process {requester}: no TCP connection joins them")]
    NotYours {
        /// The requester.
        requester: u32,
        /// The named process.
        backend: u32,
    },
    /// The connection was not made to the backend's postmaster.
    #[error(
        "process {0} is not the server of that connection: the program that started it does not listen at the \
         connection's address; only a client may ask, for the backend that serves it"
    )]
    NotServer(u32),
    /// It belongs to another user.
    #[error(
        "process {pid} is of user {owner}, and the backends here are of user {wanted}; see idle_helper.owner"
    )]
    Owner {
        /// The process.
        pid: u32,
        /// Its user.
        owner: u32,
        /// The user of the backends.
        wanted: u32,
    },
    /// It runs another program.
    #[error("process {0} is not a PostgreSQL backend: it runs another program; see idle_helper.executables")]
    Program(u32),
    /// It was not started by a postmaster.
    #[error("process {0} is not a backend: it is the postmaster, or not a postmaster's child")]
    Postmaster(u32),
    /// It changed during the check.
    #[error("process {0} changed during the check; retry")]
    Changed(u32),
}

impl Refusal {
    /// Returns the reply for the requester.
    ///
    /// The helper sees processes that `/proc` may hide from the requester. For every process that shares no connection
    /// with it, the reply is the same, whether the process exists or not; the reason is in the log.
    #[must_use]
    pub fn answer(&self, requester: u32, backend: u32) -> String {
        match self {
            Self::Unreadable { .. } | Self::Network(_) | Self::NotYours { .. } => format!(
                "process {backend} does not serve process {requester}: no TCP connection joins them; connect over 127.0.0.1, \
                 not over a Unix socket, not through a pooler, and without a container between; the helper's log has \
                 the details"
            ),
            other => other.to_string(),
        }
    }
}

/// Collects the evidence for [`judge`].
///
/// # Errors
/// If a process cannot be read, or they cannot share a connection.
pub fn collect(proc: &Proc, requester: u32, backend: u32) -> Result<Evidence, Refusal> {
    let unreadable = |error| Refusal::Unreadable { pid: backend, error };
    let requester_error = |error| Refusal::Requester {
        pid: requester,
        error,
    };
    let before = proc.stat(backend).map_err(unreadable)?;
    if proc.network(requester).map_err(requester_error)? != proc.network(backend).map_err(unreadable)? {
        return Err(Refusal::Network(backend));
    }
    let requester_inodes = proc.sockets(requester).map_err(requester_error)?;
    let held = proc.sockets(backend).map_err(unreadable)?;
    let parent_inodes = proc.sockets(before.parent).unwrap_or_default();
    let wanted = requester_inodes
        .iter()
        .chain(&held)
        .chain(&parent_inodes)
        .copied()
        .collect();
    let table = proc.tcp(requester, &wanted).map_err(requester_error)?;
    let among = |inodes: &std::collections::BTreeSet<u64>| {
        let held = |socket: &&TcpSocket| inodes.contains(&socket.inode);
        table.iter().filter(held).copied().collect()
    };
    let evidence = Evidence {
        owner: proc.owner(backend).map_err(unreadable)?,
        program: proc.executable(backend).map_err(unreadable)?,
        parent: proc
            .executable(before.parent)
            .ok()
            .zip(proc.owner(before.parent).ok()),
        requester_sockets: among(&requester_inodes),
        sockets: among(&held),
        parent_sockets: among(&parent_inodes),
        after: proc.stat(backend).map_err(unreadable)?,
        before,
    };
    Ok(evidence)
}

/// PURE. Decides whether the process is the requester's backend, and returns its identity.
///
/// # Errors
/// Why it is not.
pub fn judge(rule: &Rule, requester: u32, evidence: &Evidence) -> Result<ProcessIdentity, Refusal> {
    let Evidence { before, after, .. } = evidence;
    let backend = before.pid;
    let ends: Vec<&TcpSocket> = evidence
        .sockets
        .iter()
        .filter(|end| evidence.requester_sockets.iter().any(|other| end.meets(other)))
        .collect();
    // First, because the reply depends on it.
    if ends.is_empty() || requester == backend {
        return Err(Refusal::NotYours { requester, backend });
    }
    if after.has_ended()
        || (before.start_ticks, before.parent, &before.name) != (after.start_ticks, after.parent, &after.name)
    {
        return Err(Refusal::Changed(backend));
    }
    if evidence.owner != rule.owner {
        return Err(Refusal::Owner {
            pid: backend,
            owner: evidence.owner,
            wanted: rule.owner,
        });
    }
    let known = if rule.executables.is_empty() {
        let called = |name: &std::ffi::OsStr| name == "postgres";
        before.name == "postgres" && evidence.program.file_name().is_some_and(called)
    } else {
        rule.executables.contains(&evidence.program)
    };
    if !known {
        return Err(Refusal::Program(backend));
    }
    // The postmaster itself must never be idle: it accepts all connections.
    let of_postmaster = evidence
        .parent
        .as_ref()
        .is_some_and(|(program, owner)| *program == evidence.program && *owner == evidence.owner);
    let listens = evidence.sockets.iter().any(|socket| socket.listens);
    if before.parent == 0 || !of_postmaster || listens {
        return Err(Refusal::Postmaster(backend));
    }
    let accepted = |end: &&TcpSocket| {
        evidence
            .parent_sockets
            .iter()
            .any(|listener| end.accepted_by(listener))
    };
    if !ends.iter().any(accepted) {
        return Err(Refusal::NotServer(backend));
    }
    Ok(ProcessIdentity {
        pid: backend,
        start_ticks: after.start_ticks,
        uid: evidence.owner,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    const RULE: Rule = Rule {
        owner: 26,
        executables: Vec::new(),
    };

    fn verify(proc: &Proc, rule: &Rule, requester: u32, backend: u32) -> Result<ProcessIdentity, Refusal> {
        judge(rule, requester, &collect(proc, requester, backend)?)
    }

    fn row(local: &str, remote: &str, state: &str, inode: u64) -> String {
        format!("0: 0100007F:{local} {remote} {state} 0:0 0:0 0 26 0 {inode} 1\n")
    }

    /// Creates a process with one socket, in the format of `/proc`.
    fn process(root: &Path, pid: u32, parent: u32, exe: &str, uid: u32, socket: u64) {
        let home = root.join(pid.to_string());
        fs::create_dir_all(home.join("fd")).expect("made");
        fs::create_dir_all(home.join("ns")).expect("made");
        fs::create_dir_all(home.join("net")).expect("made");
        let name = exe.rsplit('/').next().unwrap_or(exe);
        let stat = format!("{pid} ({name}) S {parent} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 {pid}00 0\n");
        fs::write(home.join("stat"), stat).expect("written");
        fs::write(home.join("status"), format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n")).expect("written");
        symlink(exe, home.join("exe")).expect("linked");
        symlink("net:[1]", home.join("ns/net")).expect("linked");
        symlink(format!("socket:[{socket}]"), home.join("fd/3")).expect("linked");
        // 5432 is 1538, where 20 listens: client 10 on D431 to 30, client 11 on D432 to 31. 32 connected to 11 itself,
        // which listens on 270F.
        let to = |port: &str| format!("0100007F:{port}");
        let table = [
            "head\n".to_owned(),
            row("1538", "00000000:0000", "0A", 120),
            row("D431", &to("1538"), "01", 110),
            row("1538", &to("D431"), "01", 130),
            row("D432", &to("1538"), "01", 111),
            row("1538", &to("D432"), "01", 131),
            row("270F", &to("D433"), "01", 112),
            row("D433", &to("270F"), "01", 132),
        ];
        fs::write(home.join("net/tcp"), table.concat()).expect("written");
    }

    fn host() -> (tempfile::TempDir, Proc) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        process(root, 10, 1, "/usr/bin/slacktide", 99, 110);
        process(root, 11, 1, "/usr/bin/app", 98, 111);
        symlink("socket:[112]", root.join("11/fd/4")).expect("linked");
        process(root, 20, 1, "/usr/bin/postgres", 26, 120);
        process(root, 30, 20, "/usr/bin/postgres", 26, 130);
        process(root, 31, 20, "/usr/bin/postgres", 26, 131);
        process(root, 32, 20, "/usr/bin/postgres", 26, 132);
        process(root, 40, 20, "/usr/bin/archiver", 26, 140);
        let proc = Proc::with_root(root);
        (folder, proc)
    }

    /// Changes process 30 of a host and returns the refusal.
    fn changed(change: impl FnOnce(&Path)) -> Refusal {
        let (folder, proc) = host();
        change(folder.path());
        verify(&proc, &RULE, 10, 30).expect_err("it was changed")
    }

    #[test]
    fn backend_at_the_other_end_is_ours_and_no_other_is() {
        let (_folder, proc) = host();
        let ours = ProcessIdentity {
            pid: 30,
            start_ticks: 3000,
            uid: 26,
        };
        assert_eq!(verify(&proc, &RULE, 10, 30).expect("ours"), ours);
        for (requester, other) in [(10, 31), (11, 30), (10, 20), (10, 40), (10, 11), (10, 10)] {
            let refused = verify(&proc, &RULE, requester, other);
            assert!(
                matches!(refused, Err(Refusal::NotYours { .. })),
                "{other}: {refused:?}"
            );
        }
        assert!(verify(&proc, &RULE, 11, 31).is_ok());
    }

    #[test]
    fn backend_that_connected_to_the_asker_is_refused() {
        let (_folder, proc) = host();
        assert!(matches!(
            verify(&proc, &RULE, 11, 32),
            Err(Refusal::NotServer(32))
        ));
    }

    #[test]
    fn backend_of_another_user_program_or_parent_is_refused() {
        let replace = |root: &Path, parent: u32, exe: &str, uid: u32| {
            fs::remove_dir_all(root.join("30")).expect("removed");
            process(root, 30, parent, exe, uid, 130);
        };
        let owner = changed(|root| replace(root, 20, "/usr/bin/postgres", 27));
        assert!(matches!(owner, Refusal::Owner { owner: 27, .. }), "{owner}");
        let setuid =
            changed(|root| fs::write(root.join("30/status"), "Uid:\t26\t0\t26\t26\n").expect("written"));
        assert!(matches!(setuid, Refusal::Unreadable { pid: 30, .. }), "{setuid}");
        let program = changed(|root| replace(root, 20, "/usr/bin/psql", 26));
        assert!(matches!(program, Refusal::Program(30)), "{program}");
        let child = changed(|root| replace(root, 11, "/usr/bin/postgres", 26));
        assert!(matches!(child, Refusal::Postmaster(30)), "{child}");
        let another_cluster = changed(|root| {
            process(root, 21, 1, "/usr/bin/postgres", 26, 121);
            replace(root, 21, "/usr/bin/postgres", 26);
        });
        assert!(
            matches!(another_cluster, Refusal::NotServer(30)),
            "{another_cluster}"
        );
        // A postmaster that holds a client's socket, such as at the moment of accepting it.
        let postmaster = changed(|root| symlink("socket:[120]", root.join("30/fd/4")).expect("linked"));
        assert!(matches!(postmaster, Refusal::Postmaster(30)), "{postmaster}");
        let (_folder, proc) = host();
        let named = Rule {
            executables: vec!["/opt/pg/bin/postgres".into()],
            ..RULE
        };
        assert!(matches!(verify(&proc, &named, 10, 30), Err(Refusal::Program(30))));
    }

    #[test]
    fn backend_that_changed_while_it_was_read_is_refused() {
        let (_folder, proc) = host();
        let good = collect(&proc, 10, 30).expect("read");
        type Change = fn(&mut ProcessStat);
        let changes: [Change; 4] = [
            |stat| stat.start_ticks += 1,
            |stat| stat.parent = 1,
            |stat| "sh".clone_into(&mut stat.name),
            |stat| stat.state = 'Z',
        ];
        for change in changes {
            let mut evidence = good.clone();
            change(&mut evidence.after);
            let refused = judge(&RULE, 10, &evidence);
            assert!(matches!(refused, Err(Refusal::Changed(30))), "{evidence:?}");
        }
    }

    /// The same addresses in two network namespaces are two connections.
    #[test]
    fn backend_in_another_network_namespace_is_refused() {
        let refused = changed(|root| {
            let net = root.join("30/ns/net");
            fs::remove_file(&net).expect("removed");
            symlink("net:[2]", &net).expect("linked");
        });
        assert!(matches!(refused, Refusal::Network(30)), "{refused}");
    }

    #[test]
    fn backend_behind_a_pooler_is_refused() {
        let refused = changed(|root| {
            process(root, 12, 1, "/usr/bin/pgbouncer", 99, 110);
            fs::remove_file(root.join("10/fd/3")).expect("removed");
        });
        assert!(matches!(refused, Refusal::NotYours { .. }), "{refused}");
    }

    #[test]
    fn refusal_of_an_unrelated_process_is_always_the_same() {
        let (folder, proc) = host();
        fs::remove_file(folder.path().join("31/ns/net")).expect("removed");
        symlink("net:[2]", folder.path().join("31/ns/net")).expect("linked");
        let answer = |backend: u32| {
            let refused = verify(&proc, &RULE, 10, backend).expect_err("a stranger");
            refused.answer(10, backend).replace(&backend.to_string(), "N")
        };
        let wanted = answer(50);
        assert!(wanted.contains("no TCP connection joins them"), "{wanted}");
        for stranger in [11, 20, 31, 32, 40] {
            assert_eq!(answer(stranger), wanted, "{stranger}");
        }
    }
}
