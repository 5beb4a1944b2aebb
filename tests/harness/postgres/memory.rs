//! A directory in memory, for the files of clusters that need not outlive the machine.

use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::Path;

/// What the databases of a run come to, amply.
const PLENTY: u64 = 8 << 30;

/// The directory for shared memory, if it and the machine have plenty of room.
pub(super) fn directory() -> Option<&'static Path> {
    let directory = Path::new("/dev/shm");
    let there = statvfs(directory).ok()?;
    let room = there.blocks_available().checked_mul(there.fragment_size())?;
    let available = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let may_write = tempfile::tempdir_in(directory).is_ok();
    (room.min(available) >= PLENTY && may_write).then_some(directory)
}

/// PURE: the bytes of memory that programs may still take.
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
    fn memory_is_read_from_what_linux_tells() {
        let told = "MemTotal:       24683656 kB\nMemAvailable:   12000000 kB\nBuffers: 1 kB\n";
        assert_eq!(available(told), Some(12_000_000 << 10));
        for wrong in ["", "MemAvailable: many kB", "MemAvailable: 5"] {
            assert_eq!(available(wrong), None, "{wrong:?}");
        }
    }
}
