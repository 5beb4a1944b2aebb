//! Reads the kernel's files, and computes rates from two readings.
//!
//! The kernel updates the pressure totals only every two seconds. A pressure is therefore the mean over the time
//! between the last two changes of its total, and zero if the total is unchanged for longer than that. A short stall is
//! seen up to two seconds late.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::config::HostSignalConfig;
use super::support::{self, is_counted_interface};
use super::{group, parse};
use crate::own::{OwnEntry, OwnPids};
use crate::signal::SignalError;
use crate::signal::cpu::process::OwnProcesses;
use crate::signal::foreground::{ForegroundReader, Snapshot, contention_between};
use crate::signal::procfs::ProcFile;

/// The kernel's update interval for pressure is two seconds and a tick; this leaves room.
const PRESSURE_UPDATE_INTERVAL: Duration = Duration::from_millis(2_500);

/// Number of run queue samples per reading.
const RUN_QUEUE_SAMPLES: usize = 5;

/// The meter of one signal.
#[derive(Debug)]
pub struct HostMeter {
    path: PathBuf,
    file: Option<ProcFile>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory {
        group: Option<group::GroupMemory>,
    },
    Pressure(Pressure),
    RunQueue {
        own: Box<OwnProcesses>,
        before: Option<(Instant, u64)>,
        samples: VecDeque<f64>,
    },
    Disk {
        only: Vec<String>,
        before: Option<(Instant, Vec<(String, u64)>)>,
    },
    Network {
        only: Vec<String>,
        before: Option<(Instant, Vec<(String, u64)>)>,
    },
    Delay {
        reader: Box<ForegroundReader>,
        before: Option<Snapshot>,
    },
}

/// PURE: the pressure, from consecutive totals.
#[derive(Debug, Default)]
pub struct Pressure {
    changed: Option<(Duration, u64)>,
    percent: Option<f64>,
}

impl Pressure {
    /// Adds a total in microseconds; returns percent, `None` before it is known.
    pub fn add(&mut self, at: Duration, total: u64) -> Option<f64> {
        let Some((then, before)) = self.changed else {
            self.changed = Some((at, total));
            return None;
        };
        let window = at.checked_sub(then).filter(|_| total >= before);
        let Some(window) = window else {
            *self = Self {
                changed: Some((at, total)),
                percent: None,
            };
            return None;
        };
        if total > before || window >= PRESSURE_UPDATE_INTERVAL {
            let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(1);
            self.percent = Some(parse::percent(total - before, micros));
            self.changed = Some((at, total));
        }
        self.percent
    }
}

impl HostMeter {
    /// Creates the meter of a signal of the catalogue.
    #[must_use]
    pub fn new(name: &str, table: &HostSignalConfig, foreground: &[OwnEntry], own_pids: &OwnPids) -> Self {
        let (path, source) = match name {
            "psi_cpu" | "psi_io" | "psi_memory" => {
                let path = support::pressure_path(name, table);
                (path, Source::Pressure(Pressure::default()))
            }
            "run_queue" => {
                let own = Box::new(OwnProcesses::new(Vec::new(), own_pids.clone()));
                (
                    "/proc/loadavg".into(),
                    Source::RunQueue {
                        own,
                        before: None,
                        samples: VecDeque::new(),
                    },
                )
            }
            "disk" => {
                let only = table.only.clone();
                ("/proc/diskstats".into(), Source::Disk { only, before: None })
            }
            "network" => {
                let only = table.only.clone();
                ("/proc/net/dev".into(), Source::Network { only, before: None })
            }
            "sched_delay" => {
                let reader = Box::new(ForegroundReader::new(own_pids.clone(), foreground.to_vec()));
                (PathBuf::new(), Source::Delay { reader, before: None })
            }
            _ => {
                let group = table.group.as_deref().map(group::GroupMemory::new);
                ("/proc/meminfo".into(), Source::Memory { group })
            }
        };
        Self {
            path,
            file: None,
            source,
        }
    }

