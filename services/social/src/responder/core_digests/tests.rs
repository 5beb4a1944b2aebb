use disclosure::blocklist::BlockList;
use disclosure::mask::key::MaskKey;
use reconciliation::PassAnswer;
use schemas::column::Column;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;

use super::*;

fn schema() -> RowSchema {
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: true,
    };
    RowSchema {
        name: "reconcile.claim".to_owned(),
        version: 1,
        columns: vec![
            column("id", ColumnType::Int8),
            column("at", ColumnType::TimestampTz),
            column("deleted", ColumnType::Bool),
            column("psn", ColumnType::Text { max: None }),
            column("amount", ColumnType::Text { max: None }),
        ],
        key: Vec::new(),
        tombstone: None,
    }
}

fn feed() -> ReconciledFeed {
    ReconciledFeed {
        name: "claim".parse().unwrap(),
        sql: "SELECT 1".to_owned(),
        key: vec!["id".to_owned()],
        cursor: vec!["at".to_owned(), "id".to_owned()],
        money: vec!["amount".to_owned()],
        tombstone: Some("deleted".to_owned()),
        types: BTreeMap::new(),
        person: Some("psn".to_owned()),
        recipients: BTreeMap::new(),
    }
}

/// Five rows: present, late, deleted, a mark that means nothing, withheld.
fn pass(request: PassRequest) -> PassAnswer {
    let (schema, feed) = (schema(), feed());
    let position = Cursor(vec![
        Scalar::Text("2026-01-31 08:00:00+00".to_owned()),
        Scalar::Int(100),
    ]);
    let tail = LaneTail {
        epoch: 1,
        number: 7,
        position: Some(position),
    };
    let plan = Plan::new(&schema, None, &BTreeMap::new(), &[]).unwrap();
    let mut digests = CoreDigests::new(
        &feed,
        request,
        tail,
        (&schema, plan.schema()),
        feed.money.clone(),
        1,
    )
    .unwrap();
    let persons = PersonKey::of(&SigningKey::generate()).unwrap();
    let list = BlockList::new("2026-01-01".parse().unwrap(), &persons, Vec::new());
    let held = persons.digest_of(Value::Text("held")).unwrap();
    let blocked = list.with_key(&persons).unwrap();
    let held = BTreeMap::from([(held, "hold-1".to_owned())]);
    let filter = RowFilter::new(&schema, &["psn".to_owned()], blocked, held).unwrap();
    let token = MaskKey::new("0123456789abcdef0123456789abcdef").unwrap();
    let token = token.for_recipient(&"insurer-a".parse().unwrap());
    let mut sink = DigestSink {
        digests: &mut digests,
        plan: &plan,
        token: &token,
        row_filter: &filter,
    };
    let (early, late) = ("2026-01-30 08:00:00+00", "2026-01-31 08:00:00.1+00");
    for (id, at, mark, psn) in [
        (1, early, Value::Bool(false), "a"),
        (2, late, Value::Bool(false), "a"),
        (3, early, Value::Bool(true), "a"),
        (4, early, Value::Int(2), "a"),
        (5, early, Value::Bool(false), "held"),
    ] {
        sink.row(&[
            Value::Int(id),
            Value::Text(at),
            mark,
            Value::Text(psn),
            Value::Text("0.50"),
        ]);
    }
    assert_eq!(digests.fault(), None);
    assert_eq!(digests.after(), Some(&Cursor(vec![Scalar::Int(5)])));
    let mut answer = PassAnswer::default();
    for (number, row) in (0..).zip(digests.answer()) {
        row.with(|values| answer.take(number, values)).unwrap();
    }
    answer
}

#[test]
fn core_digests_sum_only_rows_that_were_sent() {
    let answer = pass(PassRequest::parse("salt", 4, None, None).unwrap());
    let Header {
        rows_read,
        late,
        deleted,
        withheld,
        ..
    } = answer.header;
    assert_eq!((rows_read, late, deleted, withheld), (5, 1, 1, 1));
    assert_eq!((answer.header.epoch, answer.header.number), (1, 7));
    assert_eq!(
        answer.buckets.values().map(|bucket| bucket.rows).sum::<u64>(),
        answer.days["2026-01-30"].rows
    );
    assert_eq!(answer.days.len(), 1);
}

/// A withheld row is named only if the recipient has its key already.
#[test]
fn core_digests_withheld_key_is_named_only_if_known() {
    let states = |request| {
        let answer = pass(request);
        let mut states: Vec<CoreState> = answer.keys.values().map(|core| core.state).collect();
        states.sort_unstable();
        states
    };
    let all = || PassRequest::parse("salt", 1, Some("0"), None).unwrap();
    let unnamed = states(all());
    assert!(!unnamed.contains(&CoreState::Withheld), "{unnamed:?}");
    assert!(unnamed.contains(&CoreState::Late) && unnamed.contains(&CoreState::Deleted));
    let keyed = RowSchema {
        key: vec!["id".to_owned()],
        ..schema()
    };
    let mut digester = RowDigester::new(&keyed, "salt", &[], None).unwrap();
    let known = PassRequest {
        keys: [digester.key(&[Value::Int(5)])].into(),
        ..all()
    };
    assert!(states(known).contains(&CoreState::Withheld));
}
