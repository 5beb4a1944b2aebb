//! A control group that runs only when no other process wants the CPU.
//!
//! A group is idle relative to its siblings only. It is therefore created directly below the root, behind everything
//! else on the host; a deeper group is idle if its ancestor below the root is. Settings are read back, and a move
//! counts when `/proc/PID/cgroup` shows it.
//!
//! - [`hierarchy`] locates the CPU's groups: version 2, or version 1 with `cpu.idle` (Linux 5.15)
//! - [`error`] errors with remedies

pub mod error;
pub mod hierarchy;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::error::{CgroupError, IoWeightError};
pub use self::hierarchy::{Hierarchy, Version};

/// The CPU priority of the group's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "snake_case")]
pub enum Level {
    /// Members run only when no other process wants the CPU.
    Idle,
    /// Members have the smallest weight, which is weaker: they are not preempted at once.
    Lowest {
        /// Why the group is not idle.
        why: String,
    },
}

/// A group that was created and configured.
#[derive(Debug)]
pub struct Group {
    hierarchy: Hierarchy,
    path: String,
    /// The CPU priority of its members.
    pub level: Level,
    /// Whether its I/O weight was set, or why not.
    pub io: Result<(), IoWeightError>,
}

impl Group {
    /// Creates and configures the group, or verifies it. Call it before each use, because other programs write to this
    /// file system too. `path` begins with `/` and is relative to the hierarchy's root.
    ///
    /// # Errors
    /// The cause and the remedy; usually missing permissions.
    pub fn prepare(hierarchy: Hierarchy, path: &str) -> Result<Self, CgroupError> {
        if !is_plain(path) {
            return Err(CgroupError::Path(path.to_owned()));
        }
        let directory = hierarchy.directory(path);
        let parent = hierarchy.directory(parent_of(path));
        let inherited = top_of(path) != path && is_idle(&hierarchy.directory(top_of(path)));
        if hierarchy.version == Version::V2 && !inherited {
            enable(&parent, "cpu")?;
        }
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(CgroupError::from_io(&directory, error));
            }
            _ => {}
        }
        refuse_threaded(&directory)?;
        let level = if inherited {
            Level::Idle
        } else {
            set_cpu(&directory, path, hierarchy.version)?
        };
        let io = set_io(&parent, &directory, hierarchy.version);
        Ok(Self {
            hierarchy,
            path: path.to_owned(),
            level,
            io,
        })
    }

    /// Returns its path from the hierarchy's root, as in `/proc/PID/cgroup`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the file that contains 1 while the group is idle: its own, or that of its ancestor below the root.
    #[must_use]
    pub fn idle_file(&self) -> PathBuf {
        let own = self.hierarchy.directory(&self.path).join("cpu.idle");
        let top = self.hierarchy.directory(top_of(&self.path));
        if is_idle(&top) { top.join("cpu.idle") } else { own }
    }

    /// Returns its hierarchy.
    #[must_use]
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Moves a process with all its threads into the group. Verify the result in `/proc/PID/cgroup`:
    /// [`Hierarchy::membership`].
    ///
    /// # Errors
    /// The cause and the remedy.
    pub fn put(&self, pid: u32) -> Result<(), CgroupError> {
        self.hierarchy.put(&self.path, pid)
    }
}

impl Hierarchy {
    /// Moves a process with all its threads into the group at `path`, such as its previous one.
    ///
    /// # Errors
    /// The cause and the remedy.
    pub fn put(&self, path: &str, pid: u32) -> Result<(), CgroupError> {
        // The kernel takes 0 for the writing process.
        if pid == 0 {
            return Err(CgroupError::Gone(pid));
        }
        // A group outside the visible part is shown with `..`, and leads out of the file system.
        if path.split('/').any(|part| part == "..") {
            return Err(CgroupError::Path(path.to_owned()));
        }
        let file = self.directory(path).join("cgroup.procs");
        write(&file, &pid.to_string()).map_err(|error| CgroupError::from_move(&file, pid, error))
    }
}

/// PURE: whether the path is absolute without special components.
fn is_plain(path: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "-_.@".contains(letter))
    };
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(good))
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn top_of(path: &str) -> &str {
    let end = path[1..].find('/').map_or(path.len(), |at| at + 1);
    &path[..end]
}

fn is_idle(directory: &Path) -> bool {
    fs::read_to_string(directory.join("cpu.idle")).is_ok_and(|text| text.trim() == "1")
}

/// Version 2: the children of a group have a controller's files only if their parent enables it.
fn enable(parent: &Path, controller: &str) -> Result<(), CgroupError> {
    let file = parent.join("cgroup.subtree_control");
    let on = fs::read_to_string(&file).map_err(|error| CgroupError::from_io(&file, error))?;
    if on.split_whitespace().any(|name| name == controller) {
        return Ok(());
    }
    write(&file, &format!("+{controller}")).map_err(|error| CgroupError::from_io(&file, error))
}

/// Version 2: a threaded group accepts no processes from other groups.
fn refuse_threaded(directory: &Path) -> Result<(), CgroupError> {
    match fs::read_to_string(directory.join("cgroup.type")) {
        Ok(kind) if kind.trim() != "domain" => Err(CgroupError::Threaded {
            path: directory.to_owned(),
            kind: kind.trim().to_owned(),
        }),
        // Version 1 has no types.
        _ => Ok(()),
    }
}

fn set_cpu(directory: &Path, path: &str, version: Version) -> Result<Level, CgroupError> {
    let idle = directory.join("cpu.idle");
    if idle.exists() {
        if !is_idle(directory) {
            write(&idle, "1").map_err(|error| CgroupError::from_io(&idle, error))?;
        }
        if !is_idle(directory) {
            return Err(CgroupError::NotSet(idle));
        }
        if top_of(path) == path {
            return Ok(Level::Idle);
        }
        return Ok(Level::Lowest {
            why: format!(
                "{path} is idle only against its siblings; name a group directly below the root, or make {} idle",
                top_of(path)
            ),
        });
    }
    let (name, least) = match version {
        Version::V2 => ("cpu.weight", "1"),
        Version::V1 => ("cpu.shares", "2"),
    };
    let file = directory.join(name);
    write(&file, least).map_err(|error| CgroupError::from_io(&file, error))?;
    Ok(Level::Lowest {
        why: format!("this kernel has no cpu.idle (Linux 5.15 has), so {name} is {least}"),
    })
}

/// Best effort: without it the CPU class still applies.
fn set_io(parent: &Path, directory: &Path, version: Version) -> Result<(), IoWeightError> {
    if version == Version::V1 {
        return Err(IoWeightError::OtherHierarchy);
    }
    enable(parent, "io")?;
    for (name, least) in [("io.weight", "default 1"), ("io.bfq.weight", "1")] {
        let file = directory.join(name);
        if file.exists() {
            return write(&file, least).map_err(|error| CgroupError::from_io(&file, error).into());
        }
    }
    Err(IoWeightError::NotWeighed)
}

/// Never creates the file: on the real file system there is nothing to create.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(file)?
        .write_all(text.as_bytes())
}
