use std::collections::BTreeMap;

use disclosure::blocklist::BlockList;
use disclosure::mask::Mask;
use disclosure::mask::key::MaskKey;
use schemas::column::{Column, ColumnType};
use schemas::person::PersonKey;
use schemas::rows::RowReader;
use schemas::sign::SigningKey;

use super::*;
use crate::row_batcher::RowCount;
use schemas::body::CHUNK_TARGET_BYTES;
use schemas::cursor::Scalar;

fn schema() -> RowSchema {
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: false,
    };
    let text = || ColumnType::Text { max: None };
    RowSchema {
        name: "setl".to_owned(),
        version: 1,
        columns: vec![
            column("id", ColumnType::Int8),
            column("person", text()),
            column("amount", text()),
        ],
        key: Vec::new(),
        tombstone: None,
    }
}

/// A batcher with the inputs of a quantum; `blocked` are persons on the list.
struct Case {
    batcher: AnswerBatcher,
    plan: Plan,
    token: TokenKey,
    persons: PersonKey,
    list: BlockList,
}

impl Case {
    fn new(columns: &[&str], blocked: &[&str]) -> Self {
        let persons = PersonKey::of(&SigningKey::generate()).unwrap();
        let digests = blocked
            .iter()
            .map(|person| persons.token(person).digest)
            .collect();
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        let masks: BTreeMap<String, Mask> = columns
            .iter()
            .filter(|name| *name == "person")
            .map(|name| (name.clone(), Mask::Token))
            .collect();
        let money = ["amount".to_owned()];
        let plan = Plan::new(&schema(), Some(&columns), &masks, &money).unwrap();
        let sent = money_sent(&money, plan.schema());
        let key = MaskKey::new(&"k".repeat(32)).unwrap();
        Self {
            batcher: AnswerBatcher::new(
                &schema(),
                plan.schema(),
                &["id".to_owned()],
                &sent,
                Digest::of(&[]),
            )
            .unwrap(),
            plan,
            token: key.for_recipient(&"insurer-a".parse().unwrap()),
            list: BlockList::new(jiff::civil::date(2026, 1, 1), &persons, digests),
            persons,
        }
    }

    fn quantum(&mut self, most: u64, rows: &[(i64, &str, &str)]) {
        let person = ["person".to_owned()];
        let blocked = self.list.with_key(&self.persons).unwrap();
        let row_filter = RowFilter::new(&schema(), &person, blocked, BTreeMap::new()).unwrap();
        self.batcher.begin_quantum(at(1), most);
        let mut sink = BatcherSink {
            batcher: &mut self.batcher,
            plan: &self.plan,
            token: &self.token,
            row_filter: &row_filter,
        };
        for (id, person, amount) in rows {
            sink.row(&[Value::Int(*id), Value::Text(person), Value::Text(amount)]);
        }
        self.batcher.end_quantum(at(2), Load::default());
    }

