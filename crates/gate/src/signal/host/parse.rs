//! PURE: parsers of the kernel's host statistics. A partial text gives `None`, never a low value.

/// Returns the percentage of used memory in `/proc/meminfo`.
#[must_use]
pub fn memory(text: &str) -> Option<f64> {
    let (total, available) = (kibibytes(text, "MemTotal:")?, kibibytes(text, "MemAvailable:")?);
    if total == 0 || available > total {
        return None;
    }
    Some(percent(total - available, total))
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Returns the limit in bytes in a control group's `memory.max`: `Some(None)` for `max`.
#[must_use]
pub fn group_limit(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "max" => Some(None),
        bytes => bytes.parse().ok().map(Some),
    }
}

/// Returns the bytes in a control group's `memory.current`.
#[must_use]
pub fn group_bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Returns the bytes of inactive cached files in a control group's `memory.stat`.
#[must_use]
pub fn group_idle_files(text: &str) -> Option<u64> {
    let bytes = text
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "))?;
    bytes.trim().parse().ok()
}

/// Returns the microseconds in which some task was stalled, in a file of `/proc/pressure`.
#[must_use]
pub fn stalled(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.rsplit_once("total=")?.1.trim().parse().ok()
}

/// Returns the runnable tasks in `/proc/loadavg`.
#[must_use]
pub fn runnable(text: &str) -> Option<u64> {
    text.split_ascii_whitespace()
        .nth(3)?
        .split_once('/')?
        .0
        .parse()
        .ok()
}

/// Returns the busy milliseconds of each whole disk in `/proc/diskstats`; `None` if a line cannot be parsed.
#[must_use]
pub fn disks(text: &str, is_wanted: impl Fn(&str) -> bool) -> Option<Vec<(String, u64)>> {
    let mut disks = Vec::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.nth(2)?;
        if is_wanted(name) {
            disks.push((name.to_owned(), fields.nth(9)?.parse().ok()?));
        }
    }
    Some(disks)
}

/// Whether a device of this name is memory, a file, or removable.
#[must_use]
pub fn is_virtual_disk(name: &str) -> bool {
    ["loop", "ram", "zram", "sr", "fd"].iter().any(|kind| {
        name.strip_prefix(kind)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
    })
}

/// Returns the bytes received and sent by each interface in `/proc/net/dev`; `None` if a line cannot be parsed.
#[must_use]
pub fn interfaces(text: &str) -> Option<Vec<(String, u64, u64)>> {
    let rows = text.lines().skip(2).map(|line| {
        let (name, rest) = line.split_once(':')?;
        let mut fields = rest.split_ascii_whitespace();
        let received = fields.next()?.parse().ok()?;
        Some((name.trim().to_owned(), received, fields.nth(7)?.parse().ok()?))
    });
    let rows: Vec<_> = rows.collect::<Option<_>>()?;
    (!rows.is_empty()).then_some(rows)
}

/// Returns a share in percent.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "percentages need no 52 bits")]
pub fn percent(part: u64, whole: u64) -> f64 {
    (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MEMORY: &str =
        "MemTotal:       24684084 kB\nMemFree:        17617452 kB\nMemAvailable:   6171021 kB\n";
    const PRESSURE: &str = "some avg10=40.92 avg60=28.37 avg300=18.88 total=1775333290\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
    const DISKS: &str = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n 254       0 vda 2341442 96180 119761994 4541741 1032742 378297 184661152 793375 0 277044 5414849 280390 117 95666320 47026 241727 32706\n";
    const NET: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: 34777299494 5623766    0    0    0     0          0         0 34777299494 5623766    0    0    0     0       0          0\n  eth0: 383026893   15836    0    0    0     0          0         0  1082180   10052    0    0    0     0       0          0\n";

    #[test]
    fn recorded_kernel_texts_are_parsed() {
        assert_eq!(memory(MEMORY).map(f64::round), Some(75.0));
        assert_eq!(stalled(PRESSURE), Some(1_775_333_290));
        assert_eq!(runnable("0.31 0.28 0.18 4/135 8812\n"), Some(4));
        let disk = disks(DISKS, |name| !is_virtual_disk(name));
        assert_eq!(disk, Some(vec![("vda".to_owned(), 277_044)]));
        let net = interfaces(NET).unwrap_or_default();
        assert_eq!(net.get(1), Some(&("eth0".to_owned(), 383_026_893, 1_082_180)));
    }

    #[test]
    fn disk_names_are_distinguished_from_virtual_ones() {
        for name in ["loop0", "ram15", "zram0", "sr0"] {
            assert!(is_virtual_disk(name), "{name}");
        }
        for name in ["sda", "nvme0n1", "vda", "dm-0", "md127"] {
            assert!(!is_virtual_disk(name), "{name}");
        }
    }

    proptest! {
        /// Trap: a probe error read as "not loaded". A truncated text gives `None` or the correct value.
        #[test]
        fn truncated_text_gives_no_value_out_of_range(cut in 0_usize..400) {
            let cut_at = |text: &'static str| text.get(..cut.min(text.len())).unwrap_or_default();
            if let Some(value) = memory(cut_at(MEMORY)) {
                prop_assert!((0.0..=100.0).contains(&value));
                prop_assert!(cut_at(MEMORY).contains("MemAvailable:   6171021 kB"));
            }
            prop_assert!(stalled(cut_at(PRESSURE)).is_none_or(|total| total <= 1_775_333_290));
            prop_assert!(runnable("").is_none());
        }
    }
}
