//! What a sealed part of a reply shows and hides, and that it opens for its reader in its place only.

#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot set up must fail it there and then"
)]

use schemas::body;
use schemas::chunk::ChunkError;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Reject, Totals};
use schemas::part::{self, ExaminedPart, Part};
use schemas::seal::{SealError, SealKey, SealRing, parcel};
use schemas::sign::SigningKey;
use schemas::value::Value;

/// Stands in a row and in a reject.
const MARK: &str = "Zhang-Wei-310101";

fn plain() -> Vec<u8> {
    let mut plain = Vec::new();
    schemas::rows::pack(&[Value::Text(MARK), Value::Text("777.31")], &mut plain).unwrap();
    plain
}

fn part(key: &SigningKey, number: u32) -> Part {
    let column = |name: &str, kind| Column {
        name: name.into(),
        kind,
        nullable: false,
    };
    let money = ColumnType::Decimal {
        precision: None,
        scale: None,
    };
    Part {
        id: "20260131-abcdefgh".parse().unwrap(),
        recipient: "insurer-a".parse().unwrap(),
        request: Digest::of(&[b"request"]),
        attempt: 1,
        number,
        schema: RowSchema {
            name: "setl_by_person".into(),
            version: 1,
            columns: vec![
                column("person", ColumnType::Text { max: None }),
                column("amount", money),
            ],
            key: Vec::new(),
            tombstone: None,
        },
        definition: Digest::of(&[b"kind"]),
        totals: Totals {
            rows: 1,
            money: [("amount".to_owned(), "777.31".to_owned())].into(),
            withheld: 2,
            ..Totals::default()
        },
        load: Load::default(),
        rejects: vec![Reject {
            key: vec![Some(Scalar::Text(MARK.into()))],
            column: None,
            reason: "too large".into(),
        }],
        body: body::close(b"").unwrap().0,
        read_from: jiff::Timestamp::UNIX_EPOCH,
        read_to: jiff::Timestamp::UNIX_EPOCH,
        instance: "a".into(),
        algorithms: Algorithms::default(),
        key: key.public().clone(),
    }
}

fn ring(key: &SealKey) -> SealRing {
    SealRing::new(vec![SealKey::from_seed(&key.seed().unwrap()).unwrap().into()])
}

fn holds(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

#[test]
fn nothing_of_a_row_stands_in_a_sealed_part_and_all_of_it_comes_back() {
    let (sign, insurer) = (SigningKey::generate(), SealKey::generate().unwrap());
    let trusted = [sign.public().clone()];
    let clear = part::seal(part(&sign, 1), &plain(), &sign, None).unwrap();
    assert!(
        holds(&clear.bytes, "777.31") && holds(&clear.bytes, MARK),
        "the search finds it"
    );
    assert_eq!(
        part::open(&clear.bytes, &trusted, &SealRing::default())
            .unwrap()
            .plain,
        plain()
    );

    let sealed = part::seal(part(&sign, 1), &plain(), &sign, Some(insurer.public())).unwrap();
    for mark in [MARK, "777.31", "too large"] {
        assert!(!holds(&sealed.bytes, mark), "{mark} stands in clear");
    }
    let opened = part::open(&sealed.bytes, &trusted, &ring(&insurer)).unwrap();
    assert_eq!((opened.plain.clone(), opened.digest), (plain(), sealed.digest));
    assert_eq!(opened.part.totals, part(&sign, 1).totals);
    assert_eq!(opened.part.rejects, part(&sign, 1).rejects);
    assert_eq!(
        opened.part.subject().to_string(),
        "part.insurer-a.20260131-abcdefgh.1.1"
    );
}

#[test]
fn without_the_key_signature_and_body_are_checked_and_the_missing_key_is_named() {
    let (sign, insurer) = (SigningKey::generate(), SealKey::generate().unwrap());
    let trusted = [sign.public().clone()];
    let sealed = part::seal(part(&sign, 1), &plain(), &sign, Some(insurer.public())).unwrap();
    let other = ring(&SealKey::generate().unwrap());
    let error = part::open(&sealed.bytes, &trusted, &other).unwrap_err();
    assert_eq!(error.waits_for_key(), Some(insurer.public()));
    let examined = part::examine(&sealed.bytes, &trusted, &other).unwrap();
    assert!(matches!(examined, ExaminedPart::Closed { digest, .. } if digest == sealed.digest));
    let opened = part::examine(&sealed.bytes, &trusted, &ring(&insurer)).unwrap();
    assert!(matches!(opened, ExaminedPart::Opened(_)));
    let mut bytes = sealed.bytes.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(
        part::examine(&bytes, &trusted, &other),
        Err(ChunkError::Body(_))
    ));
    assert!(matches!(
        part::open(&sealed.bytes, &[SigningKey::generate().public().clone()], &other),
        Err(ChunkError::Envelope(_))
    ));
}

#[test]
fn totals_that_the_rows_do_not_bear_out_are_refused() {
    let sign = SigningKey::generate();
    for change in [
        |part: &mut Part| part.totals.rows = 2,
        |part: &mut Part| part.totals.deleted = 1,
        |part: &mut Part| {
            part.totals.money.insert("amount".into(), "777.32".into());
        },
        |part: &mut Part| part.schema.key = vec!["id".into()],
    ] {
        let mut changed = part(&sign, 1);
        change(&mut changed);
        let sealed = part::seal(changed, &plain(), &sign, None).unwrap();
        let trusted = [sign.public().clone()];
        assert!(part::open(&sealed.bytes, &trusted, &SealRing::default()).is_err());
    }
}

/// Trap: a body that is moved to another place, even by somebody who can sign.
#[test]
fn a_sealed_part_opens_in_its_own_place_only() {
    let (sign, insurer) = (SigningKey::generate(), SealKey::generate().unwrap());
    let sealed = part::seal(part(&sign, 1), &plain(), &sign, Some(insurer.public())).unwrap();
    let body = Envelope::decode(&sealed.bytes).unwrap().body;
    parcel::open(&mut sealed.part.clone(), &body, &ring(&insurer)).unwrap();
    for change in [
        |part: &mut Part| part.number = 2,
        |part: &mut Part| part.attempt = 2,
        |part: &mut Part| part.request = Digest::of(&[b"another"]),
        |part: &mut Part| part.id = "20260131-abcdefgi".parse().unwrap(),
        |part: &mut Part| part.recipient = "insurer-b".parse().unwrap(),
    ] {
        let mut moved = sealed.part.clone();
        change(&mut moved);
        let opened = parcel::open(&mut moved, &body, &ring(&insurer));
        assert!(matches!(opened, Err(SealError::Broken { .. })));
    }
}
