//! The host's CPU counters.
//!
//! On Linux they come from the root control group, if visible: with nanosecond resolution in version 1
//! (`cpuacct.usage`, plus interrupts and stolen time from `/proc/stat`), with the kernel's tick resolution in version 2
//! (`cpu.stat`, which includes them). A container sees its own group in that place; a group that is not the root is not
//! used. A counter far below `/proc/stat` is dropped. Otherwise they come from `/proc/stat` alone, in ticks of 10 ms:
//! then the window is at least 200 ms, which resolves 2.5 percent on two cores.
//!
//! `sysinfo` does not report failed reads and keeps the previous value for 200 ms; both would leave a gate open that
//! should close. It is used on other systems, with checks for both.

use std::time::Instant;

use super::share::HostTimes;
use crate::signal::SignalError;

/// Reader of the host's counters.
#[derive(Debug)]
pub struct Host {
    origin: Instant,
    #[cfg(target_os = "linux")]
    linux: super::root::Counters,
    #[cfg(not(target_os = "linux"))]
    other_systems: other_systems::Counters,
}

impl Host {
    /// Creates a reader.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
            #[cfg(target_os = "linux")]
            linux: super::root::Counters::new(),
            #[cfg(not(target_os = "linux"))]
            other_systems: other_systems::Counters::new(),
        }
    }

    /// Reads the current counters.
    ///
    /// # Errors
    /// If they cannot be read or parsed.
    #[cfg(target_os = "linux")]
    pub fn read(&mut self) -> Result<HostTimes, SignalError> {
        let origin = self.origin;
        self.linux.read(|| origin.elapsed())
    }

    /// Reads the current counters.
    ///
    /// # Errors
    /// If they cannot be read.
    #[cfg(not(target_os = "linux"))]
    pub fn read(&mut self) -> Result<HostTimes, SignalError> {
        self.other_systems.read(self.origin.elapsed())
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(target_os = "linux"))]
mod other_systems {
    use std::time::Duration;

    use sysinfo::{CpuRefreshKind, System};

    use super::super::share::HostTimes;
    use crate::signal::SignalError;

    /// Accumulates the percentages of `sysinfo` into counters of microseconds.
    #[derive(Debug)]
    pub(super) struct Counters {
        system: Option<System>,
        times: HostTimes,
    }

    impl Counters {
        pub(super) fn new() -> Self {
            let times = HostTimes {
                busy: 0,
                interrupts: 0,
                total: 0,
                cores: 0,
                precise: false,
                at: Duration::ZERO,
            };
            Self { system: None, times }
        }

        pub(super) fn read(&mut self, at: Duration) -> Result<HostTimes, SignalError> {
            let window = at.saturating_sub(self.times.at);
            if self.times.cores > 0 && window < sysinfo::MINIMUM_CPU_UPDATE_INTERVAL {
                return Err(SignalError(
                    "CPU counters of this system need an interval of at least 250ms".to_owned(),
                ));
            }
            let system = match &mut self.system {
                Some(system) => system,
                none => none.insert(System::new().map_err(|error| SignalError(error.to_string()))?),
            };
            system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_cpu_usage());
            let cores = u32::try_from(system.cpus().len()).unwrap_or(0);
            let percent = f64::from(system.global_cpu_usage());
            if cores == 0 || !percent.is_finite() {
                return Err(SignalError("this system reports no CPU usage".to_owned()));
            }
            let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
            let busy = window.mul_f64(percent.clamp(0.0, 100.0) / 100.0).as_micros();
            self.times.total += micros;
            self.times.busy += u64::try_from(busy).unwrap_or(micros).min(micros);
            self.times.cores = cores;
            self.times.at = at;
            Ok(self.times)
        }
    }
}
