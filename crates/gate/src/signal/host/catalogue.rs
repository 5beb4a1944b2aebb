//! The host's signals: what each sees, what it is held to, and whether this system has it.
//!
//! Two are on unless turned off. Our own work is in the run queue, the pressures and the disk's
//! time too, where agent, database and exchange share a host: held to limits they would shut the
//! gate for our own load and open it again, so they are used only when asked for.

use std::path::PathBuf;

use super::{group, parse};
use crate::config::SignalsConfig;
use crate::foreground::ForegroundReader;
use crate::limits::Limit;
use crate::signal::cpu;

/// A signal as it is shipped.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Whether it is used when nothing is said.
    pub on: bool,
    /// Stop, resume and critical limit.
    pub limits: (f64, f64, Option<f64>),
    /// No limit may be above this.
    pub most: f64,
    /// What it sees where the agent runs beside the core.
    pub here: &'static str,
    /// Its keys for stop, resume, critical, only and group, below `gate`.
    pub keys: [&'static str; 5],
}

macro_rules! shipped {
    ($name:literal, $unit:expr, $on:literal, $limits:expr, $most:expr, $here:literal) => {
        Shipped {
            name: $name,
            unit: $unit,
            on: $on,
            limits: $limits,
            most: $most,
            here: $here,
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

/// CPU of the host without our own share.
pub const HOST_CPU: Shipped = shipped!(
    "host_cpu",
    cpu::UNIT,
    true,
    (85.0, 75.0, Some(98.0)),
    100.0,
    "CPU of the core's host without our own share"
);

/// The others.
pub const HOST: &[Shipped] = &[
    shipped!(
        "memory",
        "percent",
        true,
        (95.0, 90.0, Some(98.0)),
        100.0,
        "memory of the core's host that is not available"
    ),
    shipped!(
        "run_queue",
        "tasks per core",
        false,
        (1.0, 0.7, Some(4.0)),
        10_000.0,
        "tasks of the core's host that run or could run, less the mean number of ours that ran"
    ),
    shipped!(
        "sched_delay",
        "ms per s of CPU",
        false,
        (300.0, 100.0, Some(2_000.0)),
        1_000_000.0,
        "how long the business's processes waited for a processor"
    ),
    shipped!(
        "psi_cpu",
        "percent",
        false,
        (40.0, 20.0, Some(90.0)),
        100.0,
        "share of the time in which some task waited for a processor, ours too"
    ),
    shipped!(
        "psi_io",
        "percent",
        false,
        (20.0, 10.0, Some(80.0)),
        100.0,
        "share of the time in which some task waited for a disk, ours too"
    ),
    shipped!(
        "psi_memory",
        "percent",
        false,
        (5.0, 2.0, Some(30.0)),
        100.0,
        "share of the time in which some task waited for memory, ours too"
    ),
    shipped!(
        "disk",
        "percent",
        false,
        (60.0, 40.0, Some(98.0)),
        100.0,
        "share of the time in which the busiest whole disk worked, for us too"
    ),
    shipped!(
        "network",
        "MB/s",
        false,
        (80.0, 50.0, None),
        1_000_000.0,
        "what the busiest interface received and sent, for us too; set the limits by the link's speed"
    ),
];

/// What the user is told of a signal.
#[derive(Debug, Clone)]
pub struct SignalInfo {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it sees where the agent runs beside the core.
    pub here: &'static str,
    /// What it sees where the core is remote.
    pub remote: &'static str,
    /// Whether it is used when nothing is said.
    pub on: bool,
    /// The limits when nothing is said.
    pub limits: Limit,
    /// Whether this system has it, or why not.
    pub available: Result<(), String>,
}

/// All signals of the host.
#[must_use]
pub fn catalogue() -> Vec<SignalInfo> {
    let config = SignalsConfig::default();
    let all = std::iter::once(&HOST_CPU).chain(HOST);
    let info = |shipped: &Shipped| SignalInfo {
        name: shipped.name,
        unit: shipped.unit,
        here: shipped.here,
        remote: "the agent's own host, not the core's: use signals of the database",
        on: shipped.on,
        limits: Limit {
            stop: shipped.limits.0,
            resume: shipped.limits.1,
            critical: shipped.limits.2,
            quiet: None,
            unit: shipped.unit,
        },
        available: available(shipped.name, &config),
    };
    all.map(info).collect()
}

/// Whether this system has a signal.
///
/// # Errors
/// Why not.
pub fn available(name: &str, config: &SignalsConfig) -> Result<(), String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let known = |path: &str, known: bool| {
        if known {
            Ok(())
        } else {
            Err(format!("{path} does not say it"))
        }
    };
    match name {
        "memory" => {
            if let Some(group) = &config.memory.group {
                group::GroupMemory::of(group).read().map_err(|error| error.0)?;
            }
            known("/proc/meminfo", parse::memory(&read("/proc/meminfo")?).is_some())
        }
        "run_queue" => known(
            "/proc/loadavg",
            parse::runnable(&read("/proc/loadavg")?).is_some(),
        ),
        "sched_delay" => ForegroundReader::available().map_err(|error| error.0),
        "psi_cpu" | "psi_io" | "psi_memory" => {
            let path = pressure_file(name, config);
            let path = path.to_string_lossy();
            let text = read(&path).map_err(|error| {
                let whose = config
                    .host(name)
                    .group
                    .as_ref()
                    .map_or("this kernel", |_| "that control group");
                format!("{whose} keeps no pressure figures ({error}); start the kernel with psi=1")
            })?;
            known(&path, parse::stalled(&text).is_some())
        }
        "disk" => {
            let wanted = |name: &str| {
                if config.disk.only.is_empty() {
                    !parse::is_no_disk(name)
                } else {
                    config.disk.only.iter().any(|disk| disk == name)
                }
            };
            let disks = parse::disks(&read("/proc/diskstats")?, wanted).unwrap_or_default();
            known("/proc/diskstats", !disks.is_empty())
        }
        "network" => {
            let links = parse::interfaces(&read("/proc/net/dev")?).unwrap_or_default();
            let wanted = |name: &str| is_link(name, &config.network.only);
            known("/proc/net/dev", links.iter().any(|(name, ..)| wanted(name)))
        }
        _ => Ok(()),
    }
}

/// Where the kernel keeps the pressure that a signal reads: the host's, or that of the group it names.
pub(super) fn pressure_file(name: &str, config: &SignalsConfig) -> PathBuf {
    let resource = name.trim_start_matches("psi_");
    match &config.host(name).group {
        Some(group) => group::pressure(group, resource),
        None => PathBuf::from("/proc/pressure").join(resource),
    }
}

/// Whether an interface counts: those that are named, or all but the loopback.
pub(super) fn is_link(name: &str, only: &[String]) -> bool {
    if only.is_empty() {
        name != "lo"
    } else {
        only.iter().any(|link| link == name)
    }
}
