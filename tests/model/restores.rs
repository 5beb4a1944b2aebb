//! Stores and cores are restored, replaced and altered, with refills and resynchronisations, under kills, takeovers and a gate
//! that closes; and the same with each protection disabled.

use super::faults::Env;
use super::simulation::Count;
use super::{CHANGING, QUARANTINING, assert_detected, run_all};

const STORES: Env = Env {
    stores: true,
    ..Env::ALL_PROTECTIONS
};

const CORES: Env = Env {
    cores: true,
    ..Env::ALL_PROTECTIONS
};

const RESYNCING: Env = Env {
    resyncs: true,
    vanishing: true,
    ..Env::ALL_PROTECTIONS
};

/// Asserts that at least this percentage of the schedules meets a condition.
fn at_least(percent: usize, counts: &[Count], what: fn(&Count) -> bool, message: &str) {
    let met = counts.iter().filter(|count| what(count)).count();
    assert!(
        counts.len() == 1 || met * 100 >= percent * counts.len(),
        "{message}: {met} of {} schedules",
        counts.len()
    );
}

fn is_missing(violation: &str) -> bool {
    violation.contains("missing [") && !violation.contains("missing [], surplus [], differing []")
}

fn is_surplus(violation: &str) -> bool {
    violation.contains("surplus [") && !violation.contains("surplus []")
}

#[test]
fn store_restored_or_replaced_is_refilled() {
    let counts = run_all(STORES);
    at_least(
        30,
        &counts,
        |count| count.stores > 0,
        "too few stores are damaged",
    );
    at_least(30, &counts, |count| count.refills > 0, "too few refills");
}

#[test]
fn store_restored_while_rows_leave_the_quarantine_is_refilled() {
    let counts = run_all(Env {
        stores: true,
        ..QUARANTINING
    });
    let both = |count: &Count| count.refills > 0 && count.released > 0;
    at_least(20, &counts, both, "too few refills during a quarantine");
}

#[test]
fn oracle_detects_a_store_without_identity() {
    assert_detected(
        Env {
            identity: false,
            ..STORES
        },
        |violation| violation.contains("another store took"),
    );
}

#[test]
fn oracle_detects_a_store_without_row_counts() {
    assert_detected(
        Env {
            counts_rows: false,
            ..STORES
        },
        is_missing,
    );
}

#[test]
fn oracle_detects_a_refill_that_awaits_nothing() {
    assert_detected(
        Env {
            awaits_refill: false,
            ..STORES
        },
        is_missing,
    );
}

#[test]
fn core_restored_or_replaced_is_resynchronised() {
    let counts = run_all(CORES);
    at_least(30, &counts, |count| count.cores > 0, "too few cores are damaged");
    let both = |count: &Count| count.cores > 0 && count.resyncs > 0;
    at_least(25, &counts, both, "too few resynchronisations");
}

#[test]
fn oracle_detects_chunks_without_the_source_mark() {
    assert_detected(
        Env {
            compares_source_marks: false,
            ..CORES
        },
        |violation| is_missing(violation) || is_surplus(violation),
    );
}

#[test]
fn core_and_store_restored_converge() {
    let counts = run_all(Env {
        cores: true,
        resyncs: true,
        vanishing: true,
        ..STORES
    });
    let both = |count: &Count| count.cores > 0 && count.stores > 0;
    at_least(20, &counts, both, "too rarely both");
}

#[test]
fn store_and_exchange_restored_converge() {
    let counts = run_all(Env {
        restores: true,
        ..STORES
    });
    let both = |count: &Count| count.restores > 0 && count.stores > 0;
    at_least(10, &counts, both, "too rarely both");
}

#[test]
fn resync_interrupted_makes_core_and_store_equal() {
    let counts = run_all(RESYNCING);
    at_least(
        60,
        &counts,
        |count| count.resyncs > 1,
        "too few resynchronisations",
    );
}

#[test]
fn resync_while_columns_change_makes_core_and_store_equal() {
    let counts = run_all(Env {
        resyncs: true,
        vanishing: true,
        ..CHANGING
    });
    let both = |count: &Count| count.resyncs > 0 && count.accepted > 0;
    at_least(10, &counts, both, "too rarely both");
}

#[test]
fn resync_with_quarantined_rows_keeps_what_may_exist() {
    let counts = run_all(Env {
        resyncs: true,
        vanishing: true,
        changes: false,
        ..QUARANTINING
    });
    let both = |count: &Count| count.resyncs > 0 && count.released > 0;
    at_least(20, &counts, both, "too rarely both");
}

#[test]
fn oracle_detects_a_resync_without_saved_progress() {
    assert_detected(
        Env {
            carries_progress: false,
            ..RESYNCING
        },
        is_surplus,
    );
}

const REMOVED: fn(&str) -> bool = |violation| violation.contains("was removed although it is there");

#[test]
fn oracle_detects_a_resync_without_rows_beyond_the_fence() {
    assert_detected(
        Env {
            reads_beyond_fence: false,
            ..RESYNCING
        },
        REMOVED,
    );
}

#[test]
fn oracle_detects_a_resync_without_the_prior_position() {
    assert_detected(
        Env {
            keeps_position: false,
            vanishing: false,
            ..RESYNCING
        },
        is_missing,
    );
}

#[test]
fn oracle_detects_a_resync_tail_that_does_not_wait() {
    assert_detected(
        Env {
            tail_waits: false,
            ..RESYNCING
        },
        REMOVED,
    );
}

#[test]
fn oracle_detects_a_resync_that_keeps_nothing() {
    assert_detected(
        Env {
            resyncs: true,
            vanishing: true,
            changes: false,
            keeps_uncertain_rows: false,
            ..QUARANTINING
        },
        REMOVED,
    );
}