    /// Reads the current value.
    ///
    /// # Errors
    /// If the file cannot be read or parsed, and at the first reading of a rate.
    pub fn read(&mut self) -> Result<f64, SignalError> {
        if let Source::Delay { reader, before } = &mut self.source {
            return scheduling_delay(reader, before);
        }
        let path = self.path.to_string_lossy();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(
                ProcFile::open(path.as_ref()).map_err(|error| SignalError(format!("{path}: {error}")))?,
            ),
        };
        let text = file.text()?;
        let unknown = || SignalError(format!("no value in {path}"));
        match &mut self.source {
            Source::Memory { group } => {
                let host = parse::memory(text).ok_or_else(unknown)?;
                let group = group.as_mut().map_or(Ok(None), group::GroupMemory::read)?;
                Ok(group.map_or(host, |group| group.max(host)))
            }
            Source::Pressure(pressure) => {
                let total = parse::stalled(text).ok_or_else(unknown)?;
                pressure.add(origin().elapsed(), total).ok_or_else(first_reading)
            }
            Source::RunQueue { own, before, samples } => {
                let running = parse::runnable(text).ok_or_else(unknown)?;
                run_queue_per_core(running, own, before, samples)
            }
            Source::Disk { only, before } => {
                let is_counted = |name: &str| {
                    if only.is_empty() {
                        !parse::is_virtual_disk(name) && Path::new("/sys/block").join(name).exists()
                    } else {
                        only.iter().any(|disk| disk == name)
                    }
                };
                let now = (
                    Instant::now(),
                    parse::disks(text, is_counted).ok_or_else(unknown)?,
                );
                if now.1.is_empty() || now.1.len() < only.len() {
                    return Err(SignalError(
                        "a disk of signals.disk.only does not exist, or there is no disk".to_owned(),
                    ));
                }
                let then = before.replace(now.clone()).ok_or_else(first_reading)?;
                busiest_disk_percent(&then, &now)
            }
            Source::Network { only, before } => {
                let all = parse::interfaces(text).ok_or_else(unknown)?;
                let is_counted = all
                    .into_iter()
                    .filter(|(name, ..)| is_counted_interface(name, only));
                let moved = is_counted.map(|(name, received, sent)| (name, received.saturating_add(sent)));
                let now = (Instant::now(), moved.collect::<Vec<_>>());
                if now.1.is_empty() || now.1.len() < only.len() {
                    return Err(SignalError(
                        "an interface of signals.network.only does not exist, or there is no interface"
                            .to_owned(),
                    ));
                }
                let then = before.replace(now.clone()).ok_or_else(first_reading)?;
                busiest_interface_rate(&then, &now)
            }
            Source::Delay { .. } => Err(unknown()),
        }
    }
}

fn origin() -> Instant {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

fn first_reading() -> SignalError {
    SignalError("first reading, no previous value to compare with".to_owned())
}

fn busiest_disk_percent(
    then: &(Instant, Vec<(String, u64)>),
    now: &(Instant, Vec<(String, u64)>),
) -> Result<f64, SignalError> {
    let window = u64::try_from((now.0 - then.0).as_micros())
        .unwrap_or(u64::MAX)
        .max(1);
    let busy = now.1.iter().filter_map(|(name, time)| {
        let (_, before) = then.1.iter().find(|(other, _)| other == name)?;
        time.checked_sub(*before)
    });
    let most = busy.max().ok_or_else(first_reading)?;
    Ok(parse::percent(most.saturating_mul(1_000), window))
}

/// Returns bytes per microsecond (MB/s) of the busiest interface. A counter that decreased is ignored: the interface
/// was recreated.
#[expect(
    clippy::cast_precision_loss,
    reason = "bytes over a window are far below 2^52"
)]
fn busiest_interface_rate(
    then: &(Instant, Vec<(String, u64)>),
    now: &(Instant, Vec<(String, u64)>),
) -> Result<f64, SignalError> {
    let window = (now.0 - then.0).as_micros().max(1) as f64;
    let moved = now.1.iter().filter_map(|(name, bytes)| {
        let (_, before) = then.1.iter().find(|(other, _)| other == name)?;
        bytes.checked_sub(*before)
    });
    let most = moved.max().ok_or_else(first_reading)?;
    Ok(most as f64 / window)
}

