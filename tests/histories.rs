//! Generated tables and histories of changes through the agents as they ship: the real reader over a SQLite core and the real
//! store in a SQLite file, in one process with an exchange in memory.
//!
//! A history is what an application does to the core (including changes that no cursor shows, rows without a valid cursor, and a
//! core restored from a copy), what others do to the store (rows deleted, the file restored from a copy), and operators' orders.
//! Then the agents become idle, and core and store are compared by their own SQL. They are equal, or **the difference is
//! shown**: for a row by a code for such rows, for the whole lane by a stop or a code. A row that differs under *caught up* is a
//! failure. What the documentation excepts (hard deletes, changes that the cursor does not show) is excepted until a
//! resynchronisation. At the end the documented remedies are applied until nothing is shown any more, and both are equal.
//!
//! `SLACKTIDE_HISTORIES=n` runs n histories for each kind of cursor; `PROPTEST_RNG_SEED` selects others.
//!
//! - `table` the tables; `action` the events; `site` the agents; `compare` waits until idle and compares

mod action;
mod compare;
mod site;
mod table;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use action::{Action, Memory};
use compare::Shown;
use site::Site;
use table::{Key, Order, Table};

/// Most rounds of remedies; each may reveal the need for the next one.
const REMEDIES: usize = 12;

fn actions() -> impl Strategy<Value = Vec<Action>> {
    use Action as A;
    let number = any::<u8>;
    let one = prop_oneof![
        6 => number().prop_map(A::Insert),
        5 => number().prop_map(A::Update),
        1 => number().prop_map(A::UpdateUnseen),
        1 => number().prop_map(A::ChangeKey),
        2 => number().prop_map(A::HardDelete),
        2 => number().prop_map(A::SoftDelete),
        1 => number().prop_map(A::NullCursor),
        1 => number().prop_map(A::Ahead),
        1 => number().prop_map(A::Misfit),
        1 => number().prop_map(A::Late),
        2 => Just(A::Repair),
        1 => Just(A::CopyCore),
        1 => Just(A::RestoreCore),
        1 => number().prop_map(A::DeleteStoreRows),
        1 => Just(A::TruncateStore),
        1 => Just(A::CopyStore),
        1 => Just(A::RestoreStore),
        1 => Just(A::Refill),
        1 => Just(A::RefillFromStart),
        1 => Just(A::Resync),
        4 => Just(A::Compare),
    ];
    proptest::collection::vec(one, 6..28)
}

fn tables(order: Order) -> impl Strategy<Value = Table> {
    let key = prop_oneof![Just(Key::Integer), Just(Key::Text), Just(Key::Two)];
    (key, any::<bool>()).prop_map(move |(key, has_tombstone)| Table {
        key,
        order,
        has_tombstone,
    })
}

async fn run(table: Table, history: &[Action]) -> Result<(), String> {
    let mut site = Site::new(table);
    let mut memory = Memory::default();
    site.start();
    // The core is not empty at the start.
    for note in 0..12 {
        memory.apply(&mut site, Action::Insert(note)).await;
    }
    site.compare(&mut memory.unseen).await?;
    for action in history {
        memory.apply(&mut site, *action).await;
        if *action == Action::Compare {
            site.compare(&mut memory.unseen).await?;
        }
    }
    let healed = apply_remedies(&mut site, &mut memory).await;
    site.stop().await;
    healed
}

/// Applies the documented remedies for what is shown, and a resynchronisation, until nothing is shown.
async fn apply_remedies(site: &mut Site, memory: &mut Memory) -> Result<(), String> {
    let mut shown_codes = Shown::new();
    for _ in 0..REMEDIES {
        memory.repair(site.table, &site.core());
        shown_codes = site.compare(&mut memory.unseen).await?;
        if let Some(remedy) = remedy(&shown_codes, memory.unseen.is_empty()) {
            memory.apply(site, remedy).await;
            continue;
        }
        let differing = site.differing_keys();
        return if differing.is_empty() {
            Ok(())
        } else {
            Err(format!("nothing is shown, and these differ: {differing:?}"))
        };
    }
    Err(format!("the remedies do not help: {shown_codes:?}"))
}

/// Returns the documented remedy for what is shown.
fn remedy(shown_codes: &Shown, is_all_seen: bool) -> Option<Action> {
    let shows = |name| shown_codes.contains_key(name);
    if shows("store_behind") || shows("unsigned") {
        Some(Action::Refill)
    } else if shows("rows_differ") {
        Some(Action::RefillFromStart)
    } else if shown_codes.is_empty() && is_all_seen {
        None
    } else {
        Some(Action::Resync)
    }
}

fn histories() -> u32 {
    let wanted = std::env::var("SLACKTIDE_HISTORIES");
    wanted.ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(6)
}

fn run_histories(order: Order) {
    let config = ProptestConfig {
        cases: histories(),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let tried = TestRunner::new(config).run(&(tables(order), actions()), |(table, history)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let done = runtime.block_on(run(table, &history));
        done.map_err(TestCaseError::fail)
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
}

#[test]
fn history_by_rowid_converges_or_is_reported() {
    run_histories(Order::Rowid);
}

#[test]
fn history_by_version_converges_or_is_reported() {
    run_histories(Order::Version);
}

#[test]
fn history_by_time_converges_or_is_reported() {
    run_histories(Order::Time);
}
