//! What a control group of the core tells: how full its memory is, and where its pressure stands.
//!
//! A limit of a group or of a group above it binds before the host's memory is used up, and
//! `/proc/meminfo` knows nothing of it. Control groups of version 2 only.
//!
//! A group is made anew with every start of its service, and a file of the old one cannot be read any
//! more: the reading fails, which shuts the gate, and the next one opens the files anew.

use std::path::{Path, PathBuf};

use super::parse;
use crate::signal::SignalError;
use crate::signal::procfs::Held;

/// The file of a group that holds what `/proc/pressure/NAME` holds of the host.
#[must_use]
pub fn pressure(group: &Path, name: &str) -> PathBuf {
    group.join(format!("{name}.pressure"))
}

/// The memory of a group and of those above it.
#[derive(Debug)]
pub struct GroupMemory {
    group: PathBuf,
    held: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    most: Held,
    current: Held,
    stat: Held,
}

impl GroupMemory {
    /// Of the group in this folder. Opens nothing yet.
    #[must_use]
    pub fn of(group: &Path) -> Self {
        Self {
            group: group.to_owned(),
            held: Vec::new(),
        }
    }

    /// Percent of the fullest of the levels that have a limit; none when no level has one.
    ///
    /// # Errors
    /// When there is no such group of version 2, or a file of it cannot be read.
    pub fn read(&mut self) -> Result<Option<f64>, SignalError> {
        if self.held.is_empty() {
            self.held = levels(&self.group)?;
        }
        let read = self
            .held
            .iter_mut()
            .map(Level::used)
            .collect::<Result<Vec<_>, _>>();
        if read.is_err() {
            self.held.clear();
        }
        Ok(read?.into_iter().flatten().reduce(f64::max))
    }
}

/// From the group upwards, as far as there are limits to set: the uppermost group has none.
fn levels(group: &Path) -> Result<Vec<Level>, SignalError> {
    let mut levels = Vec::new();
    for folder in group.ancestors() {
        if !levels.is_empty() && !folder.join("memory.max").exists() {
            break;
        }
        let open = |name: &str| {
            let path = folder.join(name);
            let path = path.to_string_lossy();
            Held::open(path.as_ref()).map_err(|error| {
                SignalError(format!(
                    "{path}: {error}; name the folder of a control group of version 2 whose memory is accounted"
                ))
            })
        };
        levels.push(Level {
            most: open("memory.max")?,
            current: open("memory.current")?,
            stat: open("memory.stat")?,
        });
    }
    Ok(levels)
}

impl Level {
    fn used(&mut self) -> Result<Option<f64>, SignalError> {
        let unknown = || SignalError("the control group's memory files do not say it".to_owned());
        let most = parse::group_limit(self.most.text()?).ok_or_else(unknown)?;
        let Some(most) = most else { return Ok(None) };
        let current = parse::group_bytes(self.current.text()?).ok_or_else(unknown)?;
        let idle = parse::group_idle_files(self.stat.text()?).ok_or_else(unknown)?;
        // What of the files' cache nobody has looked at lately is given back first, as the host's
        // available memory counts it too. A limit of nothing is full.
        Ok(Some(parse::percent(current.saturating_sub(idle), most.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use super::*;

    fn level(folder: &Path, most: &str, current: &str, idle: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("memory.max"), most)?;
        fs::write(folder.join("memory.current"), current)?;
        let stat = format!("anon 5\ninactive_file {idle}\nactive_file 7\n");
        fs::write(folder.join("memory.stat"), stat)
    }

    #[test]
    fn the_fullest_level_counts_and_idle_cache_does_not() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let slice = root.path().join("system.slice");
        let group = slice.join("postgresql.service");
        level(&slice, "max\n", "900\n", "0")?;
        level(&group, "1000\n", "900\n", "400")?;
        let mut memory = GroupMemory::of(&group);
        assert_eq!(memory.read().map_err(io::Error::other)?, Some(50.0));
        // A limit that is set while we run, above the group.
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
    fn a_group_that_is_not_there_or_says_nothing_is_no_reading_and_comes_back() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let group = root.path().join("core");
        let mut memory = GroupMemory::of(&group);
        let told = memory.read().map_or_else(|error| error.0, |_| String::new());
        assert!(
            told.contains("memory.max") && told.contains("version 2"),
            "{told}"
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
