//! Reads the kernel's files, and compares two looks where a rate is wanted.
//!
//! The kernel brings the totals of pressure up to date every two seconds only, so a pressure is
//! the mean over the time between the last two changes of its total, and zero when the total has
//! stood for longer than the kernel takes. A short stall is seen up to two seconds late.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::catalogue::{self, is_link};
use super::{group, parse};
use crate::config::SignalsConfig;
use crate::foreground::{ForegroundReader, Snapshot, between};
use crate::own::OwnPids;
use crate::signal::SignalError;
use crate::signal::cpu::process::OwnProcesses;
use crate::signal::procfs::Held;

/// The kernel's pace for pressure is two seconds and a tick; this leaves room.
const PRESSURE_STANDS: Duration = Duration::from_millis(2_500);

/// How many looks at the run queue make one reading.
const LOOKS: usize = 5;

/// What one signal reads.
#[derive(Debug)]
pub struct Meter {
    path: PathBuf,
    held: Option<Held>,
    what: What,
}

#[derive(Debug)]
enum What {
    Memory {
        group: Option<group::GroupMemory>,
    },
    Pressure(Pressure),
    RunQueue {
        own: Box<OwnProcesses>,
        before: Option<(Instant, u64)>,
        looks: VecDeque<f64>,
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

/// PURE: the pressure, from totals as they come.
#[derive(Debug, Default)]
pub struct Pressure {
    changed: Option<(Duration, u64)>,
    percent: Option<f64>,
}

impl Pressure {
    /// Takes in a total in microseconds; gives percent, none before it is known.
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
        if total > before || window >= PRESSURE_STANDS {
            let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(1);
            self.percent = Some(parse::percent(total - before, micros));
            self.changed = Some((at, total));
        }
        self.percent
    }
}

impl Meter {
    /// The meter of a signal of the catalogue.
    #[must_use]
    pub fn of(name: &str, config: &SignalsConfig, own_pids: &OwnPids) -> Self {
        let (path, what) = match name {
            "psi_cpu" | "psi_io" | "psi_memory" => {
                let path = catalogue::pressure_file(name, config);
                (path, What::Pressure(Pressure::default()))
            }
            "run_queue" => {
                let own = Box::new(OwnProcesses::new(Vec::new(), own_pids.clone()));
                (
                    "/proc/loadavg".into(),
                    What::RunQueue {
                        own,
                        before: None,
                        looks: VecDeque::new(),
                    },
                )
            }
            "disk" => {
                let only = config.disk.only.clone();
                ("/proc/diskstats".into(), What::Disk { only, before: None })
            }
            "network" => {
                let only = config.network.only.clone();
                ("/proc/net/dev".into(), What::Network { only, before: None })
            }
            "sched_delay" => {
                let reader = Box::new(ForegroundReader::new(own_pids.clone(), config.foreground.clone()));
                (PathBuf::new(), What::Delay { reader, before: None })
            }
            _ => {
                let group = config.memory.group.as_deref().map(group::GroupMemory::of);
                ("/proc/meminfo".into(), What::Memory { group })
            }
        };
        Self {
            path,
            held: None,
            what,
        }
    }

    /// The reading now.
    ///
    /// # Errors
    /// When the file cannot be read or understood, and at the first look of a rate.
    pub fn read(&mut self) -> Result<f64, SignalError> {
        if let What::Delay { reader, before } = &mut self.what {
            return delay(reader, before);
        }
        let path = self.path.to_string_lossy();
        let held = match &mut self.held {
            Some(held) => held,
            none => none
                .insert(Held::open(path.as_ref()).map_err(|error| SignalError(format!("{path}: {error}")))?),
        };
        let text = held.text()?;
        let unknown = || SignalError(format!("{path} does not say it"));
        match &mut self.what {
            What::Memory { group } => {
                let host = parse::memory(text).ok_or_else(unknown)?;
                let group = group.as_mut().map_or(Ok(None), group::GroupMemory::read)?;
                Ok(group.map_or(host, |group| group.max(host)))
            }
            What::Pressure(pressure) => {
                let total = parse::stalled(text).ok_or_else(unknown)?;
                pressure.add(origin().elapsed(), total).ok_or_else(first)
            }
            What::RunQueue { own, before, looks } => {
                let running = parse::runnable(text).ok_or_else(unknown)?;
                queue(running, own, before, looks)
            }
            What::Disk { only, before } => {
                let wanted = |name: &str| {
                    if only.is_empty() {
                        !parse::is_no_disk(name) && Path::new("/sys/block").join(name).exists()
                    } else {
                        only.iter().any(|disk| disk == name)
                    }
                };
                let now = (Instant::now(), parse::disks(text, wanted).ok_or_else(unknown)?);
                if now.1.is_empty() || now.1.len() < only.len() {
                    return Err(SignalError(
                        "a disk of signals.disk.only is not there, or there is none".to_owned(),
                    ));
                }
                let then = before.replace(now.clone()).ok_or_else(first)?;
                busiest(&then, &now)
            }
            What::Network { only, before } => {
                let all = parse::interfaces(text).ok_or_else(unknown)?;
                let wanted = all.into_iter().filter(|(name, ..)| is_link(name, only));
                let moved = wanted.map(|(name, received, sent)| (name, received.saturating_add(sent)));
                let now = (Instant::now(), moved.collect::<Vec<_>>());
                if now.1.is_empty() || now.1.len() < only.len() {
                    return Err(SignalError(
                        "an interface of signals.network.only is not there, or there is none".to_owned(),
                    ));
                }
                let then = before.replace(now.clone()).ok_or_else(first)?;
                fullest(&then, &now)
            }
            What::Delay { .. } => Err(unknown()),
        }
    }
}

fn origin() -> Instant {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

fn first() -> SignalError {
    SignalError("first reading, nothing to compare it with yet".to_owned())
}

fn busiest(
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
    let most = busy.max().ok_or_else(first)?;
    Ok(parse::percent(most.saturating_mul(1_000), window))
}

/// Bytes a microsecond, which are megabytes a second, of the interface that moved the most. A
/// counter that went back says nothing: the interface was made anew.
#[expect(
    clippy::cast_precision_loss,
    reason = "bytes over a window are far below 2^52"
)]
fn fullest(
    then: &(Instant, Vec<(String, u64)>),
    now: &(Instant, Vec<(String, u64)>),
) -> Result<f64, SignalError> {
    let window = (now.0 - then.0).as_micros().max(1) as f64;
    let moved = now.1.iter().filter_map(|(name, bytes)| {
        let (_, before) = then.1.iter().find(|(other, _)| other == name)?;
        bytes.checked_sub(*before)
    });
    let most = moved.max().ok_or_else(first)?;
    Ok(most as f64 / window)
}

