//! Our own processes, whose load must not count as the business's.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// One entry of `own`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OwnEntry {
    /// A program by its base name and leading arguments: `nats-server`, `slacktide commercial`.
    Program(Vec<String>),
    /// One process by its id.
    Pid(u32),
    /// All processes of a systemd unit, by control group: `nats.service`. Linux only.
    Unit(String),
}

impl OwnEntry {
    /// Whether a process with this command line matches. Compares the base name of the program and the arguments one by
    /// one.
    #[must_use]
    pub fn matches_command(&self, command: &[&str]) -> bool {
        let Self::Program(words) = self else { return false };
        let Some((program, arguments)) = command.split_first() else {
            return false;
        };
        let base = program.rsplit('/').next().unwrap_or(program);
        let Some((wanted, leading)) = words.split_first() else {
            return false;
        };
        base == wanted
            && arguments.len() >= leading.len()
            && arguments
                .iter()
                .zip(leading)
                .all(|(argument, word)| argument == word)
    }

    /// Whether a process with this `/proc/PID/cgroup` matches. The unit must be a whole path component, so
    /// `nats.service` does not match `other-nats.service`.
    #[must_use]
    pub fn matches_cgroup(&self, cgroup: &str) -> bool {
        let Self::Unit(unit) = self else { return false };
        cgroup
            .lines()
            .filter_map(|line| line.splitn(3, ':').nth(2))
            .any(|path| path.split('/').any(|part| part == unit))
    }
}

/// An unrecognised entry of `own`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "own entry {text:?} is not known; write a program and its leading arguments (\"slacktide commercial\"), \"pid:1234\" or \"unit:nats.service\""
)]
pub struct OwnEntryError {
    text: String,
}

impl FromStr for OwnEntry {
    type Err = OwnEntryError;

    fn from_str(text: &str) -> Result<Self, OwnEntryError> {
        let error = || OwnEntryError {
            text: text.to_owned(),
        };
        if let Some(pid) = text.strip_prefix("pid:") {
            let pid: u32 = pid.trim().parse().map_err(|_| error())?;
            return if pid == 0 {
                Err(error())
            } else {
                Ok(Self::Pid(pid))
            };
        }
        if let Some(unit) = text.strip_prefix("unit:") {
            let unit = unit.trim();
            let plain = !unit.is_empty() && !unit.contains(['/', ' ']);
            return if plain {
                Ok(Self::Unit(unit.to_owned()))
            } else {
                Err(error())
            };
        }
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.first().is_none_or(|program| program.contains(['/', ':'])) {
            return Err(error());
        }
        Ok(Self::Program(words))
    }
}

impl TryFrom<String> for OwnEntry {
    type Error = OwnEntryError;

    fn try_from(text: String) -> Result<Self, OwnEntryError> {
        text.parse()
    }
}

impl From<OwnEntry> for String {
    fn from(entry: OwnEntry) -> Self {
        entry.to_string()
    }
}

impl fmt::Display for OwnEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(words) => f.write_str(&words.join(" ")),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
            Self::Unit(unit) => write!(f, "unit:{unit}"),
        }
    }
}

/// Registry of processes that work for us at present: the database backends that serve our connections, if the database
/// is on this host. Clones share one registry.
#[derive(Debug, Clone, Default)]
pub struct OwnPids {
    pids: Arc<Mutex<BTreeSet<u32>>>,
}

impl OwnPids {
    /// Returns an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a process, until [`OwnPids::remove`].
    pub fn add(&self, pid: u32) {
        self.pids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(pid);
    }

    /// Removes a process.
    pub fn remove(&self, pid: u32) {
        self.pids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&pid);
    }

    /// Replaces all processes.
    pub fn set(&self, pids: impl IntoIterator<Item = u32>) {
        *self.pids.lock().unwrap_or_else(PoisonError::into_inner) = pids.into_iter().collect();
    }

    /// Returns the current processes.
    #[must_use]
    pub fn get(&self) -> BTreeSet<u32> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_matches_by_base_name_and_leading_arguments() {
        let agent: Result<OwnEntry, _> = "slacktide social".parse();
        let agent = agent.unwrap_or(OwnEntry::Pid(1));
        assert!(agent.matches_command(&["/usr/bin/slacktide", "social", "run", "--config", "f"]));
        assert!(agent.matches_command(&["slacktide", "social"]));
        assert!(!agent.matches_command(&["slacktide", "commercial", "social"]));
        assert!(!agent.matches_command(&["slacktide"]));
        assert!(!agent.matches_command(&["slacktide-social", "social"]));
        assert!(!agent.matches_command(&[]));
    }

    #[test]
    fn unit_matches_as_a_whole_path_component() {
        let unit = OwnEntry::Unit("nats.service".to_owned());
        assert!(unit.matches_cgroup("0::/system.slice/nats.service\n"));
        assert!(unit.matches_cgroup("4:cpu:/system.slice/nats.service/worker\n"));
        assert!(!unit.matches_cgroup("0::/system.slice/other-nats.service\n"));
        assert!(!unit.matches_cgroup(""));
    }

    #[test]
    fn invalid_entries_are_refused() {
        for text in [
            "",
            " ",
            "pid:",
            "pid:0",
            "pid:x",
            "unit:",
            "unit:a/b",
            "proc:1",
            "/usr/bin/nats-server",
        ] {
            assert!(text.parse::<OwnEntry>().is_err(), "{text}");
        }
    }
}
