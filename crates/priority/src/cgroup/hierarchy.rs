//! Where the groups for the CPU are, and in which of them a process is.

use std::fs;
use std::path::{Path, PathBuf};

use super::CgroupError;

/// The version of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    One,
    /// One for all.
    Two,
}

/// The hierarchy that shares the CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its version.
    pub version: Version,
    mount: PathBuf,
}

impl Hierarchy {
    /// This host's.
    ///
    /// # Errors
    /// When the CPU has no control groups here.
    pub fn of_host() -> Result<Self, CgroupError> {
        let mounts = fs::read_to_string("/proc/self/mounts")
            .map_err(|error| CgroupError::None(format!("/proc/self/mounts: {error}")))?;
        Self::find(&mounts)
    }

    /// The one among these mounts, in the form of `/proc/mounts`: version 2 where it has the CPU.
    ///
    /// # Errors
    /// When none has.
    pub fn find(mounts: &str) -> Result<Self, CgroupError> {
        let mut found = None;
        for line in mounts.lines() {
            let mut words = line.split_whitespace();
            let (Some(_), Some(point), Some(kind), Some(options)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let mount = PathBuf::from(unescaped(point));
            match kind {
                "cgroup2" if lists_cpu(&mount) => {
                    return Ok(Self {
                        version: Version::Two,
                        mount,
                    });
                }
                "cgroup" if options.split(',').any(|option| option == "cpu") => {
                    found = Some(Self {
                        version: Version::One,
                        mount,
                    });
                }
                _ => {}
            }
        }
        found.ok_or_else(|| {
            CgroupError::None("neither version 2 nor version 1 is mounted with the cpu controller".to_owned())
        })
    }

    /// The directory of the group at `path`.
    #[must_use]
    pub fn directory(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    /// PURE: the group that a text in the form of `/proc/PID/cgroup` names for this hierarchy.
    #[must_use]
    pub fn membership<'a>(&self, text: &'a str) -> Option<&'a str> {
        membership(self.controller(), text)
    }

    /// How lines of `/proc/PID/cgroup` name it: `cpu`, or nothing in version 2.
    #[must_use]
    pub fn controller(&self) -> &'static str {
        match self.version {
            Version::One => "cpu",
            Version::Two => "",
        }
    }
}

/// PURE: the group that a text in the form of `/proc/PID/cgroup` names for a controller; the empty
/// name is version 2's.
#[must_use]
pub fn membership<'a>(controller: &str, text: &'a str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let this = if controller.is_empty() {
            number == "0" && controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == controller)
        };
        this.then_some(path)
    })
}

fn lists_cpu(mount: &Path) -> bool {
    fs::read_to_string(mount.join("cgroup.controllers"))
        .is_ok_and(|text| text.split_whitespace().any(|name| name == "cpu"))
}

/// Blanks in mount points are written in octal.
fn unescaped(point: &str) -> String {
    point
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}
