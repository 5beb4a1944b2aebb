//! The simulation: thousands of schedules of the whole main path in seconds, without threads
//! and without a real clock.
//!
//! | module | what |
//! |---|---|
//! | `core` | the system of record: transactions that commit late, are held, prepared |
//! | `publisher` | processes of the social agent, run by the product's own `step`, `lease`, `chunker`, fence |
//! | `exchange` | the stream with compare-and-set, a consumer in any order, receipts, lease, copies |
//! | `poller` | processes of the commercial agent, run by the product's own `step` |
//! | `store` | the receiver |
//! | `world` | who acts next, what goes wrong, and the oracle at rest |
//! | `faults` | the protections, each of which can be taken away |
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
mod poller;
mod publisher;
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
