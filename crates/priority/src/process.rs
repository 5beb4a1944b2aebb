//! What `/proc` says of a process.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::sockets::{Connection, connections};

/// The file system that tells of processes.
#[derive(Debug, Clone)]
pub struct Proc {
    root: PathBuf,
}

impl Default for Proc {
    fn default() -> Self {
        Self::at("/proc")
    }
}

/// A life of a process: numbers are used again, a number with its start is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The number.
    pub pid: u32,
    /// The program's name as the kernel keeps it, at most 15 bytes.
    pub name: String,
    /// Who started it; 0 outside this namespace.
    pub parent: u32,
    /// Its session: the number of the process that leads it; 0 where that one is outside this namespace, as in a
    /// container or under a supervisor.
    pub session: u32,
    /// When, in ticks since the host started.
    pub start: u64,
}

impl Proc {
    /// Another one, for tests.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The life that has this number now.
    ///
    /// # Errors
    /// When there is none.
    pub fn life(&self, pid: u32) -> io::Result<Life> {
        let text = fs::read_to_string(self.of(pid, "stat"))?;
        life(pid, &text).ok_or_else(|| io::Error::other("its stat is in no known form"))
    }

    /// Whose it is: real and effective user, when they are one.
    ///
    /// # Errors
    /// When it ended, or changed its user in part.
    pub fn owner(&self, pid: u32) -> io::Result<u32> {
        let text = fs::read_to_string(self.of(pid, "status"))?;
        owner(&text).ok_or_else(|| io::Error::other("its users differ"))
    }

    /// The program that it runs.
    ///
    /// # Errors
    /// When it ended or this process may not look.
    pub fn executable(&self, pid: u32) -> io::Result<PathBuf> {
        let path = fs::read_link(self.of(pid, "exe"))?;
        // An update replaced the file while the program runs.
        Ok(
            match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
                Some(text) => PathBuf::from(text),
                None => path,
            },
        )
    }

    /// The network that it is in; two processes with the same are in the same.
    ///
    /// # Errors
    /// As for [`Proc::executable`].
    pub fn network(&self, pid: u32) -> io::Result<PathBuf> {
        fs::read_link(self.of(pid, "ns/net"))
    }

    /// The control groups that it is in.
    ///
    /// # Errors
    /// When it ended.
    pub fn cgroup(&self, pid: u32) -> io::Result<String> {
        fs::read_to_string(self.of(pid, "cgroup"))
    }

    /// The numbers of its open sockets.
    ///
    /// # Errors
    /// As for [`Proc::executable`].
    pub fn sockets(&self, pid: u32) -> io::Result<BTreeSet<u64>> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(self.of(pid, "fd"))? {
            // A descriptor that was closed meanwhile is none.
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

    /// Its established TCP connections.
    ///
    /// # Errors
    /// As for [`Proc::executable`].
    pub fn tcp(&self, pid: u32) -> io::Result<Vec<Connection>> {
        let sockets = self.sockets(pid)?;
        let mut found = Vec::new();
        for table in ["net/tcp", "net/tcp6"] {
            match fs::read_to_string(self.of(pid, table)) {
                Ok(text) => found.extend(connections(&text)),
                // A host without IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound && table == "net/tcp6" => {}
                Err(error) => return Err(error),
            }
        }
        found.retain(|connection| sockets.contains(&connection.inode));
        Ok(found)
    }

    fn of(&self, pid: u32, file: impl AsRef<Path>) -> PathBuf {
        self.root.join(pid.to_string()).join(file)
    }
}

/// PURE. The name may hold blanks and brackets, so the last bracket ends it.
fn life(pid: u32, stat: &str) -> Option<Life> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Life {
        pid,
        name: name.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// PURE.
fn owner(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut users = line.split_whitespace().map(|word| word.parse::<u32>().ok());
    let (real, effective) = (users.next()??, users.next()??);
    (real == effective).then_some(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields() {
        let stat = "7 (a) S 1 1) S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 999 0";
        let life = life(7, stat).expect("a life");
        assert_eq!(
            (life.name.as_str(), life.parent, life.session, life.start),
            ("a) S 1 1", 3, 5, 999)
        );
        assert!(super::life(7, "7 (a) S 1").is_none() && super::life(7, "").is_none());
    }

    #[test]
    fn a_process_with_two_users_has_no_owner() {
        assert_eq!(owner("Name:\tx\nUid:\t5\t5\t5\t5\n"), Some(5));
        assert_eq!(owner("Uid:\t5\t0\t5\t5\n"), None);
        assert_eq!(owner(""), None);
    }

    #[test]
    fn this_process_is_seen() {
        let (proc, pid) = (Proc::default(), std::process::id());
        assert!(proc.life(pid).is_ok_and(|life| life.start > 0));
        assert_eq!(proc.owner(pid).ok(), Some(rustix::process::getuid().as_raw()));
        assert_eq!(proc.executable(pid).ok(), std::env::current_exe().ok());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let local = client.local_addr().expect("connected");
        let tcp = proc.tcp(pid).expect("its connections");
        assert!(tcp.iter().any(|connection| connection.local == local));
    }
}
