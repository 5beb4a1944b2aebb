//! PURE: checks the load evidence of a chunk or part against the policy that it states: was the gate allowed to be open under
//! these samples?
//!
//! Readings and limits are thousandths, rounded, so a reading that equals its stop limit proves nothing.

use std::fmt;

use jiff::SignedDuration;
use schemas::load::{GateState, Load, LoadSample, LoadVerdict};
use serde::Serialize;

/// How long after a sample over its limits the verdict on it may follow: the time that a slow reading takes.
const VERDICT_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// From this number of verdicts on, the publisher keeps only the first and the latest.
const MAX_VERDICTS: usize = 64;

/// What the reasons of verdicts begin with that permit a little work on a core that is never idle, as `crates/gate/src/verdict.rs`
/// writes them; the tests of its law hold the texts.
const RELIEF: [&str; 2] = ["a trickle by ", "a deadline window by "];

/// What load evidence proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadFinding {
    /// The gate was allowed to be open.
    Allowed,
    /// The gate was fixed open by configuration: nothing was measured.
    NotMeasured,
    /// The gate was not allowed to be open.
    Violated(LoadViolation),
}

/// How load evidence contradicts the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum LoadViolation {
    /// There is no verdict of a gate.
    NoVerdict,
    /// There are limits and no sample.
    NoSample,
    /// The gate was closed when reading began.
    Closed,
    /// The gate stayed open under a sample that requires it to close.
    OpenOverLimit {
        /// The signal.
        signal: String,
        /// Its reading, in thousandths; `None` if it failed or is missing.
        reading_milli: Option<i64>,
        /// The limit, in thousandths.
        stop_milli: i64,
        /// When the sample was taken.
        at: jiff::Timestamp,
    },
}

impl fmt::Display for LoadViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVerdict => f.write_str("its rows were read without a verdict of the gate"),
            Self::NoSample => f.write_str("its rows were read without a sample of the load"),
            Self::Closed => f.write_str("its rows were read while the gate was closed"),
            Self::OpenOverLimit {
                signal,
                reading_milli,
                stop_milli,
                at,
            } => {
                let reading = match reading_milli {
                    Some(milli) => format!("was at {milli} thousandths"),
                    None => "had no reading".to_owned(),
                };
                write!(
                    f,
                    "its rows were read with an open gate although {signal} {reading} at {at}, and the gate closes at {stop_milli}"
                )
            }
        }
    }
}

/// Checks the load evidence under which rows were read.
#[must_use]
pub fn check(load: &Load) -> LoadFinding {
    let Some(first) = load.verdicts.first() else {
        return LoadFinding::Violated(LoadViolation::NoVerdict);
    };
    if first.state == GateState::Closed {
        return LoadFinding::Violated(LoadViolation::Closed);
    }
    if load.limits.is_empty() {
        return LoadFinding::NotMeasured;
    }
    if load.samples.is_empty() {
        return LoadFinding::Violated(LoadViolation::NoSample);
    }
    let violation = load.samples.iter().find_map(|sample| over_limit(load, sample));
    violation.map_or(LoadFinding::Allowed, LoadFinding::Violated)
}

/// Returns the first signal of a sample beyond its limit, if the gate stayed open.
fn over_limit(load: &Load, sample: &LoadSample) -> Option<LoadViolation> {
    let (signal, limit, reading) = load.limits.iter().find_map(|(signal, limit)| {
        let reading = sample.readings_milli.get(signal).copied().flatten();
        let is_beyond = reading.is_none_or(|reading| reading > limit.stop_milli);
        is_beyond.then_some((signal, limit, reading))
    })?;
    if stayed_open(load, sample) {
        return Some(LoadViolation::OpenOverLimit {
            signal: signal.clone(),
            reading_milli: reading,
            stop_milli: limit.stop_milli,
            at: sample.at,
        });
    }
    None
}

