//! Stores and cores that are restored, replaced and altered, refills and resynchronisations, under kills, takeovers and a gate
//! that shuts; and the same with each protection taken away.

use super::faults::Env;
use super::world::Count;
use super::{CHANGING, QUARANTINING, all_hold, turns_red};

const STORES: Env = Env {
    stores: true,
    ..Env::WHOLE
};

const CORES: Env = Env {
    cores: true,
    ..Env::WHOLE
};

const RESYNCING: Env = Env {
    resyncs: true,
    vanishing: true,
    ..Env::WHOLE
};

/// So many of the schedules, of a hundred, come to it.
fn at_least(percent: usize, counts: &[Count], what: fn(&Count) -> bool, told: &str) {
    let met = counts.iter().filter(|count| what(count)).count();
    assert!(
        counts.len() == 1 || met * 100 >= percent * counts.len(),
        "{told}: {met} of {} schedules",
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
    let counts = all_hold(STORES);
    at_least(30, &counts, |count| count.stores > 0, "too few stores are hurt");
    at_least(30, &counts, |count| count.refills > 0, "too few refills");
}

#[test]
fn store_restored_while_rows_leave_the_quarantine_is_refilled() {
    let counts = all_hold(Env {
        stores: true,
        ..QUARANTINING
    });
    let both = |count: &Count| count.refills > 0 && count.released > 0;
    at_least(20, &counts, both, "too few refills beside a quarantine");
}

#[test]
fn store_without_an_identity_turns_red() {
    turns_red(
        Env {
            identity: false,
            ..STORES
        },
        |violation| violation.contains("another store took"),
    );
}

#[test]
fn store_without_counting_its_rows_turns_red() {
    turns_red(
        Env {
            counts: false,
            ..STORES
        },
        is_missing,
    );
}

#[test]
fn refill_that_awaits_nothing_turns_red() {
    turns_red(
        Env {
            awaits: false,
            ..STORES
        },
        is_missing,
    );
}

#[test]
fn core_restored_or_replaced_is_resynchronised() {
    let counts = all_hold(CORES);
    at_least(30, &counts, |count| count.cores > 0, "too few cores are hurt");
    let both = |count: &Count| count.cores > 0 && count.resyncs > 0;
    at_least(25, &counts, both, "too few resynchronisations");
}

#[test]
fn core_without_its_mark_in_the_chunks_turns_red() {
    turns_red(
        Env {
            marks: false,
            ..CORES
        },
        |violation| is_missing(violation) || is_surplus(violation),
    );
}

#[test]
fn core_and_store_restored_are_healed() {
    let counts = all_hold(Env {
        cores: true,
        resyncs: true,
        vanishing: true,
        ..STORES
    });
    let both = |count: &Count| count.cores > 0 && count.stores > 0;
    at_least(20, &counts, both, "too rarely both");
}

#[test]
fn store_and_exchange_restored_are_healed() {
    let counts = all_hold(Env {
        restores: true,
        ..STORES
    });
    let both = |count: &Count| count.restores > 0 && count.stores > 0;
    at_least(10, &counts, both, "too rarely both");
}

#[test]
fn resync_interrupted_makes_core_and_store_equal() {
    let counts = all_hold(RESYNCING);
    at_least(
        60,
        &counts,
        |count| count.resyncs > 1,
        "too few resynchronisations",
    );
}

#[test]
fn resync_while_columns_change_makes_core_and_store_equal() {
    let counts = all_hold(Env {
        resyncs: true,
        vanishing: true,
        ..CHANGING
    });
    let both = |count: &Count| count.resyncs > 0 && count.accepted > 0;
    at_least(10, &counts, both, "too rarely both");
}

#[test]
fn resync_while_rows_are_in_quarantine_keeps_what_may_be_there() {
    let counts = all_hold(Env {
        resyncs: true,
        vanishing: true,
        changes: false,
        ..QUARANTINING
    });
    let both = |count: &Count| count.resyncs > 0 && count.released > 0;
    at_least(20, &counts, both, "too rarely both");
}

#[test]
fn resync_whose_progress_is_not_carried_on_turns_red() {
    turns_red(
        Env {
            carries: false,
            ..RESYNCING
        },
        is_surplus,
    );
}

const REMOVED: fn(&str) -> bool = |violation| violation.contains("was removed although it is there");

#[test]
fn resync_without_the_rows_beyond_the_fence_turns_red() {
    turns_red(
        Env {
            beyond: false,
            ..RESYNCING
        },
        REMOVED,
    );
}

#[test]
fn resync_without_the_position_before_the_fence_turns_red() {
    turns_red(
        Env {
            pins: false,
            vanishing: false,
            ..RESYNCING
        },
        is_missing,
    );
}

#[test]
fn resync_whose_end_does_not_wait_turns_red() {
    turns_red(
        Env {
            waits: false,
            ..RESYNCING
        },
        REMOVED,
    );
}

#[test]
fn resync_that_keeps_nothing_turns_red() {
    turns_red(
        Env {
            resyncs: true,
            vanishing: true,
            changes: false,
            keeps: false,
            ..QUARANTINING
        },
        REMOVED,
    );
}
