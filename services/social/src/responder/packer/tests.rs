use std::collections::BTreeMap;

use requests::blocklist::BlockList;
use requests::mask::Mask;
use requests::mask::key::MaskKey;
use schemas::column::{Column, ColumnType};
use schemas::person::PersonKey;
use schemas::rows::RowReader;
use schemas::sign::SigningKey;

use super::*;

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

/// A packer with all that a quantum needs; `blocked` are persons on the list.
struct Case {
    packer: Packer,
    plan: Plan,
    token: TokenKey,
    persons: PersonKey,
    list: BlockList,
}

impl Case {
    fn new(columns: &[&str], blocked: &[&str]) -> Self {
        let persons = PersonKey::of(&SigningKey::generate()).unwrap();
        let digests = blocked.iter().map(|person| persons.mark(person).digest).collect();
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
            packer: Packer::new(&schema(), plan.schema(), &["id".to_owned()], &sent).unwrap(),
            plan,
            token: key.of(&"insurer-a".parse().unwrap()),
            list: BlockList::new(jiff::civil::date(2026, 1, 1), &persons, digests),
            persons,
        }
    }

    fn quantum(&mut self, most: u64, rows: &[(i64, &str, &str)]) {
        let person = ["person".to_owned()];
        let blocked = self.list.under(&self.persons).unwrap();
        let screen = Screen::new(&schema(), &person, blocked, BTreeMap::new()).unwrap();
        self.packer.begin_quantum(at(1), most);
        let mut sink = Sink {
            packer: &mut self.packer,
            plan: &self.plan,
            token: &self.token,
            screen: &screen,
        };
        for (id, person, amount) in rows {
            sink.row(&[Value::Int(*id), Value::Text(person), Value::Text(amount)]);
        }
        self.packer.end_quantum(at(2), Load::default());
    }

    fn ids(&self, block: &Block) -> Vec<i64> {
        let width = self.plan.schema().columns.len();
        let (mut reader, mut row, mut ids) = (
            RowReader::new(&block.plain, width, block.totals.rows),
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
fn denied_and_masked_values_are_in_no_byte_and_sums_are_of_what_is_sent() {
    let mut case = Case::new(&["id", "person", "amount"], &["4712"]);
    case.quantum(
        9,
        &[(1, "4711", "1.10"), (2, "4712", "50.00"), (3, "4713", "0.90")],
    );
    case.packer.close(at(2));
    let block = case.packer.take_closed().remove(0);
    assert_eq!((case.ids(&block), block.totals.withheld), (vec![1, 3], 1));
    assert_eq!(block.totals.money["amount"], "2.00");
    let text = String::from_utf8_lossy(&block.plain).into_owned();
    assert!(!text.contains("471"), "{text}");
    let mut narrow = Case::new(&["id"], &[]);
    narrow.quantum(9, &[(1, "4711", "1.10")]);
    narrow.packer.close(at(2));
    let block = narrow.packer.take_closed().remove(0);
    assert!(
        block.totals.money.is_empty(),
        "the sum of a denied column tells it"
    );
}

#[test]
fn what_is_beyond_the_most_rows_is_seen_and_not_taken() {
    let rows = [(1, "a", "1"), (2, "b", "1"), (3, "c", "1")];
    let mut case = Case::new(&["id"], &["c"]);
    // The third one is nobody's to have, so there is no more than two.
    case.quantum(2, &rows);
    assert!(!case.packer.is_over());
    let mut case = Case::new(&["id"], &["a"]);
    case.quantum(1, &rows);
    assert!(case.packer.is_over());
    assert_eq!(case.packer.count(), Count { rows: 1, withheld: 1 });
    assert_eq!(case.packer.after(), Some(&cursor(2)));
}

/// Trap: a person who gets on the list between two quanta, and whose rows wait in an open block.
#[test]
fn what_is_taken_back_is_read_again_from_where_its_block_began() {
    let mut case = Case::new(&["id"], &[]);
    case.quantum(9, &[(1, "a", "1"), (2, "b", "1")]);
    case.packer.close(at(2));
    case.quantum(9, &[(3, "c", "1")]);
    case.packer.take_back();
    assert_eq!(case.packer.after(), Some(&cursor(2)));
    assert_eq!(case.packer.count().rows, 2);
    case.quantum(9, &[(4, "d", "1")]);
    case.packer.close(at(2));
    let blocks = case.packer.take_closed();
    assert_eq!(case.ids(&blocks[1]), [4]);
    case.packer.restart();
    assert_eq!(
        (case.packer.after(), case.packer.count()),
        (None, Count::default())
    );
}

#[test]
fn a_block_ends_before_the_row_that_would_make_it_too_large() {
    let mut case = Case::new(&["id", "amount"], &[]);
    let large = "9".repeat(CLOSE_AT - 14);
    let huge = "9".repeat(MOST_PLAIN + 1);
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
    case.packer.close(at(2));
    let blocks = case.packer.take_closed();
    let ids: Vec<_> = blocks.iter().map(|block| case.ids(block)).collect();
    assert_eq!(ids, [vec![1, 2], vec![3], vec![5]]);
    assert!(
        blocks
            .iter()
            .all(|block| block.plain.len() <= CLOSE_AT && block.read_to == at(2))
    );
    assert_eq!(blocks.iter().map(|block| block.rejects.len()).sum::<usize>(), 1);
}

#[test]
fn a_row_without_a_place_stops_it() {
    let mut case = Case::new(&["id"], &[]);
    let blocked = case.list.under(&case.persons).unwrap();
    let screen = Screen::new(&schema(), &[], blocked, BTreeMap::new()).unwrap();
    case.packer.begin_quantum(at(1), 9);
    let mut sink = Sink {
        packer: &mut case.packer,
        plan: &case.plan,
        token: &case.token,
        screen: &screen,
    };
    sink.row(&[Value::Null, Value::Text("a"), Value::Text("1")]);
    sink.row(&[Value::Int(2), Value::Text("a"), Value::Text("1")]);
    assert!(case.packer.take_fault().is_some());
    assert_eq!(case.packer.after(), None);
}
