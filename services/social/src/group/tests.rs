use std::collections::BTreeMap;
use std::sync::Arc;

use disclosure::mask::Mask;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::Scalar;

use super::*;
use crate::mask::Masks;

fn schema() -> RowSchema {
    let column = |name: &str, kind| Column {
        name: name.into(),
        kind,
        nullable: false,
    };
    RowSchema {
        name: "f".into(),
        version: 1,
        columns: vec![
            column("text", ColumnType::Text { max: None }),
            column("id", ColumnType::Int8),
        ],
        key: vec!["id".into()],
        tombstone: None,
    }
}

fn group(lane: usize, at: i64) -> Group {
    masked(lane, at, None)
}

fn masked(lane: usize, at: i64, mask: Option<Mask>) -> Group {
    let before = Some(Cursor(vec![Scalar::Int(at)]));
    let masks = mask.and_then(|mask| {
        let masks = BTreeMap::from([("text".to_owned(), mask)]);
        Masks::new(masks, &"insurer-a".parse().unwrap(), None).unwrap()
    });
    let definition = Digest::of(&[b"f"]);
    let definition = masks
        .as_ref()
        .map_or(definition, |masks| masks.definition(definition));
    let masks = masks.map(Arc::new);
    Group {
        batches: vec![Batch {
            members: vec![Member { lane, generation: 1 }],
            chunker: Chunker::with_masks(&schema(), &["id".into()], &[], before, masks).unwrap(),
            definition,
            load: Load::default(),
        }],
        limit: 1,
        drained: true,
        resync: None,
        unordered: Vec::new(),
    }
}

fn row(group: &mut Group, id: i64) {
    group.row(&[Value::Text("secret"), Value::Int(id)]);
}

#[test]
fn group_equal_cursors_share_a_read_and_lagging_ones_do_not() {
    let joined = join(vec![group(0, 5), group(1, 5), group(2, 4)]).unwrap();
    let members: Vec<usize> = joined
        .iter()
        .map(|group| group.batches[0].members.len())
        .collect();
    assert_eq!(members, [2, 1]);
}

#[test]
fn group_with_an_open_block_is_not_joined() {
    let mut open = group(0, 4);
    row(&mut open, 5);
    assert_eq!(join(vec![open, group(1, 5)]).unwrap().len(), 2);
}

#[test]
fn group_lane_of_another_generation_leaves() {
    let mut groups = join(vec![group(0, 5), group(1, 5), masked(2, 5, Some(Mask::Drop))]).unwrap();
    assert_eq!((groups.len(), groups[0].batches.len()), (1, 2));
    prune(&mut groups, |lane| Some(if lane == 1 { 2 } else { 1 }));
    assert_eq!(
        groups[0].batches[0].members,
        [Member {
            lane: 0,
            generation: 1
        }]
    );
    prune(&mut groups, |lane| (lane == 2).then_some(1));
    assert_eq!(groups[0].batches.len(), 1);
    assert!(groups[0].has(2) && !groups[0].has(0));
    prune(&mut groups, |_| None);
    assert!(groups.is_empty());
}

#[test]
fn group_other_masks_share_the_read_and_no_packed_byte() {
    let groups = vec![
        group(0, 5),
        masked(1, 5, Some(Mask::Drop)),
        masked(2, 5, Some(Mask::Year)),
        masked(3, 5, Some(Mask::Drop)),
    ];
    let mut joined = join(groups).unwrap();
    assert_eq!(joined.len(), 1, "one read");
    let group = &mut joined[0];
    let members: Vec<usize> = group.batches.iter().map(|batch| batch.members.len()).collect();
    assert_eq!(members, [1, 2, 1]);
    (6..9).for_each(|id| row(group, id));
    group.close();
    let at = Some(Cursor(vec![Scalar::Int(8)]));
    for (batch, shown) in group.batches.iter_mut().zip([true, false, false]) {
        let blocks = batch.chunker.rows.take_closed();
        assert_eq!((blocks.len(), blocks[0].totals.rows), (1, 3));
        assert_eq!(blocks[0].cursor_after, at);
        let packed = String::from_utf8_lossy(&blocks[0].plain).contains("secret");
        assert_eq!(packed, shown);
    }
    assert_eq!(group.position().unwrap(), at);
}

