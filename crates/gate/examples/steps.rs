//! Measures the steps of the law per second on one core and on all cores: `make bench-gate`.
//!
//! Replays more than a day of samples at ten per second, with bursts. The result is the upper bound for `gate
//! simulate`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use gate::GateConfig;
use gate::clock::Moment;
use gate::law::{self, LawState, Tick};
use gate::orders::Orders;
use gate::sample::{Reading, Sample};
use jiff::Timestamp;

const STEPS: u32 = 10_000_000;

/// Returns the share of the steps in which the gate was open.
fn replay() -> f64 {
    let limits = GateConfig::default().limits();
    let orders = Orders::default();
    let mut now = Moment {
        mono: Duration::ZERO,
        wall: Timestamp::UNIX_EPOCH,
    };
    let mut state = LawState::new(now, 1);
    let readings: BTreeMap<_, _> = limits
        .signals
        .keys()
        .map(|name| (name.clone(), Reading::Value(5.0)))
        .collect();
    let mut sample = Sample { at: now, readings };
    let mut open = 0_u32;
    for at in 0..STEPS {
        now = now.later(Duration::from_millis(100));
        sample.at = now;
        let load = match at % 400 {
            0..100 => 90.0,
            100..250 => 30.0,
            _ => 3.0,
        };
        for reading in sample.readings.values_mut() {
            *reading = Reading::Value(load);
        }
        let verdict = law::advance(&mut state, &sample, &Tick::default(), &orders, &limits, now);
        open += u32::from(black_box(&verdict).permits_work());
    }
    f64::from(open) / f64::from(STEPS)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example writes its own line, of numbers"
)]
fn main() -> std::io::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let cores = u32::try_from(cores).unwrap_or(1);
    let began = Instant::now();
    let open = replay();
    let one = began.elapsed().as_secs_f64();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(replay);
        }
    });
    let all = began.elapsed().as_secs_f64();
    writeln!(
        std::io::stdout(),
        "{:.1} million steps a second on one core, {:.1} million on {cores}; {} signals, open {:.1} % of them",
        f64::from(STEPS) / one / 1e6,
        f64::from(STEPS) * f64::from(cores) / all / 1e6,
        GateConfig::default().limits().signals.len(),
        open * 100.0
    )
}
