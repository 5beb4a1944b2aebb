use super::*;
use crate::config::GateConfig;
use crate::record::{Row, block::Turn};

/// Ten samples a second of one signal; the recorded gate was shut throughout.
fn day(samples: i64, load: impl Fn(i64) -> i64) -> Vec<Block> {
    let mut blocks = Vec::new();
    for first in (0..samples).step_by(600) {
        let mut block = Block::new(1);
        block.signals = vec!["host_cpu".into()];
        block.turns = vec![Turn {
            at: 0,
            state: GateState::Shut,
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

fn question() -> Question {
    Question {
        rows_per_second: Some(1_000.0),
        ..Question::new(GateConfig::default().limits())
    }
}

#[test]
fn a_quiet_hour_is_open_and_a_busy_one_shut() {
    let quiet = simulate(&day(36_000, |_| 3), &question());
    assert!(quiet.candidate.open_s > 3_500.0, "{quiet:?}");
    assert!(quiet.candidate.rows.is_some_and(|rows| rows > 3_400_000.0));
    assert_eq!((quiet.candidate.openings, quiet.candidate.flaps), (1, 0));
    assert!((quiet.recorded.shut_s - 3_599.9).abs() < 0.01);
    let busy = simulate(&day(36_000, |_| 95), &question());
    assert!(busy.candidate.work_s < 0.001 && busy.candidate.openings == 0);
}

#[test]
fn bursts_are_shuts_flaps_and_false_idleness() {
    // 5 s quiet, 5 s busy: the gate opens after its hold, for less than 10 s.
    let answer = simulate(&day(36_000, |at| if at % 100 < 50 { 3 } else { 90 }), &question());
    let figures = &answer.candidate;
    assert!(
        figures.openings > 300 && figures.flaps == figures.openings,
        "{figures:?}"
    );
    assert_eq!(figures.shuts.get("over_limit"), Some(&figures.openings));
    // Each opening is caught by the second before its burst.
    let false_idle = figures.false_idle_s / share(i64::try_from(figures.openings).unwrap_or(1));
    assert!((0.8..=1.1).contains(&false_idle), "{false_idle}");
}

#[test]
fn a_lax_policy_does_not_judge_itself() {
    let mut blocks = day(6_000, |_| 80);
    blocks[0].limits = Some(BTreeMap::from([(
        "host_cpu".to_owned(),
        SignalLimit {
            stop_milli: 70_000,
            resume_milli: 50_000,
            unit: "percent".to_owned(),
        },
    )]));
    let mut question = question();
    for limit in question.limits.signals.values_mut() {
        (limit.stop, limit.resume) = (99.0, 95.0);
    }
    let answer = simulate(&blocks, &question);
    assert!(answer.candidate.limited_s > 500.0, "{answer:?}");
    assert!(answer.candidate.false_idle_s > 500.0, "{answer:?}");
}

#[test]
fn signals_that_do_not_fit_are_left_out_and_named() {
    let mut question = question();
    let limit = question.limits.signals["host_cpu"];
    question.limits.signals = [("host_cpu".into(), limit), ("disk".into(), limit)].into();
    let mut blocks = day(600, |_| 3);
    blocks[0].signals = vec!["memory".into()];
    blocks.extend(
        day(600, |_| 3)
            .into_iter()
            .map(|block| Block { life: 2, ..block }),
    );
    let answer = simulate(&blocks, &question);
    assert_eq!(answer.not_recorded, ["disk"]);
    assert_eq!(answer.not_in_policy, ["memory"]);
    assert!(answer.candidate.open_s > 50.0);
}

/// A suspended machine and a spoilt recording: time that nobody saw is nobody's.
#[test]
fn unseen_time_is_told_and_counts_for_nothing() {
    let mut blocks = day(1_200, |_| 3);
    for row in &mut blocks[1].rows {
        row.wall_ms += 3_600_000;
        row.mono_ms += 3_600_000;
    }
    let answer = simulate(&blocks, &question());
    assert!((answer.unseen_s - 3_599.6).abs() < 0.5, "{}", answer.unseen_s);
    let seen = answer.candidate.open_s + answer.candidate.shut_s + answer.candidate.limited_s;
    assert!(seen < 121.0, "{seen}");
}

#[test]
fn nothing_recorded_is_nothing_answered() {
    let answer = simulate(&[], &Question::new(GateConfig::default().limits()));
    assert_eq!((answer.samples, answer.candidate.rows), (0, None));
}
