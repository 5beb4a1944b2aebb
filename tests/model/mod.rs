//! The simulation: thousands of schedules of the whole main path in seconds, without threads
//! and without a real clock.
//!
//! | module | what |
//! |---|---|
//! | `core` | the system of record: transactions that commit late, are held, prepared |
//! | `publisher` | processes of the social agent, run by the product's own `step`, `lease`, `chunker`, fence |
//! | `exchange` | the stream with compare-and-set, a consumer in any order, receipts, lease, copies |
//! | `poller` | processes of the commercial agent, run by the product's own `step` |
//! | `keeper` | operators at the quarantine: the product's retry, verb by verb, killed in between |
//! | `refiller` | an operator who refills the store, chunk by chunk, killed in between |
//! | `store` | the receiver: ledger, tables, history, quarantine |
//! | `world` | who acts next, what goes wrong, and the oracle at rest |
//! | `faults` | the protections, each of which can be taken away |
//! | `restored` | the tests of ends that are restored, replaced, refilled and resynchronised |
//!
//! What the oracle asks for at rest, which is when the product shows *caught up*: core and receiver agree, apart from rows that
//! no constraint lets in, rows that were given up with a reason, and rows of which it is shown that they may be gone; every row of
//! every stored chunk is in the history once, or aside; and ledger and frontier count the same. On the way: no row is removed by
//! a resynchronisation that is there, and no store takes a chunk away from the one that signs the receipts.
//!
//! **Mutations.** Each protection of [`faults::Env`] is taken away in a test of its own, which
//! fails unless the oracle then sees a fault: compare-and-set, the fence, the guard of epoch and
//! number, the tombstone, following a wider type, asking, the column set aside, one transaction
//! for history and ledger; of the quarantine: a retried row in its chunk's place, tombstones that
//! wait for what is aside, the counts made anew, the row and its entry's end in one transaction,
//! asking the ledger before a message is stored. Of the two ends: the comparison of the store with its receipts, its identity, the
//! count of its rows, awaiting what is stored again; the mark of the source; of a resynchronisation: its progress in each
//! chunk, the rows beyond the fence and the position that they keep, the end that waits, the end that keeps what may be there.
//!
//! **Found and standing.** A retry asks and then stores, in two transactions: a chunk that comes in
//! between may still stop the lane, and an operator opens a new epoch.
//!
//! A seed is a schedule. A failure names its seed; `SLACKTIDE_SEED=n` runs that one alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a simulation that cannot go on has failed"
)]

mod core;
mod exchange;
mod faults;
mod keeper;
mod poller;
mod publisher;
mod refiller;
mod restored;
mod rng;
mod store;
mod world;

use faults::Env;
use world::{Count, run};

const SEEDS: u64 = 3_000;

fn seeds() -> Vec<u64> {
    match std::env::var("SLACKTIDE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => vec![seed],
        None => (0..SEEDS).collect(),
    }
}

fn all_hold(env: Env) -> Vec<Count> {
    let hold = |seed| match run(seed, env) {
        Ok(count) => count,
        Err(violation) => panic!("seed {seed} ({env:?}): {violation}"),
    };
    let counts: Vec<Count> = seeds().into_iter().map(hold).collect();
    tell(&counts);
    counts
}

/// What the schedules came to, shown with `--nocapture`.
fn tell(counts: &[Count]) {
    let sum = |of: fn(&Count) -> usize| counts.iter().map(of).sum::<usize>();
    eprintln!(
        "{} schedules: {} rows, {} restores, {} epochs opened, {} sent again, {} changes accepted, {} with a takeover",
        counts.len(),
        sum(|count| count.rows),
        sum(|count| count.restores as usize),
        sum(|count| count.epochs as usize),
        sum(|count| count.resent as usize),
        sum(|count| count.accepted as usize),
        sum(|count| usize::from(count.publishers > 1)),
    );
}

/// The first seed at which the oracle sees what the missing protection is there for.
fn first_violation(env: Env) -> Option<(u64, String)> {
    let found = (0..SEEDS).find_map(|seed| run(seed, env).err().map(|violation| (seed, violation)));
    eprintln!("{env:?}: {found:?}");
    found
}

#[test]
fn nothing_is_lost_or_doubled_over_thousands_of_schedules() {
    let counts = all_hold(Env::WHOLE);
    if counts.len() > 1 {
        assert!(
            counts.iter().map(|count| count.rows).sum::<usize>() > 20 * counts.len(),
            "the schedules move too little"
        );
        assert!(
            counts.iter().filter(|count| count.publishers > 1).count() > counts.len() / 4,
            "too few takeovers"
        );
    }
}

#[test]
fn nothing_is_lost_or_doubled_when_the_exchange_is_restored_from_older_copies() {
    let counts = all_hold(Env {
        restores: true,
        ..Env::WHOLE
    });
    if counts.len() > 1 {
        assert!(
            counts.iter().filter(|count| count.restores > 0).count() > counts.len() / 10,
            "too few restores"
        );
        assert!(
            counts.iter().filter(|count| count.epochs > 0).count() > counts.len() / 50,
            "too few new epochs"
        );
    }
}

/// Takes a protection away and shows the violation that it prevents.
fn turns_red(env: Env, prevented: fn(&str) -> bool) {
    let (seed, violation) = first_violation(env).expect("the oracle sees no difference");
    assert!(prevented(&violation), "seed {seed}: {violation}");
}

#[test]
fn without_compare_and_set_the_oracle_turns_red() {
    turns_red(
        Env {
            compare_and_set: false,
            ..Env::WHOLE
        },
        |v| v.contains("stands behind") || v.contains("rest"),
    );
}

