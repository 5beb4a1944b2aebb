use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use reconciliation::{CoreState, RowDigester};
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::key_digest::KeyDigest;
use schemas::load::Load;
use schemas::manifest::Totals;
use schemas::rows;
use schemas::value::Value;

use super::*;
use crate::row_batch::Block;

const SALT: &str = "salt";

fn schema() -> RowSchema {
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: true,
    };
    RowSchema {
        name: "claim".to_owned(),
        version: 1,
        columns: vec![
            column("id", ColumnType::Int8),
            column("name", ColumnType::Text { max: None }),
        ],
        key: vec!["id".to_owned()],
        tombstone: None,
    }
}

fn key(id: i64) -> KeyDigest {
    let mut digester = RowDigester::new(&schema(), SALT, &[], None).unwrap();
    digester.key(&[Value::Int(id), Value::Null])
}

fn keys(ids: &[i64]) -> BTreeSet<KeyDigest> {
    ids.iter().copied().map(key).collect()
}

/// Collects the rows 1 (present), 2 (late), 3 (withheld) and 4 (marked as deleted).
fn collect() -> RepairRows {
    let mut rows = RepairRows::default();
    for (id, state) in [
        (1, CoreState::Present),
        (2, CoreState::Late),
        (3, CoreState::Withheld),
        (4, CoreState::Deleted),
    ] {
        rows.take(key(id), &[Value::Int(id), Value::Text("a")], state);
    }
    rows
}

fn draft(collected: Collected) -> RepairDraft {
    RepairDraft {
        request: "20260131-0123456789abcdef".parse().unwrap(),
        salt: SALT.to_owned(),
        collected,
        schema: Arc::new(schema()),
        money: Vec::new(),
        definition: Digest::of(&[b"definition"]),
        load: Load::default(),
        read: (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH),
        source: None,
    }
}

#[test]
fn repair_rows_name_only_known_keys_as_gone() {
    let asked = keys(&[1, 2, 3, 4, 5]);
    assert_eq!(collect().finish(&asked).counts(), (2, 1));
    let mut unknown = collect();
    unknown.meet_unknown_key();
    assert_eq!(unknown.finish(&asked).counts(), (2, 0));
}

#[test]
fn repair_blocks_keep_the_position_and_name_their_keys() {
    let asked = keys(&[1, 2, 3, 4, 5]);
    let position = Some(Cursor(vec![Scalar::Int(7)]));
    let draft = draft(collect().finish(&asked));
    let (blocks, result) = draft.blocks(&BTreeSet::new(), position.as_ref()).unwrap();
    assert_eq!((result.sent, result.gone, result.left), (2, 1, 2));
    let mut named = BTreeSet::new();
    for batch in &blocks {
        assert_eq!(
            (&batch.block.cursor_before, &batch.block.cursor_after),
            (&position, &position)
        );
        named.extend(batch.block.repair.as_ref().unwrap().keys.clone());
    }
    assert_eq!(named, keys(&[1, 4, 5]));
    let rows: Vec<(u64, u64)> = blocks
        .iter()
        .map(|batch| (batch.block.totals.rows, batch.block.totals.deleted))
        .collect();
    assert_eq!(rows, [(2, 1)]);
}

#[test]
fn repair_leaves_out_keys_that_the_feed_published_meanwhile() {
    let mut plain = Vec::new();
    for id in [1, 5, 9] {
        rows::pack(&[Value::Int(id), Value::Text("newer")], &mut plain).unwrap();
    }
    let block = |rows| Block {
        plain: plain.clone(),
        totals: Totals {
            rows,
            ..Totals::default()
        },
        rejects: Vec::new(),
        withheld: BTreeMap::new(),
        cursor_before: None,
        cursor_after: None,
        read_from: Timestamp::UNIX_EPOCH,
        completes_resync: false,
        repair: None,
    };
    let asked = keys(&[1, 2, 3, 4, 5]);
    let mut changed = ChangedKeys::new(SALT.to_owned(), asked.clone());
    changed.observe(&schema(), &block(3));
    assert_eq!(changed.changed(), Some(&keys(&[1, 5])));
    let draft = draft(collect().finish(&asked));
    let (blocks, result) = draft.blocks(changed.changed().unwrap(), None).unwrap();
    assert_eq!((blocks.len(), result.sent, result.gone), (1, 1, 0));
    // A block that cannot be read may have any of the keys.
    changed.observe(&schema(), &block(4));
    assert_eq!(changed.changed(), None);
}