#[test]
fn group_batches_at_different_positions_are_split() {
    let mut groups = join(vec![group(0, 5), masked(1, 5, Some(Mask::Drop))]).unwrap();
    groups[0].batches[1]
        .chunker
        .row(&[Value::Text("x"), Value::Int(6)]);
    let parted = join(groups).unwrap();
    assert_eq!(parted.len(), 2);
    assert_eq!(parted[1].position().unwrap(), Some(Cursor(vec![Scalar::Int(6)])));
}

#[test]
fn group_unordered_row_is_rejected_once_while_it_persists() {
    let note = |id| Reject {
        key: vec![Some(Scalar::Int(id))],
        column: None,
        reason: "ahead".into(),
    };
    let noted = |group: &mut Group| {
        group.close();
        let blocks = group.batches[0].chunker.rows.take_closed();
        blocks.iter().map(|block| block.rejects.len()).sum::<usize>()
    };
    let mut one = group(0, 5);
    one.reject_unordered(&[note(1)]);
    assert_eq!(noted(&mut one), 1);
    one.reject_unordered(&[note(1), note(2)]);
    assert_eq!(noted(&mut one), 1);
    one.reject_unordered(&[note(2)]);
    assert_eq!(noted(&mut one), 0);
    // It was repaired, and is wrong again.
    one.reject_unordered(&[note(1)]);
    assert_eq!(noted(&mut one), 1);
    // A lane that joins was not sent it.
    let mut joined = join(vec![one, group(1, 5)]).unwrap();
    joined[0].reject_unordered(&[note(1)]);
    assert_eq!(noted(&mut joined[0]), 1);
    assert_eq!(joined[0].position().unwrap(), Some(Cursor(vec![Scalar::Int(5)])));
}

fn at(id: i64) -> Option<Cursor> {
    Some(Cursor(vec![Scalar::Int(id)]))
}

/// The blocks that were closed: rows, positions, whether each completes a resynchronisation.
fn closed(group: &mut Group) -> Vec<(u64, Option<Cursor>, Option<Cursor>, bool)> {
    let blocks = group.batches[0].chunker.rows.take_closed();
    let what = |block: crate::row_batch::Block| {
        let rows = block.totals.rows;
        (
            rows,
            block.cursor_before,
            block.cursor_after,
            block.completes_resync,
        )
    };
    blocks.into_iter().map(what).collect()
}

#[test]
fn resync_sends_rows_beyond_the_fence_at_the_same_position() {
    let mut group = group(0, 0);
    group.resync = Some(ResyncPhase::WithinFence);
    (1..=3).for_each(|id| row(&mut group, id));
    group.advance_resync().unwrap();
    assert_eq!(
        (group.resync, group.drained),
        (Some(ResyncPhase::BeyondFence), false)
    );
    assert_eq!(closed(&mut group), [(3, at(0), at(3), false)]);
    // The next quantum beyond the fence continues after the previous one.
    row(&mut group, 7);
    group.close();
    row(&mut group, 8);
    assert_eq!(group.position().unwrap(), at(8));
    group.advance_resync().unwrap();
    assert_eq!(
        closed(&mut group),
        [(1, at(3), at(3), false), (1, at(3), at(3), true)]
    );
    assert_eq!((group.resync, group.position().unwrap()), (None, at(3)));
}

#[test]
fn resync_without_rows_is_completed_by_an_empty_block() {
    let mut group = group(0, 5);
    group.resync = Some(ResyncPhase::WithinFence);
    group.advance_resync().unwrap();
    group.advance_resync().unwrap();
    assert_eq!(closed(&mut group), [(0, at(5), at(5), true)]);
}

#[test]
fn resync_interrupted_beyond_the_fence_begins_there_again() {
    let mut group = group(0, 0);
    group.resync = Some(ResyncPhase::WithinFence);
    row(&mut group, 1);
    group.advance_resync().unwrap();
    closed(&mut group);
    row(&mut group, 9);
    group.interrupt_resync();
    assert_eq!(
        (group.resync, group.position().unwrap()),
        (Some(ResyncPhase::WithinFence), at(1))
    );
    assert!(closed(&mut group).is_empty() && group.open_since().is_none());
    // Nothing of what was dropped is in the block that completes it.
    row(&mut group, 2);
    group.advance_resync().unwrap();
    group.advance_resync().unwrap();
    assert_eq!(
        closed(&mut group),
        [(1, at(1), at(2), false), (0, at(2), at(2), true)]
    );
}

#[test]
fn resync_lane_is_read_for_alone_until_it_is_complete() {
    let mut resyncing = group(1, 5);
    resyncing.resync = Some(ResyncPhase::WithinFence);
    let joined = join(vec![group(0, 5), resyncing]).unwrap();
    assert_eq!(joined.len(), 2);
    let joined = join(vec![group(0, 5), group(1, 5)]).unwrap();
    assert_eq!(joined.len(), 1);
}

