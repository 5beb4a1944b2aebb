//! Replays recordings of real hosts.

use std::path::{Path, PathBuf};

use gate::GateConfig;
use recordings::forecast::History;
use recordings::simulate::{Scenario, simulate};
use recordings::{Block, Row, read};

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

/// Two busy cores with compilers and databases: over a minute of mixed load.
#[test]
fn trace_of_mixed_load_is_partly_open() -> Result<(), Box<dyn std::error::Error>> {
    let records = read(&traces())?;
    assert_eq!(records.skipped, 0);
    assert!(records.samples() > 500, "{}", records.samples());
    let mut scenario = Scenario::new(GateConfig::default().limits());
    scenario.rows_per_second = Some(1_000.0);
    let untuned = simulate(&records.blocks, &scenario);
    let seen = untuned.candidate.open_s + untuned.candidate.limited_s + untuned.candidate.closed_s;
    assert!(untuned.candidate.closed_s > 0.0 && seen > 50.0, "{untuned:?}");
    assert!(untuned.candidate.false_idle_s <= untuned.candidate.open_s + untuned.candidate.limited_s);
    // Signals added later are not in the trace: ignored and listed.
    assert!(!untuned.not_recorded.contains(&"host_cpu".to_owned()) && untuned.lost == 0);
    // The same law over the same samples gives the same result.
    assert_eq!(simulate(&records.blocks, &scenario), untuned);
    // A stricter policy is never open for longer.
    for limit in scenario.limits.signals.values_mut() {
        (limit.stop, limit.resume) = (limit.stop / 10.0, limit.resume / 10.0);
    }
    let strict = simulate(&records.blocks, &scenario);
    assert!(strict.candidate.closed_s >= untuned.candidate.closed_s);
    assert_ne!(History::from_blocks(&records.blocks), History::default());
    Ok(())
}

/// A synthetic day at ten samples per second, with bursts. `make bench-gate` measures the speed.
#[test]
fn trace_of_a_day_is_replayed_completely() {
    let mut blocks = Vec::new();
    for first in (0_i64..864_000).step_by(600) {
        let mut block = Block::new(1);
        block.signals = vec!["host_cpu".into()];
        for at in first..first + 600 {
            block.rows.push(Row {
                wall_ms: at * 100,
                mono_ms: at * 100,
                ..Row::default()
            });
            block.readings.push(if at % 400 < 100 { 90_000 } else { 3_000 });
        }
        blocks.push(block);
    }
    let mut limits = GateConfig::default().limits();
    limits.signals.retain(|name, _| &**name == "host_cpu");
    let simulation = simulate(&blocks, &Scenario::new(limits));
    assert_eq!(simulation.samples, 864_000);
    assert!(simulation.candidate.openings >= 2_159, "{simulation:?}");
}
