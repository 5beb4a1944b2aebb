//! Generated tables and histories of changes through the product itself: the agents as they ship, with the real reader over a
//! SQLite core and the real store in a SQLite file, in one process over an exchange in memory.
//!
//! A history is what an application does to the core (also what no cursor shows, rows without a place in the order, the core put
//! back from a copy), what others do to the store (rows deleted, the file put back from a copy), and what operators order. Then
//! the agents come to rest, and core and store are compared by their own SQL: they are equal, or **the difference is named**:
//! for each row by a code that holds for such rows, for the whole lane by a stop or a code. A row that differs under *caught
//! up* is a failure. What the documentation excepts (hard deletes, changes that the cursor does not show) is excepted until
//! a resynchronisation. In the end the documented remedies are applied until nothing is named any more, and both are equal.
//!
//! `SLACKTIDE_HISTORIES=n` tries n histories of each kind of cursor; `PROPTEST_RNG_SEED` others.
//!
//! - `table` the tables; `action` what happens; `site` the agents; `compare` when they rest, and whether it was right

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

/// So often the remedies are applied; each that helps may show what the next one is for.
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
        4 => Just(A::Look),
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

/// Runs a history to its end.
async fn run(table: Table, history: &[Action]) -> Result<(), String> {
    let mut site = Site::new(table);
    let mut memory = Memory::default();
    site.start();
    // Something is there from the start.
    for note in 0..12 {
        memory.apply(&mut site, Action::Insert(note)).await;
    }
    site.look(&mut memory.unseen).await?;
    for action in history {
        memory.apply(&mut site, *action).await;
        if *action == Action::Look {
            site.look(&mut memory.unseen).await?;
        }
    }
    let healed = heal(&mut site, &mut memory).await;
    site.stop().await;
    healed
}

/// Applies the documented remedies for what is shown, and a resynchronisation, until nothing is shown.
async fn heal(site: &mut Site, memory: &mut Memory) -> Result<(), String> {
    let mut shown = Shown::new();
    for _ in 0..REMEDIES {
        memory.repair(site.table, &site.core());
        shown = site.look(&mut memory.unseen).await?;
        if let Some(remedy) = remedy(&shown, memory.unseen.is_empty()) {
            memory.apply(site, remedy).await;
            continue;
        }
        let differing = site.differs();
        return if differing.is_empty() {
            Ok(())
        } else {
            Err(format!("nothing is shown, and these differ: {differing:?}"))
        };
    }
    Err(format!("the remedies do not heal: {shown:?}"))
}

/// What the documentation says for what is shown.
fn remedy(shown: &Shown, is_all_seen: bool) -> Option<Action> {
    let shows = |name| shown.contains_key(name);
    if shows("store_behind") || shows("unsigned") {
        Some(Action::Refill)
    } else if shows("rows_differ") {
        Some(Action::RefillFromStart)
    } else if shown.is_empty() && is_all_seen {
        None
    } else {
        Some(Action::Resync)
    }
}

fn histories() -> u32 {
    let wanted = std::env::var("SLACKTIDE_HISTORIES");
    wanted.ok().and_then(|wanted| wanted.parse().ok()).unwrap_or(6)
}

fn core_and_store_agree(order: Order) {
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
fn history_by_rowid_ends_equal_or_is_named() {
    core_and_store_agree(Order::Rowid);
}

#[test]
fn history_by_version_ends_equal_or_is_named() {
    core_and_store_agree(Order::Version);
}

#[test]
fn history_by_time_ends_equal_or_is_named() {
    core_and_store_agree(Order::Time);
}
