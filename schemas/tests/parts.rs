//! An encrypted part of a reply discloses no row, and only its reader can decrypt it, only in its own message.

#![allow(clippy::unwrap_used, reason = "a failed setup must fail the test")]

use std::borrow::Cow;

use schemas::body;
use schemas::chunk::{ChunkError, RowMessage as _};
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::encryption::{self, DecryptionKeys, EncryptionError, EncryptionKey};
use schemas::envelope::Envelope;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Content, Reject, Totals};
use schemas::part::{self, ExaminedPart, Part};
use schemas::sign::SigningKey;
use schemas::value::Value;

/// Part of a row and of a reject.
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
        content: Content {
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
            body: body::BodyFormat::default(),
            read_from: jiff::Timestamp::UNIX_EPOCH,
            read_to: jiff::Timestamp::UNIX_EPOCH,
            instance: "a".into(),
            algorithms: Algorithms::default(),
            key: key.public().clone(),
        },
    }
}

fn decryption_keys(key: &EncryptionKey) -> DecryptionKeys {
    DecryptionKeys::new(vec![
        EncryptionKey::from_seed(&key.seed().unwrap()).unwrap().into(),
    ])
}

fn contains(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

#[test]
fn encrypted_part_hides_rows_and_decrypts_completely() {
    let (sign, insurer) = (SigningKey::generate(), EncryptionKey::generate().unwrap());
    let trusted = [sign.public().clone()];
    let clear = part::SignedPart::sign(part(&sign, 1), &plain(), &sign, None).unwrap();
    assert!(
        contains(&clear.bytes, "777.31") && contains(&clear.bytes, MARK),
        "the search finds it"
    );
    assert_eq!(
        part::VerifiedPart::open(&clear.bytes, &trusted, &DecryptionKeys::default())
            .unwrap()
            .plain,
        plain()
    );

    let signed = part::SignedPart::sign(part(&sign, 1), &plain(), &sign, Some(insurer.public())).unwrap();
    for mark in [MARK, "777.31", "too large"] {
        assert!(!contains(&signed.bytes, mark), "{mark} is in clear");
    }
    let opened = part::VerifiedPart::open(&signed.bytes, &trusted, &decryption_keys(&insurer)).unwrap();
    assert_eq!((opened.plain.clone(), opened.digest), (plain(), signed.digest));
    assert_eq!(opened.manifest.content.totals, part(&sign, 1).content.totals);
    assert_eq!(opened.manifest.content.rejects, part(&sign, 1).content.rejects);
    assert_eq!(
        opened.manifest.subject().to_string(),
        "part.insurer-a.20260131-abcdefgh.1.1"
    );
}

#[test]
fn encrypted_part_without_key_is_verified_and_names_the_key() {
    let (sign, insurer) = (SigningKey::generate(), EncryptionKey::generate().unwrap());
    let trusted = [sign.public().clone()];
    let signed = part::SignedPart::sign(part(&sign, 1), &plain(), &sign, Some(insurer.public())).unwrap();
    let other = decryption_keys(&EncryptionKey::generate().unwrap());
    let error = part::VerifiedPart::open(&signed.bytes, &trusted, &other).unwrap_err();
    assert_eq!(error.missing_key(), Some(insurer.public()));
    let examined = ExaminedPart::open(&signed.bytes, &trusted, &other).unwrap();
    assert!(matches!(examined, ExaminedPart::KeyMissing { digest, .. } if digest == signed.digest));
    let opened = ExaminedPart::open(&signed.bytes, &trusted, &decryption_keys(&insurer)).unwrap();
    assert!(matches!(opened, ExaminedPart::Opened(_)));
    let mut bytes = signed.bytes.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(
        ExaminedPart::open(&bytes, &trusted, &other),
        Err(ChunkError::Body(_))
    ));
    assert!(matches!(
        part::VerifiedPart::open(&signed.bytes, &[SigningKey::generate().public().clone()], &other),
        Err(ChunkError::Envelope(_))
    ));
}

#[test]
fn part_totals_that_contradict_the_rows_are_refused() {
    let sign = SigningKey::generate();
    for change in [
        |part: &mut Part| part.content.totals.rows = 2,
        |part: &mut Part| part.content.totals.deleted = 1,
        |part: &mut Part| {
            part.content.totals.money.insert("amount".into(), "777.32".into());
        },
        |part: &mut Part| part.content.schema.key = vec!["id".into()],
    ] {
        let mut changed = part(&sign, 1);
        change(&mut changed);
        let signed = part::SignedPart::sign(changed, &plain(), &sign, None).unwrap();
        let trusted = [sign.public().clone()];
        assert!(part::VerifiedPart::open(&signed.bytes, &trusted, &DecryptionKeys::default()).is_err());
    }
}

fn decrypt(mut part: Part, body: &[u8], keys: &DecryptionKeys) -> Result<Vec<u8>, EncryptionError> {
    let binding = part.binding();
    encryption::body::decrypt(&mut part.content, binding, body, keys).map(Cow::into_owned)
}

/// A body that is moved to another message does not decrypt, even if a trusted key signs it.
#[test]
fn encrypted_part_decrypts_only_in_its_own_message() {
    let (sign, insurer) = (SigningKey::generate(), EncryptionKey::generate().unwrap());
    let signed = part::SignedPart::sign(part(&sign, 1), &plain(), &sign, Some(insurer.public())).unwrap();
    let body = Envelope::decode(&signed.bytes).unwrap().body;
    decrypt(signed.manifest.clone(), &body, &decryption_keys(&insurer)).unwrap();
    for change in [
        |part: &mut Part| part.number = 2,
        |part: &mut Part| part.attempt = 2,
        |part: &mut Part| part.request = Digest::of(&[b"another"]),
        |part: &mut Part| part.id = "20260131-abcdefgi".parse().unwrap(),
        |part: &mut Part| part.recipient = "insurer-b".parse().unwrap(),
    ] {
        let mut moved = signed.manifest.clone();
        change(&mut moved);
        let opened = decrypt(moved, &body, &decryption_keys(&insurer));
        assert!(matches!(opened, Err(EncryptionError::DecryptionFailed { .. })));
    }
}
