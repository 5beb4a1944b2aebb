//! Reads processes from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use crate::sockets::{TcpSocket, tcp_socket};

/// The identity of a process beyond its id, as it was when it was read.
///
/// The kernel reuses the id of a process that ended; with `pid_max` 32768 that takes a second or two of forking. An id
/// alone proves nothing: this value is compared before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The process id (thread group id).
    pub pid: u32,
    /// The start time, in clock ticks since boot.
    pub start_ticks: u64,
    /// The user: real, effective, saved and file system user are equal.
    pub uid: u32,
}

/// The `/proc` file system.
#[derive(Debug, Clone)]
pub struct Proc {
    root: PathBuf,
}

impl Default for Proc {
    fn default() -> Self {
        Self::with_root("/proc")
    }
}

/// Fields of `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStat {
    /// The process id.
    pub pid: u32,
    /// The program's name as the kernel keeps it, at most 15 bytes.
    pub name: String,
    /// The state: `Z` and `X` have ended.
    pub state: char,
    /// The parent's process id; 0 outside this namespace.
    pub parent: u32,
    /// The session: the process id of its leader; 0 if the leader is outside this namespace, as in a container or under
    /// a supervisor.
    pub session: u32,
    /// The start time, in clock ticks since boot.
    pub start_ticks: u64,
}

impl ProcessStat {
    /// Returns whether the process ended and only waits to be reaped.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Maximum number of descriptors read per process: the requester decides how many it opens.
const MAX_DESCRIPTORS: usize = 16_384;

impl Proc {
    /// Uses another root, for tests.
    #[must_use]
    pub fn with_root(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the ids of all processes.
    ///
    /// # Errors
    /// If `/proc` is not mounted.
    pub fn all(&self) -> io::Result<Vec<u32>> {
        let entries = fs::read_dir(&self.root)?.flatten();
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        Ok(entries.filter_map(number).collect())
    }

    /// Reads the process that has this id now.
    ///
    /// # Errors
    /// If no process has it.
    pub fn stat(&self, pid: u32) -> io::Result<ProcessStat> {
        let text = fs::read_to_string(self.path(pid, "stat"))?;
        stat(pid, &text).ok_or_else(|| io::Error::other("its stat is in no known form"))
    }

    /// Returns its user, if its real, effective, saved and file system user are equal.
    ///
    /// # Errors
    /// If it ended, or its users differ, as in a setuid program.
    pub fn owner(&self, pid: u32) -> io::Result<u32> {
        let text = fs::read_to_string(self.path(pid, "status"))?;
        owner(&text).ok_or_else(|| io::Error::other("its users differ"))
    }

    /// Returns its identity.
    ///
    /// # Errors
    /// As for [`Proc::owner`], and when it is a zombie.
    pub fn identity(&self, pid: u32) -> io::Result<ProcessIdentity> {
        let stat = self.stat(pid)?;
        if stat.has_ended() {
            return Err(io::Error::other("it has ended"));
        }
        Ok(ProcessIdentity {
            pid,
            start_ticks: stat.start_ticks,
            uid: self.owner(pid)?,
        })
    }

    /// Returns whether the ids are those of this process's own namespace. In a container with the host's `/proc` they
    /// are not, and the kernel means another process by the same id.
    ///
    /// # Errors
    /// If `/proc` is not mounted.
    pub fn is_of_this_namespace(&self) -> io::Result<bool> {
        let text = fs::read_to_string(self.root.join("self/status"))?;
        Ok(numbers(&text) == [std::process::id()])
    }

    /// Returns the program that it runs.
    ///
    /// # Errors
    /// If it ended, or access is denied.
    pub fn executable(&self, pid: u32) -> io::Result<PathBuf> {
        let path = fs::read_link(self.path(pid, "exe"))?;
        // An update replaced the file while the program runs.
        Ok(
            match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
                Some(text) => PathBuf::from(text),
                None => path,
            },
        )
    }

    /// Returns its network namespace; equal values mean the same namespace.
    ///
    /// # Errors
    /// As for [`Proc::executable`].
    pub fn network(&self, pid: u32) -> io::Result<PathBuf> {
        fs::read_link(self.path(pid, "ns/net"))
    }

    /// Returns its control groups.
    ///
    /// # Errors
    /// If it ended.
    pub fn cgroup(&self, pid: u32) -> io::Result<String> {
        fs::read_to_string(self.path(pid, "cgroup"))
    }

