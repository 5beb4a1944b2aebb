//! The simulation of data requests: thousands of schedules of two responders at one exchange.
//!
//! | module | what |
//! |---|---|
//! | `policy` | the bureau's kinds and rules, and what insurers and officers file |
//! | `responder` | processes of the social agent, run by the product's own table, step and rules |
//! | `exchange` | the streams of requests, cancels, approvals and replies; one message for each subject of parts and replies |
//! | `simulation` | the scheduler, the faults, and the oracle |
//! | `env` | the faults and protections, each of which can be disabled |
//!
//! Processes are killed and suspended at any step. Messages and acknowledgements are lost, and messages arrive after their
//! sender gave up or was killed. The gate closes during quanta, reads fail, holds begin and end, requests are cancelled,
//! approved, refused and expire.
//!
//! The oracle checks each reply when it is stored and again in the end: each request has exactly one; its parts are stored, are
//! of one attempt of one process, and have every row once; an answer is never late and an expiry never early; a failed request
//! had failed reads; no part conflicts with one of its own attempt and process, and none is stored after the reply that names
//! its attempt. No quantum begins for a request whose cancel, refusal, hold, deadline or outcome is known by then, or whose
//! officers have not granted it. A quota is never exceeded. When the faults end, every request ends.
//!
//! **Mutations.** A test for each protection of [`env::RequestEnv`] disables it and fails unless the oracle then detects a fault.

mod env;
mod exchange;
mod policy;
mod responder;
mod simulation;

use env::RequestEnv;
use simulation::{Count, run};

const SEEDS: u64 = 3_000;

fn run_all(env: RequestEnv) -> Vec<Count> {
    let hold = |seed| match run(seed, env) {
        Ok(count) => count,
        Err(violation) => panic!("seed {seed} ({env:?}): {violation}"),
    };
    let seed = std::env::var("SLACKTIDE_SEED").ok();
    match seed.and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![hold(seed)],
        None => (0..SEEDS).map(hold).collect(),
    }
}

/// Disables a protection and asserts the violation that it prevents.
fn assert_detected(env: RequestEnv, prevented: fn(&str) -> bool) {
    let found = (0..SEEDS).find_map(|seed| run(seed, env).err().map(|violation| (seed, violation)));
    eprintln!("{env:?}: {found:?}");
    let (seed, violation) = found.expect("the oracle sees no difference");
    assert!(prevented(&violation), "seed {seed}: {violation}");
}

#[test]
fn requests_random_schedules_give_one_outcome_each() {
    let counts = run_all(RequestEnv::ALL_PROTECTIONS);
    let sum = |of: fn(&Count) -> usize| counts.iter().map(of).sum::<usize>();
    eprintln!(
        "{} schedules: {} answered, {} cancelled, {} expired, {} refused, {} failed, {} orphans, {} kills, {} shared",
        counts.len(),
        sum(|count| count.answered),
        sum(|count| count.cancelled),
        sum(|count| count.expired),
        sum(|count| count.refused),
        sum(|count| count.failed),
        sum(|count| count.orphans),
        sum(|count| count.kills),
        sum(|count| count.shared),
    );
    if counts.len() > 1 {
        assert!(sum(|count| count.answered) > counts.len(), "too few answers");
        assert!(
            sum(|count| count.cancelled) > counts.len() / 10,
            "too few cancels"
        );
        assert!(sum(|count| count.expired) > counts.len() / 10, "too few expiries");
        assert!(sum(|count| count.refused) > counts.len() / 10, "too few refusals");
        assert!(sum(|count| count.failed) > counts.len() / 100, "too few failures");
        assert!(sum(|count| count.orphans) > counts.len() / 10, "too few orphans");
        assert!(sum(|count| count.kills) > counts.len(), "too few kills");
        assert!(sum(|count| count.shared) > counts.len() / 4, "too few takeovers");
    }
}

const QUOTA: RequestEnv = RequestEnv {
    quotas: true,
    ..RequestEnv::ALL_PROTECTIONS
};

#[test]
fn requests_random_schedules_never_exceed_a_quota() {
    let counts = run_all(QUOTA);
    if counts.len() > 1 {
        let refused = counts.iter().map(|count| count.refused).sum::<usize>();
        assert!(refused > counts.len() / 10, "the quota refuses too little");
    }
}

#[test]
fn oracle_detects_a_subject_with_a_second_message() {
    assert_detected(
        RequestEnv {
            one_message: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("changed") || v.contains("is not stored") || v.contains("follows its reply"),
    );
}

#[test]
fn oracle_detects_bytes_that_are_not_compared() {
    assert_detected(
        RequestEnv {
            compares_bytes: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("which is not stored"),
    );
}

#[test]
fn oracle_detects_a_missing_retry_without_acknowledgement() {
    assert_detected(
        RequestEnv {
            retries_unconfirmed: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("too few reads failed"),
    );
}

#[test]
fn oracle_detects_a_retry_with_other_bytes() {
    assert_detected(
        RequestEnv {
            keeps_bytes: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("conflicts with one of the same process"),
    );
}

#[test]
fn oracle_detects_a_reply_before_its_parts_are_stored() {
    assert_detected(
        RequestEnv {
            awaits_acknowledgements: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("which is not stored"),
    );
}

#[test]
fn oracle_detects_a_read_by_an_earlier_decision() {
    assert_detected(
        RequestEnv {
            decides_with_permit: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("was read"),
    );
}

#[test]
fn oracle_detects_outcomes_that_are_not_read() {
    assert_detected(
        RequestEnv {
            reads_replies: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("although its outcome was read"),
    );
}

#[test]
fn oracle_detects_an_answer_after_its_deadline() {
    assert_detected(
        RequestEnv {
            checks_deadline: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("its deadline has passed"),
    );
}

#[test]
fn oracle_detects_running_rows_outside_a_quota() {
    assert_detected(
        RequestEnv {
            counts_running_rows: false,
            ..QUOTA
        },
        |v| v.contains("exceed the quota"),
    );
}

#[test]
fn oracle_detects_a_backoff_that_does_not_end() {
    assert_detected(
        RequestEnv {
            wakes_backoffs: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("not every request ends"),
    );
}

#[test]
fn oracle_detects_a_missing_decision_at_a_deadline() {
    assert_detected(
        RequestEnv {
            rechecks: false,
            ..RequestEnv::ALL_PROTECTIONS
        },
        |v| v.contains("not every request ends"),
    );
}
