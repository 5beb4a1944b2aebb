//! Finds a directory in memory for the files of test clusters.

use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::Path;

/// The databases of a test run need about 3 GiB.
const PLENTY: u64 = 8 << 30;

/// Returns the directory for shared memory, if it and the machine have enough free memory.
pub(super) fn directory() -> Option<&'static Path> {
    let directory = Path::new("/dev/shm");
    let there = statvfs(directory).ok()?;
    let room = there.blocks_available().checked_mul(there.fragment_size())?;
    let available = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let may_write = tempfile::tempdir_in(directory).is_ok();
    (room.min(available) >= PLENTY && may_write).then_some(directory)
}

/// PURE: returns the available memory in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_meminfo() {
        let meminfo = "MemTotal:       24683656 kB\nMemAvailable:   12000000 kB\nBuffers: 1 kB\n";
        assert_eq!(available(meminfo), Some(12_000_000 << 10));
        for wrong in ["", "MemAvailable: many kB", "MemAvailable: 5"] {
            assert_eq!(available(wrong), None, "{wrong:?}");
        }
    }
}
