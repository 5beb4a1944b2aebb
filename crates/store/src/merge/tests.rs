use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::column::ColumnType;

use super::*;
use store_testing::samples::schema;

fn at(epoch: u32, number: u64) -> ChunkNumber {
    ChunkNumber { epoch, number }
}

#[test]
fn merge_older_chunk_number_never_wins() {
    assert!(supersedes(at(1, 2), at(1, 1)));
    assert!(supersedes(at(2, 1), at(1, 900)));
    assert!(!supersedes(at(1, 1), at(1, 1)));
    assert!(!supersedes(at(1, 900), at(2, 1)));
}

#[test]
fn merge_older_chunk_restores_no_deleted_row() {
    assert_eq!(effect(at(1, 3), false, None, Some(at(1, 5))), Effect::Keep);
    assert_eq!(effect(at(1, 6), false, None, Some(at(1, 5))), Effect::Write);
    assert_eq!(effect(at(1, 5), true, Some(at(1, 4)), None), Effect::Remove);
    assert_eq!(effect(at(1, 5), true, Some(at(1, 6)), None), Effect::Keep);
    assert_eq!(effect(at(1, 5), true, None, None), Effect::Remove);
    assert_eq!(effect(at(1, 5), false, Some(at(1, 5)), None), Effect::Keep);
}

#[test]
fn merge_tombstone_is_kept_while_older_chunk_is_missing() {
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

proptest! {
    /// N pollers in any order: the rule alone, over a table and tombstones that are never dropped, has the same
    /// result for every order.
    #[test]
    fn merge_result_is_independent_of_order(
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
                let chunk_number = at(1, *index as u64 + 1);
                match effect(chunk_number, deleted, rows.get(&key).copied(), tombstones.get(&key).copied()) {
                    Effect::Write => { rows.insert(key, chunk_number); }
                    Effect::Remove => { rows.remove(&key); tombstones.insert(key, chunk_number); }
                    Effect::Keep => {}
                }
            }
            rows
        };
        let straight: Vec<usize> = (0..versions.len()).collect();
        prop_assert_eq!(apply(&order), apply(&straight));
    }
}

/// An unknown tombstone value of an earlier publisher must not delete a row permanently.
#[test]
fn merge_unknown_tombstone_value_keeps_row() {
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
