use super::*;
use crate::{Row, block::VerdictChange};
use gate::config::GateConfig;

/// Ten samples per second of one signal; the recorded gate was closed throughout.
fn day(samples: i64, load: impl Fn(i64) -> i64) -> Vec<Block> {
    let mut blocks = Vec::new();
    for first in (0..samples).step_by(600) {
        let mut block = Block::new(1);
        block.signals = vec!["host_cpu".into()];
        block.changes = vec![VerdictChange {
            at: 0,
            state: GateState::Closed,
            kind: "no_sample".to_owned(),
            reason: String::new(),
        }];
        for at in first..(first + 600).min(samples) {
            block.rows.push(Row {
                wall_ms: at * 100,
                mono_ms: at * 100,
                ..Row::default()
            });
            block.readings.push(load(at) * 1_000);
        }
        blocks.push(block);
    }
    blocks
}

fn scenario() -> Scenario {
    Scenario {
        rows_per_second: Some(1_000.0),
        ..Scenario::new(GateConfig::default().limits())
    }
}

#[test]
fn gate_quiet_hour_is_open_and_busy_hour_is_closed() {
    let quiet = simulate(&day(36_000, |_| 3), &scenario());
    assert!(quiet.candidate.open_s > 3_500.0, "{quiet:?}");
    assert!(quiet.candidate.rows.is_some_and(|rows| rows > 3_400_000.0));
    assert_eq!((quiet.candidate.openings, quiet.candidate.flaps), (1, 0));
    assert!((quiet.recorded.closed_s - 3_599.9).abs() < 0.01);
    let busy = simulate(&day(36_000, |_| 95), &scenario());
    assert!(busy.candidate.work_s < 0.001 && busy.candidate.openings == 0);
}

#[test]
fn bursts_count_as_closings_flaps_and_false_idleness() {
    // 5 s quiet, 5 s busy: the gate opens after its hold, for less than 10 s.
    let simulation = simulate(&day(36_000, |at| if at % 100 < 50 { 3 } else { 90 }), &scenario());
    let figures = &simulation.candidate;
    assert!(
        figures.openings > 300 && figures.flaps == figures.openings,
        "{figures:?}"
    );
    assert_eq!(figures.closings.get("over_limit"), Some(&figures.openings));
    // Each opening includes the second before its burst.
    let false_idle = figures.false_idle_s / share(i64::try_from(figures.openings).unwrap_or(1));
    assert!((0.8..=1.1).contains(&false_idle), "{false_idle}");
}

#[test]
fn lax_policy_is_scored_against_the_recorded_limits() {
    let mut blocks = day(6_000, |_| 80);
    blocks[0].limits = Some(BTreeMap::from([(
        "host_cpu".to_owned(),
        SignalLimit {
            stop_milli: 70_000,
            resume_milli: 50_000,
            unit: "percent".to_owned(),
        },
    )]));
    let mut scenario = scenario();
    for limit in scenario.limits.signals.values_mut() {
        (limit.stop, limit.resume) = (99.0, 95.0);
    }
    let simulation = simulate(&blocks, &scenario);
    assert!(simulation.candidate.limited_s > 500.0, "{simulation:?}");
    assert!(simulation.candidate.false_idle_s > 500.0, "{simulation:?}");
}

#[test]
fn signals_not_in_common_are_ignored_and_listed() {
    let mut scenario = scenario();
    let limit = scenario.limits.signals["host_cpu"];
    scenario.limits.signals = [("host_cpu".into(), limit), ("disk".into(), limit)].into();
    let mut blocks = day(600, |_| 3);
    blocks[0].signals = vec!["memory".into()];
    blocks.extend(
        day(600, |_| 3)
            .into_iter()
            .map(|block| Block { run_id: 2, ..block }),
    );
    let simulation = simulate(&blocks, &scenario);
    assert_eq!(simulation.not_recorded, ["disk"]);
    assert_eq!(simulation.not_in_policy, ["memory"]);
    assert!(simulation.candidate.open_s > 50.0);
}

/// A suspended machine and a corrupt recording: unrecorded time counts for no state.
#[test]
fn unrecorded_time_is_reported_and_counts_for_no_state() {
    let mut blocks = day(1_200, |_| 3);
    for row in &mut blocks[1].rows {
        row.wall_ms += 3_600_000;
        row.mono_ms += 3_600_000;
    }
    let simulation = simulate(&blocks, &scenario());
    assert!(
        (simulation.unseen_s - 3_599.6).abs() < 0.5,
        "{}",
        simulation.unseen_s
    );
    let seen = simulation.candidate.open_s + simulation.candidate.closed_s + simulation.candidate.limited_s;
    assert!(seen < 121.0, "{seen}");
}

#[test]
fn empty_recording_gives_an_empty_simulation() {
    let simulation = simulate(&[], &Scenario::new(GateConfig::default().limits()));
    assert_eq!((simulation.samples, simulation.candidate.rows), (0, None));
}
