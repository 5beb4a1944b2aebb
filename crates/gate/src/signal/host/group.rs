//! Memory and pressure of the core's control group.
//!
//! A limit of a group or of its ancestors applies before the host's memory is used up, and `/proc/meminfo` does not
//! show it. Control groups of version 2 only.
//!
//! A group is recreated when its service restarts, and files of the old group cannot be read any more. The reading then
//! fails, which closes the gate, and the next one opens the files again.

use std::path::{Path, PathBuf};

use super::parse;
use crate::signal::SignalError;
use crate::signal::procfs::ProcFile;

/// Returns the group's pressure file, the counterpart of `/proc/pressure/NAME`.
#[must_use]
pub fn pressure_path(group: &Path, name: &str) -> PathBuf {
    group.join(format!("{name}.pressure"))
}

/// The memory of a group and of its ancestors.
#[derive(Debug)]
pub struct GroupMemory {
    group: PathBuf,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    limit: ProcFile,
    current: ProcFile,
    stat: ProcFile,
}

impl GroupMemory {
    /// Creates a reader of the group in this folder. Opens nothing yet.
    #[must_use]
    pub fn new(group: &Path) -> Self {
        Self {
            group: group.to_owned(),
            levels: Vec::new(),
        }
    }

    /// Returns the percentage used at the fullest level with a limit; `None` if no level has one.
    ///
    /// # Errors
    /// If this is not a group of version 2, or a file cannot be read.
    pub fn read(&mut self) -> Result<Option<f64>, SignalError> {
        if self.levels.is_empty() {
            self.levels = open_levels(&self.group)?;
        }
        let read = self
            .levels
            .iter_mut()
            .map(Level::used_percent)
            .collect::<Result<Vec<_>, _>>();
        if read.is_err() {
            self.levels.clear();
        }
        Ok(read?.into_iter().flatten().reduce(f64::max))
    }
}

/// Opens the group and its ancestors that have limits; the root group has none.
fn open_levels(group: &Path) -> Result<Vec<Level>, SignalError> {
    let mut levels = Vec::new();
    for folder in group.ancestors() {
        if !levels.is_empty() && !folder.join("memory.max").exists() {
            break;
        }
        let open = |name: &str| {
            let path = folder.join(name);
            let path = path.to_string_lossy();
            ProcFile::open(path.as_ref()).map_err(|error| {
                SignalError(format!(
                    "{path}: {error}; name the folder of a control group of version 2 with memory accounting"
                ))
            })
        };
        levels.push(Level {
            limit: open("memory.max")?,
            current: open("memory.current")?,
            stat: open("memory.stat")?,
        });
    }
    Ok(levels)
}

impl Level {
    fn used_percent(&mut self) -> Result<Option<f64>, SignalError> {
        let unknown = || SignalError("no value in the control group's memory files".to_owned());
        let limit = parse::group_limit(self.limit.text()?).ok_or_else(unknown)?;
        let Some(limit) = limit else { return Ok(None) };
        let current = parse::group_bytes(self.current.text()?).ok_or_else(unknown)?;
        let idle = parse::group_idle_files(self.stat.text()?).ok_or_else(unknown)?;
        // Inactive cached files are reclaimed first, and the host's available memory includes them too. A limit of zero
        // counts as full.
        Ok(Some(parse::percent(current.saturating_sub(idle), limit.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use super::*;

    fn level(folder: &Path, limit: &str, current: &str, idle: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("memory.max"), limit)?;
        fs::write(folder.join("memory.current"), current)?;
        let stat = format!("anon 5\ninactive_file {idle}\nactive_file 7\n");
        fs::write(folder.join("memory.stat"), stat)
    }

    #[test]
    fn memory_is_that_of_the_fullest_level_without_idle_cache() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let slice = root.path().join("system.slice");
        let group = slice.join("postgresql.service");
        level(&slice, "max\n", "900\n", "0")?;
        level(&group, "1000\n", "900\n", "400")?;
        let mut memory = GroupMemory::new(&group);
        assert_eq!(memory.read().map_err(io::Error::other)?, Some(50.0));
        // A limit that is set later, on an ancestor.
        fs::write(slice.join("memory.max"), "1000\n")?;
        assert_eq!(memory.read().map_err(io::Error::other)?, Some(90.0));
        fs::write(slice.join("memory.max"), "0\n")?;
        assert_eq!(memory.read().map_err(io::Error::other)?, Some(100.0));
        for folder in [&slice, &group] {
            fs::write(folder.join("memory.max"), "max\n")?;
        }
        assert_eq!(memory.read().map_err(io::Error::other)?, None);
        Ok(())
    }

    #[test]
    fn memory_of_a_missing_group_fails_until_it_exists() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let group = root.path().join("core");
        let mut memory = GroupMemory::new(&group);
        let error = memory.read().map_or_else(|error| error.0, |_| String::new());
        assert!(
            error.contains("memory.max") && error.contains("version 2"),
            "{error}"
        );
        level(&group, "10\n", "5\n", "0")?;
        assert_eq!(memory.read().map_err(io::Error::other)?, Some(50.0));
        fs::write(group.join("memory.current"), "")?;
        assert!(memory.read().is_err());
        fs::write(group.join("memory.current"), "6\n")?;
        assert_eq!(memory.read().map_err(io::Error::other)?, Some(60.0));
        Ok(())
    }
}
