//! Measures the CPU cost of the signals: `cargo run -p gate --example cost [PROGRAM...]`, with programs as in
//! `gate.own`. Prints the share of a core at ten samples per second.

#![expect(clippy::print_stdout, reason = "the answer of the program")]

use std::time::{Duration, Instant};

use gate::plan::configured_signals;
use gate::{GateConfig, OwnPids};

const SAMPLES: u32 = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let config = GateConfig {
        own: std::env::args()
            .skip(1)
            .filter_map(|entry| entry.parse().ok())
            .collect(),
        ..GateConfig::default()
    };
    let mut signals = configured_signals(&config, &OwnPids::new());
    let (begun, before) = (Instant::now(), cpu()?);
    let mut failed = 0;
    for _ in 0..SAMPLES {
        for signal in &mut signals {
            failed += u32::from(signal.read().await.is_err());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let spent = cpu()?.saturating_sub(before);
    let share = spent.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    println!(
        "{} signals, {failed} readings failed: {share:.3} percent of a core",
        signals.len()
    );
    Ok(())
}

/// Returns the CPU time of this process so far.
fn cpu() -> std::io::Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text
            .split_whitespace()
            .next()
            .and_then(|run| run.parse().ok())
            .unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}