/// Runnable tasks per core, less the one that looks and the mean number of ours that ran.
#[expect(clippy::cast_precision_loss, reason = "counts of tasks and windows are small")]
fn queue(
    running: u64,
    own: &mut OwnProcesses,
    before: &mut Option<(Instant, u64)>,
    looks: &mut VecDeque<f64>,
) -> Result<f64, SignalError> {
    let now = (Instant::now(), own.read()?.values().sum());
    let (then, spent) = before.replace(now).ok_or_else(first)?;
    let window = (now.0 - then).as_nanos().max(1) as f64;
    let ours = now.1.saturating_sub(spent) as f64 / window;
    let cores = std::thread::available_parallelism().map_err(|error| SignalError(error.to_string()))?;
    let others = (running.saturating_sub(1) as f64 - ours).max(0.0);
    looks.push_back(others / cores.get() as f64);
    if looks.len() > LOOKS {
        looks.pop_front();
    }
    Ok(looks.iter().sum::<f64>() / looks.len() as f64)
}

fn delay(reader: &mut ForegroundReader, before: &mut Option<Snapshot>) -> Result<f64, SignalError> {
    let then = before.take();
    let now = reader.read()?;
    if !now.known {
        return Err(SignalError(
            "no process of the business is seen here; name its programs in signals.foreground, or turn sched_delay off when the core is remote"
                .to_owned(),
        ));
    }
    let then = then.map(|then| between(&then, &now));
    *before = Some(now);
    let strain = then.ok_or_else(first)?.unwrap_or_default();
    // A business that hardly ran says nothing by its ratio: at least 1 ms of run time.
    let run = strain.run.max(Duration::from_millis(1));
    Ok(strain.wait.as_secs_f64() / run.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Trap: pressure averaged over ten seconds shuts for ever.
    #[test]
    fn pressure_is_over_the_kernels_window_and_ends_with_it() {
        let mut pressure = Pressure::default();
        let at = |ms| Duration::from_millis(ms);
        assert_eq!(pressure.add(at(0), 5_000_000), None);
        assert_eq!(pressure.add(at(100), 5_000_000), None);
        assert_eq!(pressure.add(at(2_000), 6_000_000), Some(50.0));
        assert_eq!(pressure.add(at(3_000), 6_000_000), Some(50.0));
        assert_eq!(pressure.add(at(4_600), 6_000_000), Some(0.0));
        // A counter that went back is no reading.
        assert_eq!(pressure.add(at(5_000), 1), None);
    }

    #[test]
    fn the_fullest_interface_counts_in_megabytes_a_second() {
        let at = Instant::now();
        let link = |name: &str, bytes| (name.to_owned(), bytes);
        let then = (at, vec![link("eth0", 0), link("eth1", 500)]);
        let now = (
            at + Duration::from_millis(100),
            vec![link("eth0", 8_000_000), link("eth1", 600)],
        );
        assert!(fullest(&then, &now).is_ok_and(|rate| (rate - 80.0).abs() < 1e-9));
        // Made anew between the two looks.
        assert!(fullest(&now, &then).is_err());
        assert!(is_link("eth0", &[]) && !is_link("lo", &[]) && is_link("lo", &["lo".to_owned()]));
    }

    proptest! {
        #[test]
        fn pressure_is_a_percentage_or_nothing(totals in proptest::collection::vec(0_u64..u64::MAX, 1..20)) {
            let mut pressure = Pressure::default();
            for (step, total) in (1_u64..).zip(totals) {
                let percent = pressure.add(Duration::from_millis(step * 100), total);
                prop_assert!(percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
            }
        }
    }
}