#[test]
fn group_beyond_the_fence_has_no_source_position() {
    let mut group = group(0, 5);
    let fence = Fence::UpTo(Scalar::Int(9));
    let within = Some(&fence);
    assert_eq!((group.source_position(), group.bound(within)), (at(5), within));
    assert_eq!(group.bound(None), None);
    group.resync = Some(ResyncPhase::WithinFence);
    group.end_quantum(End::Limit).unwrap();
    assert_eq!((group.source_position(), group.drained), (at(5), false));
    group.end_quantum(End::Drained).unwrap();
    assert_eq!(
        (group.source_position(), group.bound(within)),
        (None, Some(&Fence::Open))
    );
    assert_eq!(group.bound(None), Some(&Fence::Open));
    group.end_quantum(End::Revoked).unwrap();
    assert_eq!((group.source_position(), group.bound(within)), (at(5), within));
}

/// Trap: an emptied table never has a fence, and the resynchronisation would never end.
#[test]
fn resync_of_an_empty_source_is_completed_without_a_fence() {
    let mut group = group(0, 5);
    group.await_fence(true).unwrap();
    assert!(group.drained);
    (group.resync, group.drained) = (Some(ResyncPhase::WithinFence), false);
    group.await_fence(false).unwrap();
    assert_eq!(
        (group.resync, group.drained),
        (Some(ResyncPhase::WithinFence), true)
    );
    group.await_fence(true).unwrap();
    assert_eq!(
        (group.resync, group.drained),
        (Some(ResyncPhase::BeyondFence), false)
    );
    group.await_fence(false).unwrap();
    assert!(!group.drained, "rows beyond it are read without a fence");
    group.end_quantum(End::Drained).unwrap();
    assert_eq!(closed(&mut group), [(0, at(5), at(5), true)]);
}

/// Trap: columns that change while rows beyond the fence are read, which must not become the position.
#[test]
fn resync_reshaped_beyond_the_fence_begins_there_again() {
    let mut group = group(0, 0);
    group.resync = Some(ResyncPhase::WithinFence);
    row(&mut group, 1);
    group.end_quantum(End::Drained).unwrap();
    row(&mut group, 9);
    group.close();
    closed(&mut group);
    assert!(group.reshape(&schema(), &["id".into()], &[]).is_empty());
    assert_eq!(
        (group.resync, group.source_position()),
        (Some(ResyncPhase::WithinFence), at(1))
    );
    group.end_quantum(End::Drained).unwrap();
    row(&mut group, 9);
    group.end_quantum(End::Drained).unwrap();
    assert_eq!(closed(&mut group), [(1, at(1), at(1), true)]);
    assert_eq!(group.position().unwrap(), at(1));
}

#[test]
fn group_reshape_removes_batches_that_do_not_match() {
    let mut group = group(0, 5);
    let mut narrower = schema();
    narrower.columns.retain(|column| column.name == "text");
    assert_eq!(group.reshape(&narrower, &["id".into()], &[]).len(), 1);
    assert!(group.batches.is_empty());
}

/// The block states the position, also an unchanged one.
#[test]
fn group_begins_at_the_fence_with_a_block_that_states_it() {
    let cursor = |at| Cursor(vec![Scalar::Int(at)]);
    for (above, wanted) in [
        (vec![(cursor(50), cursor(30))], 30),
        (vec![(cursor(60), cursor(30))], 50),
    ] {
        let mut one = group(0, 50);
        one.resync = ResyncPhase::first(false, true);
        assert!(one.awaits_fence());
        one.begin_at_fence(&above, Timestamp::UNIX_EPOCH).unwrap();
        assert!(!one.awaits_fence());
        let blocks = one.batches[0].chunker.rows.take_closed();
        let positions: Vec<_> = blocks.into_iter().map(|block| block.cursor_after).collect();
        assert_eq!(positions, [Some(cursor(wanted))]);
        assert_eq!(one.position().unwrap(), Some(cursor(wanted)));
    }
}

/// A lane that does not know its position yet must not take another one along.
#[test]
fn group_that_awaits_its_fence_is_not_joined() {
    let mut one = group(0, 5);
    one.resync = ResyncPhase::first(false, true);
    assert_eq!(join(vec![one, group(1, 5)]).unwrap().len(), 2);
}
