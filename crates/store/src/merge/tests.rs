use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::column::ColumnType;

use super::*;
use crate::samples::{Chain, lane, schema};

fn at(epoch: u32, number: u64) -> Place {
    Place { epoch, number }
}

fn claims() -> RowSchema {
    let text = ColumnType::Text { max: None };
    RowSchema {
        tombstone: Some("gone".to_owned()),
        ..schema(
            &["id"],
            &[
                ("id", ColumnType::Int8),
                ("name", text),
                ("gone", ColumnType::Bool),
            ],
        )
    }
}

#[test]
fn an_older_place_never_wins_and_an_epoch_counts_more_than_a_number() {
    assert!(supersedes(at(1, 2), at(1, 1)));
    assert!(supersedes(at(2, 1), at(1, 900)));
    assert!(!supersedes(at(1, 1), at(1, 1)));
    assert!(!supersedes(at(1, 900), at(2, 1)));
}

#[test]
fn a_row_that_was_deleted_does_not_come_back_with_an_older_chunk() {
    assert_eq!(effect(at(1, 3), false, None, Some(at(1, 5))), Effect::Keep);
    assert_eq!(effect(at(1, 6), false, None, Some(at(1, 5))), Effect::Write);
    assert_eq!(effect(at(1, 5), true, Some(at(1, 4)), None), Effect::Remove);
    assert_eq!(effect(at(1, 5), true, Some(at(1, 6)), None), Effect::Keep);
    assert_eq!(effect(at(1, 5), true, None, None), Effect::Remove);
    assert_eq!(effect(at(1, 5), false, Some(at(1, 5)), None), Effect::Keep);
}

#[test]
fn a_tombstone_stays_while_something_older_may_come() {
    let frontier = Frontier {
        number: 5,
        ..Frontier::default()
    };
    assert!(tombstone_passed(at(1, 5), &frontier));
    assert!(!tombstone_passed(at(1, 6), &frontier));
    assert!(!tombstone_passed(at(2, 1), &frontier));
    let held = Frontier {
        lowest_quarantined: Some(at(1, 3)),
        ..frontier
    };
    assert!(!tombstone_passed(at(1, 4), &held));
    assert!(tombstone_passed(at(1, 2), &held));
}

#[test]
fn the_last_version_of_a_key_wins_and_rows_are_sorted_by_key() {
    let mut chain = Chain::new(lane(), claims(), 0);
    let row = |id: i64, name: &'static str| vec![Value::Int(id), Value::Text(name), Value::Bool(false)];
    let first = chain.next(&[row(3, "a"), row(1, "b"), row(3, "c")]);
    let second = chain.next(&[row(2, "d"), row(1, "e")]);
    // Given in the wrong order.
    let fold = fold(&claims(), &[(0, &second), (1, &first)]).unwrap();
    let seen: Vec<_> = fold
        .versions
        .iter()
        .map(|version| (version.arrival, version.ordinal, fold.values(version)[1]))
        .collect();
    assert_eq!(
        seen,
        [
            (0, 1, Value::Text("e")),
            (0, 0, Value::Text("d")),
            (1, 2, Value::Text("c"))
        ]
    );
    assert!(fold.versions.is_sorted_by_key(|version| &version.key));
}

proptest! {
    /// Trap: N pollers, any order. The rule alone, over a table and tombstones that are never
    /// dropped: every order of the same versions ends in the same rows.
    #[test]
    fn every_order_of_versions_ends_in_the_same_rows(
        versions in proptest::collection::vec((0..3_u8, any::<bool>()), 1..12)
            .prop_flat_map(|versions| {
                let order: Vec<usize> = (0..versions.len()).collect();
                (Just(versions), Just(order).prop_shuffle())
            }),
    ) {
        let (versions, order) = versions;
        let apply = |order: &[usize]| {
            let (mut rows, mut tombstones) = (BTreeMap::new(), BTreeMap::new());
            for index in order {
                let (key, deleted) = versions[*index];
                let place = at(1, *index as u64 + 1);
                match effect(place, deleted, rows.get(&key).copied(), tombstones.get(&key).copied()) {
                    Effect::Write => { rows.insert(key, place); }
                    Effect::Remove => { rows.remove(&key); tombstones.insert(key, place); }
                    Effect::Keep => {}
                }
            }
            rows
        };
        let straight: Vec<usize> = (0..versions.len()).collect();
        prop_assert_eq!(apply(&order), apply(&straight));
    }
}

/// Trap: a mark that a publisher of an earlier version let pass deletes a row for good.
#[test]
fn merge_unknown_mark_of_an_old_chunk_keeps_the_row() {
    let text = ColumnType::Text { max: None };
    let schema = |kind: &ColumnType| RowSchema {
        tombstone: Some("gone".to_owned()),
        ..schema(&["id"], &[("id", ColumnType::Int8), ("gone", kind.clone())])
    };
    let at = ColumnType::Timestamp;
    for (kind, mark, deleted) in [
        (&text, "no", false),
        (&text, " ", false),
        (&text, "N  ", false),
        (&text, "N", false),
        (&text, "Y", true),
        (&at, "infinity", false),
        (&at, "9999-12-31 00:00:00", false),
        (&at, "2026-11-29 10:00:00", true),
    ] {
        assert_eq!(
            is_deleted(&schema(kind), 1, Value::Text(mark)),
            deleted,
            "{kind:?} {mark:?}"
        );
    }
}
