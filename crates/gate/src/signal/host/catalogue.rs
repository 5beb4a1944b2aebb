//! The host's signals: description, default limits, and whether this system supports them.
//!
//! Two are on by default. On a host shared by agent, database and exchange, the run queue, the pressures and the disk
//! time include our own work. With limits on them the gate would shut because of its own load and open again, so they
//! are off by default.

use std::path::PathBuf;

use super::{group, parse};
use crate::config::SignalsConfig;
use crate::foreground::ForegroundReader;
use crate::limits::Limit;
use crate::signal::cpu;

/// The defaults of a signal.
#[derive(Debug, Clone, Copy)]
pub struct SignalDefaults {
    /// The signal's name.
    pub name: &'static str,
    /// The signal's unit.
    pub unit: &'static str,
    /// Whether the signal is on by default.
    pub enabled: bool,
    /// Stop, resume and critical limit.
    pub limits: (f64, f64, Option<f64>),
    /// Upper bound for its limits.
    pub max_limit: f64,
    /// What it measures if the agent runs on the core's host.
    pub description: &'static str,
    /// Its keys below `gate`: stop, resume, critical, only and group.
    pub keys: [&'static str; 5],
}

macro_rules! defaults {
    ($name:literal, $unit:expr, $enabled:literal, $limits:expr, $max_limit:expr, $description:literal) => {
        SignalDefaults {
            name: $name,
            unit: $unit,
            enabled: $enabled,
            limits: $limits,
            max_limit: $max_limit,
            description: $description,
            keys: [
                concat!("signals.", $name, ".stop"),
                concat!("signals.", $name, ".resume"),
                concat!("signals.", $name, ".critical"),
                concat!("signals.", $name, ".only"),
                concat!("signals.", $name, ".group"),
            ],
        }
    };
}

/// CPU load of the host without our own share.
pub const HOST_CPU: SignalDefaults = defaults!(
    "host_cpu",
    cpu::UNIT,
    true,
    (85.0, 75.0, Some(98.0)),
    100.0,
    "CPU of the core's host without our own share"
);

/// The other signals.
pub const HOST: &[SignalDefaults] = &[
    defaults!(
        "memory",
        "percent",
        true,
        (95.0, 90.0, Some(98.0)),
        100.0,
        "memory of the core's host that is not available"
    ),
    defaults!(
        "run_queue",
        "tasks per core",
        false,
        (1.0, 0.7, Some(4.0)),
        10_000.0,
        "tasks of the core's host that run or could run, less the mean number of ours that ran"
    ),
    defaults!(
        "sched_delay",
        "ms per s of CPU",
        false,
        (300.0, 100.0, Some(2_000.0)),
        1_000_000.0,
        "how long the business's processes waited for a processor"
    ),
    defaults!(
        "psi_cpu",
        "percent",
        false,
        (40.0, 20.0, Some(90.0)),
        100.0,
        "share of the time in which some task waited for a processor, ours too"
    ),
    defaults!(
        "psi_io",
        "percent",
        false,
        (20.0, 10.0, Some(80.0)),
        100.0,
        "share of the time in which some task waited for a disk, ours too"
    ),
    defaults!(
        "psi_memory",
        "percent",
        false,
        (5.0, 2.0, Some(30.0)),
        100.0,
        "share of the time in which some task waited for memory, ours too"
    ),
    defaults!(
        "disk",
        "percent",
        false,
        (60.0, 40.0, Some(98.0)),
        100.0,
        "share of the time in which the busiest whole disk worked, for us too"
    ),
    defaults!(
        "network",
        "MB/s",
        false,
        (80.0, 50.0, None),
        1_000_000.0,
        "what the busiest interface received and sent, for us too; set the limits by the link's speed"
    ),
];

/// The description of a signal for users.
#[derive(Debug, Clone)]
pub struct SignalInfo {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it measures if the agent runs on the core's host.
    pub description: &'static str,
    /// What it measures if the core is remote.
    pub remote_description: &'static str,
    /// Whether it is on by default.
    pub enabled: bool,
    /// The default limits.
    pub limits: Limit,
    /// Whether this system supports it, or why not.
    pub available: Result<(), String>,
}

/// Returns all signals of the host.
#[must_use]
pub fn catalogue() -> Vec<SignalInfo> {
    let config = SignalsConfig::default();
    let all = std::iter::once(&HOST_CPU).chain(HOST);
    let info = |defaults: &SignalDefaults| SignalInfo {
        name: defaults.name,
        unit: defaults.unit,
        description: defaults.description,
        remote_description: "the agent's own host, not the core's: use signals of the database",
        enabled: defaults.enabled,
        limits: Limit {
            stop: defaults.limits.0,
            resume: defaults.limits.1,
            critical: defaults.limits.2,
            quiet: None,
            unit: defaults.unit,
        },
        available: check_available(defaults.name, &config),
    };
    all.map(info).collect()
}

/// Checks whether this system supports a signal.
///
/// # Errors
/// Why not.
pub fn check_available(name: &str, config: &SignalsConfig) -> Result<(), String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let known = |path: &str, known: bool| {
        if known {
            Ok(())
        } else {
            Err(format!("{path} does not contain the value"))
        }
    };
    match name {
        "memory" => {
            if let Some(group) = &config.memory.group {
                group::GroupMemory::new(group).read().map_err(|error| error.0)?;
            }
            known("/proc/meminfo", parse::memory(&read("/proc/meminfo")?).is_some())
        }
        "run_queue" => known(
            "/proc/loadavg",
            parse::runnable(&read("/proc/loadavg")?).is_some(),
        ),
        "sched_delay" => ForegroundReader::check_available().map_err(|error| error.0),
        "psi_cpu" | "psi_io" | "psi_memory" => {
            let path = pressure_path(name, config);
            let path = path.to_string_lossy();
            let text = read(&path).map_err(|error| {
                let whose = config
                    .host(name)
                    .group
                    .as_ref()
                    .map_or("this kernel", |_| "that control group");
                format!("{whose} has no pressure statistics ({error}); start the kernel with psi=1")
            })?;
            known(&path, parse::stalled(&text).is_some())
        }
        "disk" => {
            let wanted = |name: &str| {
                if config.disk.only.is_empty() {
                    !parse::is_virtual_disk(name)
                } else {
                    config.disk.only.iter().any(|disk| disk == name)
                }
            };
            let disks = parse::disks(&read("/proc/diskstats")?, wanted).unwrap_or_default();
            known("/proc/diskstats", !disks.is_empty())
        }
        "network" => {
            let links = parse::interfaces(&read("/proc/net/dev")?).unwrap_or_default();
            let wanted = |name: &str| is_counted_interface(name, &config.network.only);
            known("/proc/net/dev", links.iter().any(|(name, ..)| wanted(name)))
        }
        _ => Ok(()),
    }
}

/// Returns the pressure file of a signal: the host's, or that of its control group.
pub(super) fn pressure_path(name: &str, config: &SignalsConfig) -> PathBuf {
    let resource = name.trim_start_matches("psi_");
    match &config.host(name).group {
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