fn stayed_open(load: &Load, sample: &LoadSample) -> bool {
    let verdicts = &load.verdicts;
    // Verdicts in the middle were dropped: what was in force before the second one kept is not known.
    if verdicts.len() >= MAX_VERDICTS && verdicts.get(1).is_some_and(|second| sample.at < second.at) {
        return false;
    }
    let in_force = verdicts.iter().rev().find(|verdict| verdict.at <= sample.at);
    if in_force.is_some_and(may_ignore_limits) {
        return false;
    }
    let next = verdicts.iter().find(|verdict| verdict.at > sample.at);
    !next.is_some_and(|verdict| {
        may_ignore_limits(verdict) && verdict.at.duration_since(sample.at) <= VERDICT_WITHIN
    })
}

/// Returns whether a verdict allows a sample beyond the limits: the gate is closed, or it permits a little work on a core that is never
/// idle, for which its reason names the accountable person.
fn may_ignore_limits(verdict: &LoadVerdict) -> bool {
    let is_relief = RELIEF.iter().any(|relief| verdict.reason.starts_with(relief));
    match verdict.state {
        GateState::Closed => true,
        GateState::Limited => is_relief,
        GateState::Open => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use schemas::load::SignalLimit;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn load(samples: &[(i64, Option<i64>)], verdicts: &[(i64, GateState)]) -> Load {
        let limit = SignalLimit {
            stop_milli: 50_000,
            resume_milli: 40_000,
            unit: "percent".into(),
        };
        Load {
            limits: BTreeMap::from([("host_cpu".to_owned(), limit)]),
            samples: samples
                .iter()
                .map(|(second, reading)| LoadSample {
                    at: at(*second),
                    readings_milli: BTreeMap::from([("host_cpu".to_owned(), *reading)]),
                })
                .collect(),
            verdicts: verdicts
                .iter()
                .map(|(second, state)| LoadVerdict {
                    at: at(*second),
                    state: *state,
                    reason: String::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn load_under_the_limits_is_allowed() {
        let evidence = load(&[(10, Some(1_000)), (11, Some(50_000))], &[(0, GateState::Open)]);
        assert_eq!(check(&evidence), LoadFinding::Allowed);
    }

    #[test]
    fn load_over_a_limit_requires_the_gate_to_close() {
        let shut_in_time = [(0, GateState::Open), (12, GateState::Closed)];
        let evidence = load(&[(10, Some(1_000)), (11, Some(50_001))], &shut_in_time);
        assert_eq!(check(&evidence), LoadFinding::Allowed);
        for reading in [Some(50_001), None] {
            for late in [
                vec![(0, GateState::Open)],
                vec![(0, GateState::Open), (17, GateState::Closed)],
            ] {
                let evidence = load(&[(10, Some(1_000)), (11, reading)], &late);
                let found = check(&evidence);
                assert!(
                    matches!(found, LoadFinding::Violated(LoadViolation::OpenOverLimit { .. })),
                    "{found:?}"
                );
            }
        }
    }

    #[test]
    fn load_over_a_limit_is_allowed_only_to_a_named_person() {
        let mut evidence = load(&[(1, Some(1_000)), (2, Some(60_000))], &[(0, GateState::Limited)]);
        assert!(matches!(check(&evidence), LoadFinding::Violated(_)));
        evidence.verdicts[0].reason = "a trickle by li.na (year end) despite: host_cpu 60.0".into();
        assert_eq!(check(&evidence), LoadFinding::Allowed);
    }

    #[test]
    fn load_of_a_closed_gate_or_without_evidence_is_a_fault() {
        use LoadViolation::{Closed, NoSample, NoVerdict};
        for (evidence, violation) in [
            (Load::default(), NoVerdict),
            (load(&[(1, Some(1))], &[(0, GateState::Closed)]), Closed),
            (load(&[], &[(0, GateState::Open)]), NoSample),
        ] {
            assert_eq!(check(&evidence), LoadFinding::Violated(violation));
        }
        let mut fixed = load(&[], &[(0, GateState::Open)]);
        fixed.limits.clear();
        assert_eq!(check(&fixed), LoadFinding::NotMeasured);
    }
}
