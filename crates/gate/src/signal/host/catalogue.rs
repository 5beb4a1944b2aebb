//! The host's signals: description, keys and default limits.
//!
//! Two are on by default. On a host shared by agent, database and exchange, the run queue, the pressures and the disk
//! time include our own work. With limits on them the gate would close because of its own load and open again, so they
//! are off by default.

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
    /// Its keys below `gate`: stop, resume, critical, only and group.
    pub keys: [&'static str; 5],
}

macro_rules! defaults {
    ($name:literal, $unit:expr, $enabled:literal, $limits:expr, $max_limit:expr) => {
        SignalDefaults {
            name: $name,
            unit: $unit,
            enabled: $enabled,
            limits: $limits,
            max_limit: $max_limit,
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
pub const HOST_CPU: SignalDefaults = defaults!("host_cpu", cpu::UNIT, true, (85.0, 75.0, Some(98.0)), 100.0);

/// The other signals.
pub const HOST: &[SignalDefaults] = &[
    // Memory of the core's host that is not available.
    defaults!("memory", "percent", true, (95.0, 90.0, Some(98.0)), 100.0),
    // Tasks of the core's host that run or could run, less the mean number of ours that ran.
    defaults!(
        "run_queue",
        "tasks per core",
        false,
        (1.0, 0.7, Some(4.0)),
        10_000.0
    ),
    // How long the business's processes waited for a processor.
    defaults!(
        "sched_delay",
        "ms per s of CPU",
        false,
        (300.0, 100.0, Some(2_000.0)),
        1_000_000.0
    ),
    // Share of the time in which some task waited for a processor, ours too.
    defaults!("psi_cpu", "percent", false, (40.0, 20.0, Some(90.0)), 100.0),
    // Share of the time in which some task waited for a disk, ours too.
    defaults!("psi_io", "percent", false, (20.0, 10.0, Some(80.0)), 100.0),
    // Share of the time in which some task waited for memory, ours too.
    defaults!("psi_memory", "percent", false, (5.0, 2.0, Some(30.0)), 100.0),
    // Share of the time in which the busiest whole disk worked, for us too.
    defaults!("disk", "percent", false, (60.0, 40.0, Some(98.0)), 100.0),
    // What the busiest interface received and sent, for us too; set the limits by the link's speed.
    defaults!("network", "MB/s", false, (80.0, 50.0, None), 1_000_000.0),
];