/// Returns runnable tasks per core, without this one and the mean number of ours that ran.
#[expect(clippy::cast_precision_loss, reason = "counts of tasks and windows are small")]
fn run_queue_per_core(
    running: u64,
    own: &mut OwnProcesses,
    before: &mut Option<(Instant, u64)>,
    samples: &mut VecDeque<f64>,
) -> Result<f64, SignalError> {
    let now = (Instant::now(), own.read()?.values().sum());
    let (then, spent) = before.replace(now).ok_or_else(first_reading)?;
    let window = (now.0 - then).as_nanos().max(1) as f64;
    let ours = now.1.saturating_sub(spent) as f64 / window;
    let cores = std::thread::available_parallelism().map_err(|error| SignalError(error.to_string()))?;
    let others = (running.saturating_sub(1) as f64 - ours).max(0.0);
    samples.push_back(others / cores.get() as f64);
    if samples.len() > RUN_QUEUE_SAMPLES {
        samples.pop_front();
    }
    Ok(samples.iter().sum::<f64>() / samples.len() as f64)
}

fn scheduling_delay(
    reader: &mut ForegroundReader,
    before: &mut Option<Snapshot>,
) -> Result<f64, SignalError> {
    let then = before.take();
    let now = reader.read()?;
    if !now.known {
        return Err(SignalError(
            "no process of the business is visible; name its programs in signals.foreground, or turn sched_delay off for a remote core"
                .to_owned(),
        ));
    }
    let then = then.map(|then| contention_between(&then, &now));
    *before = Some(now);
    let contention = then.ok_or_else(first_reading)?.unwrap_or_default();
    // At least 1 ms of run time, as the ratio of an idle business is meaningless.
    let run = contention.run.max(Duration::from_millis(1));
    Ok(contention.wait.as_secs_f64() / run.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Trap: pressure averaged over ten seconds closes the gate permanently.
    #[test]
    fn pressure_covers_the_kernels_window_only() {
        let mut pressure = Pressure::default();
        let at = |ms| Duration::from_millis(ms);
        assert_eq!(pressure.add(at(0), 5_000_000), None);
        assert_eq!(pressure.add(at(100), 5_000_000), None);
        assert_eq!(pressure.add(at(2_000), 6_000_000), Some(50.0));
        assert_eq!(pressure.add(at(3_000), 6_000_000), Some(50.0));
        assert_eq!(pressure.add(at(4_600), 6_000_000), Some(0.0));
        // A decreasing counter gives no value.
        assert_eq!(pressure.add(at(5_000), 1), None);
    }

    #[test]
    fn network_is_the_busiest_interface_in_megabytes_per_second() {
        let at = Instant::now();
        let link = |name: &str, bytes| (name.to_owned(), bytes);
        let then = (at, vec![link("eth0", 0), link("eth1", 500)]);
        let now = (
            at + Duration::from_millis(100),
            vec![link("eth0", 8_000_000), link("eth1", 600)],
        );
        assert!(busiest_interface_rate(&then, &now).is_ok_and(|rate| (rate - 80.0).abs() < 1e-9));
        // Recreated between the two readings.
        assert!(busiest_interface_rate(&now, &then).is_err());
        assert!(
            is_counted_interface("eth0", &[])
                && !is_counted_interface("lo", &[])
                && is_counted_interface("lo", &["lo".to_owned()])
        );
    }

    proptest! {
        #[test]
        fn pressure_is_a_percentage_or_unknown(totals in proptest::collection::vec(0_u64..u64::MAX, 1..20)) {
            let mut pressure = Pressure::default();
            for (step, total) in (1_u64..).zip(totals) {
                let percent = pressure.add(Duration::from_millis(step * 100), total);
                prop_assert!(percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
            }
        }
    }
}