    fn ids(&self, batch: &RowBatch) -> Vec<i64> {
        let width = self.plan.schema().columns.len();
        let (mut reader, mut row, mut ids) = (
            RowReader::new(&batch.block.plain, width, batch.block.totals.rows),
            Vec::new(),
            Vec::new(),
        );
        while reader.next_into(&mut row).unwrap() {
            let Value::Int(id) = row[0] else { panic!("{row:?}") };
            ids.push(id);
        }
        ids
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

fn cursor(id: i64) -> Cursor {
    Cursor(vec![Scalar::Int(id)])
}

#[test]
fn batcher_denied_values_are_in_no_byte_and_no_sum() {
    let mut case = Case::new(&["id", "person", "amount"], &["4712"]);
    case.quantum(
        9,
        &[(1, "4711", "1.10"), (2, "4712", "50.00"), (3, "4713", "0.90")],
    );
    case.batcher.close(at(2));
    let batch = case.batcher.take_closed().remove(0);
    let block = &batch.block;
    assert_eq!((case.ids(&batch), block.totals.withheld), (vec![1, 3], 1));
    assert_eq!(block.totals.money["amount"], "2.00");
    let text = String::from_utf8_lossy(&block.plain).into_owned();
    assert!(!text.contains("471"), "{text}");
    let mut narrow = Case::new(&["id"], &[]);
    narrow.quantum(9, &[(1, "4711", "1.10")]);
    narrow.batcher.close(at(2));
    let block = narrow.batcher.take_closed().remove(0).block;
    assert!(
        block.totals.money.is_empty(),
        "the sum of a denied column discloses it"
    );
}

#[test]
fn batcher_rows_beyond_the_limit_are_not_taken() {
    let rows = [(1, "a", "1"), (2, "b", "1"), (3, "c", "1")];
    let mut case = Case::new(&["id"], &["c"]);
    // The third row is withheld, so the limit of two is not exceeded.
    case.quantum(2, &rows);
    assert!(!case.batcher.exceeds_limit());
    let mut case = Case::new(&["id"], &["a"]);
    case.quantum(1, &rows);
    assert!(case.batcher.exceeds_limit());
    assert_eq!(case.batcher.rows.count(), RowCount { rows: 1, withheld: 1 });
    assert_eq!(case.batcher.after(), Some(cursor(2)));
}

/// Trap: a person is listed between two quanta, while their rows are in the open block.
#[test]
fn batcher_discarded_block_is_read_again_from_its_start() {
    let mut case = Case::new(&["id"], &[]);
    case.quantum(9, &[(1, "a", "1"), (2, "b", "1")]);
    case.batcher.close(at(2));
    case.quantum(9, &[(3, "c", "1")]);
    case.batcher.discard_open();
    assert_eq!(case.batcher.after(), Some(cursor(2)));
    assert_eq!(case.batcher.rows.count().rows, 2);
    case.quantum(9, &[(4, "d", "1")]);
    case.batcher.close(at(2));
    let batches = case.batcher.take_closed();
    assert_eq!(case.ids(&batches[1]), [4]);
    case.batcher.reset();
    assert_eq!(
        (case.batcher.after(), case.batcher.rows.count()),
        (None, RowCount::default())
    );
}

#[test]
fn batcher_block_ends_before_a_row_that_is_too_large() {
    let mut case = Case::new(&["id", "amount"], &[]);
    let large = "9".repeat(CHUNK_TARGET_BYTES - 14);
    let huge = "9".repeat(MAX_PLAIN_BYTES + 1);
    case.quantum(
        9,
        &[
            (1, "a", "1"),
            (2, "b", &large),
            (3, "c", "12345678901234567890"),
            (4, "d", &huge),
            (5, "e", &large),
        ],
    );
    case.batcher.close(at(2));
    let batches = case.batcher.take_closed();
    let ids: Vec<_> = batches.iter().map(|batch| case.ids(batch)).collect();
    assert_eq!(ids, [vec![1, 2], vec![3], vec![5]]);
    assert!(
        batches
            .iter()
            .all(|batch| batch.block.plain.len() <= CHUNK_TARGET_BYTES && batch.read_to == at(2))
    );
    assert_eq!(
        batches
            .iter()
            .map(|batch| batch.block.rejects.len())
            .sum::<usize>(),
        1
    );
}

#[test]
fn batcher_row_without_a_position_is_an_error() {
    let mut case = Case::new(&["id"], &[]);
    let blocked = case.list.with_key(&case.persons).unwrap();
    let row_filter = RowFilter::new(&schema(), &[], blocked, BTreeMap::new()).unwrap();
    case.batcher.begin_quantum(at(1), 9);
    let mut sink = BatcherSink {
        batcher: &mut case.batcher,
        plan: &case.plan,
        token: &case.token,
        row_filter: &row_filter,
    };
    sink.row(&[Value::Null, Value::Text("a"), Value::Text("1")]);
    sink.row(&[Value::Int(2), Value::Text("a"), Value::Text("1")]);
    assert!(case.batcher.take_error().is_some());
    assert_eq!(case.batcher.after(), None);
}
