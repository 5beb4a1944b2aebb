//! Where an epoch may continue from, and which rows are still outstanding afterwards.

use super::*;
use schemas::cursor::Scalar;
use schemas::sign::SigningKey;

fn link(epoch: u32, number: u64) -> Link {
    Link {
        epoch,
        number,
        digest: Digest::of(&[&number.to_be_bytes()]),
    }
}

fn cursor(at: i64) -> Option<Cursor> {
    Some(Cursor(vec![Scalar::Int(at)]))
}

fn order(from: StartPoint, definition: &[u8]) -> EpochOrder {
    EpochOrder {
        lane: Lane {
            recipient: "a".parse().unwrap(),
            feed: "f".parse().unwrap(),
        },
        cause: Cause::Rewind,
        actor: "li.na".into(),
        reason: "why".into(),
        definition: Digest::of(&[definition]),
        schema: None,
        from,
        named: Vec::new(),
        gives_up: None,
    }
}

/// Chunk 2.9 with rows withheld since 2.7 and 2.9, read by the definition `old`.
fn tail() -> Manifest {
    let key = SigningKey::generate();
    let (party, writer) = ("bureau".parse().unwrap(), "operator".parse().unwrap());
    let signer = AuditSigner {
        key: &key,
        trusted: &[],
        instance: "i",
        party: &party,
        writer: &writer,
    };
    let schema = RowSchema {
        name: "f".into(),
        version: 1,
        columns: Vec::new(),
        key: Vec::new(),
        tombstone: None,
    };
    let back = |number: u64| OutstandingRows {
        epoch: 2,
        number,
        continues: Some(link(2, number - 1)),
        cursor: cursor(i64::try_from(number).unwrap() * 10),
        rows: 1,
    };
    let mut tail = Manifest {
        number: 9,
        previous: Some(link(2, 8).digest),
        cursor_before: cursor(90),
        cursor_after: cursor(99),
        ..opening(&order(StartPoint::Tail, b"old"), &signer, 2, None, None, schema)
    };
    tail.content.totals.outstanding = [("h7".to_owned(), back(7)), ("h9".to_owned(), back(9))].into();
    tail
}

fn receipt(epoch: u32, to: u64) -> ReceiptBasis {
    ReceiptBasis {
        epoch,
        to,
        head: Some(link(epoch, to).digest),
        cursor: cursor(0),
    }
}

#[test]
fn epoch_changed_definition_continues_from_the_tail() {
    let tail = tail();
    let planned = plan_from_tail(
        &order(StartPoint::Tail, b"new"),
        StartPoint::Tail,
        &tail,
        link(2, 9),
        Some(&receipt(2, 5)),
        None,
    )
    .unwrap();
    assert_eq!(
        (planned.epoch, planned.continues, planned.cursor),
        (3, Some(link(2, 9)), cursor(99))
    );
    assert_eq!(
        still_held_back(&tail.content.totals.outstanding, planned.continues).len(),
        2
    );
    assert!(matches!(
        plan_from_tail(
            &order(StartPoint::Tail, b"old"),
            StartPoint::Tail,
            &tail,
            link(2, 9),
            None,
            None
        ),
        Err(EpochError::Unchanged { .. })
    ));
    assert!(matches!(
        plan_from_tail(
            &order(StartPoint::Tail, b"new"),
            StartPoint::Tail,
            &tail,
            link(2, 9),
            Some(&receipt(2, 10)),
            None
        ),
        Err(EpochError::Behind { .. })
    ));
}

#[test]
fn epoch_withheld_rows_are_sent_again_from_their_start() {
    let tail = tail();
    let from = |number| StartPoint::Chunk { epoch: 2, number };
    let plan = |number, definition: &[u8]| {
        plan_from_tail(
            &order(from(number), definition),
            from(number),
            &tail,
            link(2, 9),
            None,
            None,
        )
    };
    let seven = plan(7, b"old").unwrap();
    assert_eq!(
        (seven.continues, seven.cursor.clone()),
        (Some(link(2, 6)), cursor(70))
    );
    assert!(still_held_back(&tail.content.totals.outstanding, seven.continues).is_empty());
    let nine = plan(9, b"old").unwrap();
    assert_eq!(
        (nine.continues, nine.cursor.clone()),
        (Some(link(2, 8)), cursor(90))
    );
    let left = still_held_back(&tail.content.totals.outstanding, nine.continues);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["h7"]);
    let unknown = plan(8, b"old").unwrap_err().to_string();
    assert!(unknown.contains("chunk:2.7, chunk:2.9"), "{unknown}");
    assert!(matches!(plan(7, b"new"), Err(EpochError::NotContinuable { .. })));
}

#[test]
fn epoch_accepted_source_continues_from_the_tail() {
    let accept = |definition: &[u8]| EpochOrder {
        cause: Cause::SourceChanged,
        ..order(StartPoint::Tail, definition)
    };
    let plan = plan_from_tail(&accept(b"old"), StartPoint::Tail, &tail(), link(2, 9), None, None).unwrap();
    assert_eq!(
        (plan.epoch, plan.continues, plan.cursor),
        (3, Some(link(2, 9)), cursor(99))
    );
    // Both changes must be accepted separately.
    let both = plan_from_tail(&accept(b"new"), StartPoint::Tail, &tail(), link(2, 9), None, None);
    assert!(matches!(both, Err(EpochError::NotContinuable { .. })));
}