#[test]
fn without_the_fence_the_oracle_turns_red() {
    turns_red(
        Env {
            fence: false,
            ..Env::WHOLE
        },
        |v| v.contains("missing [") && !v.contains("missing [], surplus [], differing []"),
    );
}

#[test]
fn without_the_guard_of_epoch_and_number_the_oracle_turns_red() {
    turns_red(
        Env {
            guard: false,
            ..Env::WHOLE
        },
        |v| v.contains("missing [") && !v.contains("missing [], surplus [], differing []"),
    );
}

#[test]
fn without_the_tombstone_rule_the_oracle_turns_red() {
    turns_red(
        Env {
            tombstones: false,
            ..Env::WHOLE
        },
        |v| v.contains("surplus [") && !v.contains("surplus []"),
    );
}

const CHANGING: Env = Env {
    changes: true,
    ..Env::WHOLE
};

/// A widened table, a change that is asked, everything sent again and a takeover at once, under
/// kills: with history and newest rows side by side.
#[test]
fn nothing_is_lost_or_doubled_while_columns_change_and_everything_is_sent_again() {
    let counts = all_hold(CHANGING);
    if counts.len() > 1 {
        assert!(
            counts.iter().filter(|count| count.accepted > 0).count() > counts.len() / 10,
            "too few changes are accepted"
        );
        assert!(
            counts.iter().filter(|count| count.resent > 0).count() > counts.len() / 10,
            "too little is sent again"
        );
        let at_once = |count: &&Count| count.accepted > 0 && count.resent > 0 && count.publishers > 1;
        assert!(
            counts.iter().filter(at_once).count() > counts.len() / 50,
            "too rarely all of it at once"
        );
    }
}

#[test]
fn without_widening_the_oracle_turns_red() {
    turns_red(
        Env {
            widening: false,
            ..CHANGING
        },
        |v| v.contains("does not fit"),
    );
}

#[test]
fn without_asking_the_oracle_turns_red() {
    turns_red(
        Env {
            asking: false,
            ..CHANGING
        },
        |v| v.contains("does not fit"),
    );
}

#[test]
fn without_a_column_of_its_own_for_what_is_older_the_oracle_turns_red() {
    turns_red(
        Env {
            aside: false,
            ..CHANGING
        },
        |v| v.contains("does not fit"),
    );
}

#[test]
fn without_one_transaction_for_history_and_ledger_the_oracle_turns_red() {
    turns_red(
        Env {
            one_transaction: false,
            ..CHANGING
        },
        |v| v.contains("twice in the history"),
    );
}

const QUARANTINING: Env = Env {
    quarantine: true,
    ..CHANGING
};

fn aside_at_all(counts: &[Count]) {
    if counts.len() > 1 {
        let sum = |of: fn(&Count) -> usize| counts.iter().map(of).sum::<usize>();
        let (kept, released) = (sum(|count| count.kept), sum(|count| count.released));
        eprintln!(
            "{kept} kept aside, {released} released, {} given up",
            sum(|c| c.discarded)
        );
        assert!(kept > 4 * counts.len(), "too little is kept aside");
        assert!(released > 2 * counts.len(), "too little is released");
        let at_once = |count: &&Count| {
            count.released > 0 && count.accepted > 0 && count.resent > 0 && count.publishers > 1
        };
        assert!(
            counts.iter().filter(at_once).count() > counts.len() / 50,
            "too rarely all of it at once"
        );
    }
}

/// A retry from quarantine, a widened table, a re-send and a takeover at once, under kills.
#[test]
fn nothing_is_lost_or_doubled_while_rows_and_messages_leave_the_quarantine() {
    aside_at_all(&all_hold(QUARANTINING));
}

#[test]
fn nothing_is_lost_or_doubled_when_what_was_restored_meets_what_is_in_quarantine() {
    all_hold(Env {
        restores: true,
        changes: false,
        ..QUARANTINING
    });
}

#[test]
fn without_the_chunks_place_for_a_retried_row_the_oracle_turns_red() {
    turns_red(
        Env {
            retried_in_place: false,
            ..QUARANTINING
        },
        |v| v.contains("missing ["),
    );
}

#[test]
fn without_tombstones_that_wait_for_the_quarantine_the_oracle_turns_red() {
    turns_red(
        Env {
            tombstones_wait: false,
            ..QUARANTINING
        },
        |v| v.contains("surplus [") && !v.contains("surplus []"),
    );
}

#[test]
fn without_counting_anew_the_oracle_turns_red() {
    turns_red(
        Env {
            recounts: false,
            ..QUARANTINING
        },
        |v| v.contains("counts differ at the frontier"),
    );
}

#[test]
fn without_one_transaction_for_a_retried_row_and_its_end_the_oracle_turns_red() {
    turns_red(
        Env {
            ends_with_row: false,
            ..QUARANTINING
        },
        |v| v.contains("twice in the history"),
    );
}

#[test]
fn without_asking_the_ledger_before_a_message_is_stored_the_oracle_turns_red() {
    turns_red(
        Env {
            asked_first: false,
            restores: true,
            changes: false,
            ..QUARANTINING
        },
        |v| v.contains("a retry stopped the lane"),
    );
}

/// A chunk that was stored above the frontier and lost at the exchange has a higher place than the chunk that is republished below
/// it; the opening that supersedes it does not send those rows again.
#[test]
fn without_demoting_superseded_rows_the_oracle_turns_red() {
    turns_red(
        Env {
            restores: true,
            changes: false,
            demotes_superseded: false,
            ..QUARANTINING
        },
        |v| v.contains("missing ["),
    );
}