    /// Returns the inodes of its open sockets.
    ///
    /// # Errors
    /// As for [`Proc::executable`], and when it has too many descriptors.
    pub fn sockets(&self, pid: u32) -> io::Result<BTreeSet<u64>> {
        let mut found = BTreeSet::new();
        for (count, entry) in fs::read_dir(self.path(pid, "fd"))?.enumerate() {
            if count >= MAX_DESCRIPTORS {
                return Err(io::Error::other(format!(
                    "it has more than {MAX_DESCRIPTORS} open descriptors"
                )));
            }
            // Ignores a descriptor that was closed meanwhile.
            let Ok(target) = fs::read_link(entry?.path()) else {
                continue;
            };
            let number: Option<u64> = target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:["))
                .and_then(|text| text.strip_suffix(']'))
                .and_then(|text| text.parse().ok());
            found.extend(number);
        }
        Ok(found)
    }

    /// Returns the TCP sockets with these inodes in the process's network namespace.
    ///
    /// Read line by line: a host may have more connections than fit into the helper's memory.
    ///
    /// # Errors
    /// As for [`Proc::executable`].
    pub fn tcp(&self, pid: u32, wanted: &BTreeSet<u64>) -> io::Result<Vec<TcpSocket>> {
        let mut found = Vec::new();
        for table in ["net/tcp", "net/tcp6"] {
            let file = match fs::File::open(self.path(pid, table)) {
                Ok(file) => file,
                // A host without IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound && table == "net/tcp6" => continue,
                Err(error) => return Err(error),
            };
            for line in io::BufReader::new(file).lines().skip(1) {
                found.extend(tcp_socket(&line?).filter(|socket| wanted.contains(&socket.inode)));
            }
        }
        Ok(found)
    }

    fn path(&self, pid: u32, file: impl AsRef<Path>) -> PathBuf {
        self.root.join(pid.to_string()).join(file)
    }
}

/// PURE. The name may contain blanks and parentheses, so the last parenthesis ends it.
fn stat(pid: u32, text: &str) -> Option<ProcessStat> {
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(ProcessStat {
        pid,
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// PURE. Checks all four users, as a setuid program has two of the requester and two of another user.
fn owner(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let users: Vec<u32> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    match users.as_slice() {
        [real, effective, saved, files] if [effective, saved, files].iter().all(|uid| *uid == real) => {
            Some(*real)
        }
        _ => None,
    }
}

/// PURE. Returns the ids of a process, from the namespace of this `/proc` inwards to its own.
fn numbers(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stat_name_cannot_forge_the_fields() {
        let text = "7 (a) S 1 1) S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 999 0";
        let found = stat(7, text).expect("a process");
        assert_eq!(
            (
                found.name.as_str(),
                found.state,
                found.parent,
                found.session,
                found.start_ticks
            ),
            ("a) S 1 1", 'S', 3, 5, 999)
        );
        assert!(stat(7, "7 (a) S 1").is_none() && stat(7, "").is_none());
    }

    #[test]
    fn owner_of_a_process_with_two_users_is_unknown() {
        assert_eq!(owner("Name:\tx\nUid:\t5\t5\t5\t5\n"), Some(5));
        for line in [
            "Uid:\t5\t0\t5\t5\n",
            "Uid:\t5\t5\t0\t5\n",
            "Uid:\t5\t5\t5\t0\n",
            "Uid:\t5\n",
            "",
        ] {
            assert_eq!(owner(line), None, "{line}");
        }
    }

    #[test]
    fn process_in_an_inner_namespace_has_several_ids() {
        assert_eq!(numbers("NSpid:\t77\t1\n"), [77, 1]);
        assert_eq!(numbers("NSpid:\t77\n"), [77]);
        assert!(numbers("").is_empty());
        assert!(Proc::default().is_of_this_namespace().expect("mounted"));
    }

    #[test]
    fn proc_reads_this_process() {
        let (proc, pid) = (Proc::default(), std::process::id());
        let identity = proc.identity(pid).expect("this process");
        assert!(identity.start_ticks > 0);
        assert_eq!(identity.uid, rustix::process::getuid().as_raw());
        assert_eq!(proc.executable(pid).ok(), std::env::current_exe().ok());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let local = client.local_addr().expect("connected");
        let sockets = proc.sockets(pid).expect("its sockets");
        let tcp = proc.tcp(pid, &sockets).expect("its connections");
        assert!(tcp.iter().any(|socket| socket.local == local && !socket.listens));
        assert!(
            tcp.iter()
                .any(|socket| socket.local == listener.local_addr().expect("bound") && socket.listens)
        );
        assert!(proc.tcp(pid, &BTreeSet::new()).expect("read").is_empty());
    }

    proptest! {
        #[test]
        fn parsers_accept_any_text_without_panic(text in any::<String>(), fields in "[0-9 ()SZ:-]{0,200}") {
            for text in [&text, &fields, &format!("7 ({text}) S {fields}")] {
                let _ = (stat(7, text), owner(text), owner(&format!("Uid:{text}")), numbers(&format!("NSpid:{text}")));
            }
        }
    }
}
