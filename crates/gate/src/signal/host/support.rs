//! Whether this system supports a signal of the host, and in which file.

use std::io;
use std::path::PathBuf;

use super::config::HostSignalConfig;
use super::{group, parse};
use crate::signal::SignalError;
use crate::signal::foreground::ForegroundReader;

/// Why this system does not support a signal.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The kernel's file cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's error.
        error: io::Error,
    },
    /// The kernel's file has another content.
    #[error("{path} does not contain the value")]
    NoValue {
        /// The file.
        path: String,
    },
    /// The kernel keeps no pressure statistics.
    #[error("{whose} has no pressure statistics ({path}: {error}); start the kernel with psi=1")]
    NoPressure {
        /// The kernel or the control group.
        whose: &'static str,
        /// The file.
        path: String,
        /// The system's error.
        error: io::Error,
    },
    /// The value cannot be read.
    #[error(transparent)]
    Signal(#[from] SignalError),
}

/// Checks whether this system supports a signal.
///
/// # Errors
/// Why not.
pub fn check_available(name: &str, table: &HostSignalConfig) -> Result<(), Unavailable> {
    let read = |path: &str| {
        std::fs::read_to_string(path).map_err(|error| Unavailable::Unreadable {
            path: path.to_owned(),
            error,
        })
    };
    let known = |path: &str, known: bool| {
        if known {
            Ok(())
        } else {
            Err(Unavailable::NoValue {
                path: path.to_owned(),
            })
        }
    };
    match name {
        "memory" => {
            if let Some(group) = &table.group {
                group::GroupMemory::new(group).read()?;
            }
            known("/proc/meminfo", parse::memory(&read("/proc/meminfo")?).is_some())
        }
        "run_queue" => known(
            "/proc/loadavg",
            parse::runnable(&read("/proc/loadavg")?).is_some(),
        ),
        "sched_delay" => Ok(ForegroundReader::check_available()?),
        "psi_cpu" | "psi_io" | "psi_memory" => {
            let path = pressure_path(name, table);
            let path = path.to_string_lossy();
            let text = std::fs::read_to_string(path.as_ref()).map_err(|error| Unavailable::NoPressure {
                whose: table
                    .group
                    .as_ref()
                    .map_or("this kernel", |_| "that control group"),
                path: path.to_string(),
                error,
            })?;
            known(&path, parse::stalled(&text).is_some())
        }
        "disk" => {
            let wanted = |name: &str| {
                if table.only.is_empty() {
                    !parse::is_virtual_disk(name)
                } else {
                    table.only.iter().any(|disk| disk == name)
                }
            };
            let disks = parse::disks(&read("/proc/diskstats")?, wanted).unwrap_or_default();
            known("/proc/diskstats", !disks.is_empty())
        }
        "network" => {
            let links = parse::interfaces(&read("/proc/net/dev")?).unwrap_or_default();
            let wanted = |name: &str| is_counted_interface(name, &table.only);
            known("/proc/net/dev", links.iter().any(|(name, ..)| wanted(name)))
        }
        _ => Ok(()),
    }
}

/// Returns the pressure file of a signal: the host's, or that of its control group.
pub(super) fn pressure_path(name: &str, table: &HostSignalConfig) -> PathBuf {
    let resource = name.trim_start_matches("psi_");
    match &table.group {
        Some(group) => group::pressure_path(group, resource),
        None => PathBuf::from("/proc/pressure").join(resource),
    }
}

/// Whether an interface counts: the named ones, or all but the loopback.
pub(super) fn is_counted_interface(name: &str, only: &[String]) -> bool {
    if only.is_empty() {
        name != "lo"
    } else {
        only.iter().any(|link| link == name)
    }
}
