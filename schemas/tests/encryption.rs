//! An encrypted chunk discloses no row, and only its reader can decrypt it, only in its own message.

#![allow(clippy::unwrap_used, reason = "a failed setup must fail the test")]

use std::borrow::Cow;

use crypto_box::ChaChaBox;
use crypto_box::aead::Aead as _;
use schemas::body;
use schemas::chunk::{self, ChunkError, ExaminedChunk, RowMessage as _};
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::encryption::{self, DecryptionKeys, EncryptionError, EncryptionKey, position};
use schemas::envelope::Envelope;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Content, Manifest, Reject, Totals};
use schemas::name::Lane;
use schemas::sign::SigningKey;
use schemas::value::Value;

/// Part of the key, the cursor and a reject.
const MARK: &str = "Zhang-Wei-310101";

struct Parties {
    sign: SigningKey,
    insurer: EncryptionKey,
    bureau: EncryptionKey,
}

fn parties() -> Parties {
    Parties {
        sign: SigningKey::generate(),
        insurer: EncryptionKey::generate().unwrap(),
        bureau: EncryptionKey::generate().unwrap(),
    }
}

fn decryption_keys(key: &EncryptionKey) -> DecryptionKeys {
    DecryptionKeys::new(vec![
        EncryptionKey::from_seed(&key.seed().unwrap()).unwrap().into(),
    ])
}

fn lane() -> Lane {
    Lane {
        recipient: "insurer-a".parse().unwrap(),
        feed: "setl".parse().unwrap(),
    }
}

fn cursor() -> Cursor {
    Cursor(vec![Scalar::Text(MARK.into()), Scalar::Int(7)])
}

fn plain() -> Vec<u8> {
    let mut plain = Vec::new();
    schemas::rows::pack(&[Value::Text(MARK), Value::Text("777.31")], &mut plain).unwrap();
    plain
}

fn manifest(parties: &Parties, number: u64) -> Manifest {
    let text = |name: &str| Column {
        name: name.into(),
        kind: ColumnType::Text { max: None },
        nullable: false,
    };
    let money = Column {
        kind: ColumnType::Decimal {
            precision: None,
            scale: None,
        },
        ..text("amount")
    };
    Manifest {
        recipient: lane().recipient,
        feed: lane().feed,
        origin: None,
        epoch: 1,
        number,
        previous: None,
        resync: None,
        repair: None,
        opening: None,
        heads: schemas::heads::Heads::default(),
        cursor_before: None,
        cursor_after: Some(position::encrypt(&cursor(), &lane(), &parties.bureau).unwrap()),
        source: None,
        content: Content {
            instance: "a".into(),
            key: parties.sign.public().clone(),
            schema: RowSchema {
                name: "setl".into(),
                version: 1,
                columns: vec![text("person"), money],
                key: vec!["person".into()],
                tombstone: None,
            },
            definition: Digest::of(&[b"definition"]),
            totals: Totals {
                rows: 1,
                money: [("amount".to_owned(), "777.31".to_owned())].into(),
                ..Totals::default()
            },
            load: Load::default(),
            rejects: vec![Reject {
                key: vec![Some(Scalar::Text(MARK.into()))],
                column: Some("photo".into()),
                reason: "too large".into(),
            }],
            body: body::BodyFormat::default(),
            read_from: jiff::Timestamp::UNIX_EPOCH,
            read_to: jiff::Timestamp::UNIX_EPOCH,
            algorithms: Algorithms::default(),
        },
    }
}

fn encrypted(parties: &Parties, number: u64) -> Vec<u8> {
    let to = Some(parties.insurer.public());
    chunk::SignedChunk::sign(manifest(parties, number), &plain(), &parties.sign, to)
        .unwrap()
        .bytes
}

fn contains(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

#[test]
fn encrypted_chunk_hides_rows_and_decrypts_completely() {
    let parties = parties();
    let bytes = encrypted(&parties, 1);
    for mark in [MARK, "777.31", "too large"] {
        assert!(!contains(&bytes, mark), "{mark} is in clear");
    }
    // Counter-check: without encryption the same search finds it.
    let clear = chunk::SignedChunk::sign(manifest(&parties, 1), &plain(), &parties.sign, None)
        .unwrap()
        .bytes;
    assert!(contains(&clear, "777.31") && contains(&clear, "too large"));

    let trusted = [parties.sign.public().clone()];
    let opened = chunk::VerifiedChunk::open(&bytes, &trusted, &decryption_keys(&parties.insurer)).unwrap();
    assert_eq!(opened.plain, plain());
    assert_eq!(opened.manifest.content.totals.money["amount"], "777.31");
    assert_eq!(
        opened.manifest.content.rejects,
        manifest(&parties, 1).content.rejects
    );
    let position = opened.manifest.cursor_after.unwrap();
    assert_eq!(
        position::decrypt(&position, &lane(), &decryption_keys(&parties.bureau)).unwrap(),
        cursor()
    );
}

#[test]
fn encrypted_chunk_without_key_is_verified_and_names_the_key() {
    let parties = parties();
    let mut bytes = encrypted(&parties, 1);
    let trusted = [parties.sign.public().clone()];
    let other = EncryptionKey::generate().unwrap();
    let error = chunk::VerifiedChunk::open(&bytes, &trusted, &decryption_keys(&other)).unwrap_err();
    assert_eq!(error.missing_key(), Some(parties.insurer.public()));
    let text = error.to_string();
    for key in [parties.insurer.public(), other.public()] {
        assert!(text.contains(key.as_str()), "{text}");
    }
    let examined = ExaminedChunk::open(&bytes, &trusted, &DecryptionKeys::default()).unwrap();
    assert!(
        matches!(examined, ExaminedChunk::KeyMissing { manifest, .. } if manifest.content.totals.rows == 1)
    );
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(
        ExaminedChunk::open(&bytes, &trusted, &DecryptionKeys::default()),
        Err(ChunkError::Body(_))
    ));
}

/// A body that is moved to another message does not decrypt, even if a trusted key signs it.
#[test]
fn encrypted_body_decrypts_only_in_its_own_message() {
    let parties = parties();
    let (one, two) = (encrypted(&parties, 1), encrypted(&parties, 2));
    let (one, two) = (Envelope::decode(&one).unwrap(), Envelope::decode(&two).unwrap());
    let (first, second): (Manifest, Manifest) = (one.read().unwrap(), two.read().unwrap());
    let keys = decryption_keys(&parties.insurer);
    // The description of the body moves with it; only the binding differs.
    for change in [
        |m: &mut Manifest| m.number = 3,
        |m: &mut Manifest| m.epoch = 2,
        |m: &mut Manifest| m.feed = "fee".parse().unwrap(),
        |m: &mut Manifest| m.recipient = "insurer-b".parse().unwrap(),
        |m: &mut Manifest| {
            let encryption = m.content.body.encryption.as_mut().unwrap();
            encryption.sender_key = EncryptionKey::generate().unwrap().public().clone();
        },
    ] {
        let mut moved = second.clone();
        moved.content.body = first.content.body.clone();
        (moved.number, moved.epoch) = (first.number, first.epoch);
        decrypt(moved.clone(), &one.body, &keys).unwrap();
        change(&mut moved);
        assert!(matches!(
            decrypt(moved, &one.body, &keys),
            Err(EncryptionError::DecryptionFailed { .. })
        ));
    }
}

#[test]
fn encrypted_position_is_deterministic_and_bound_to_its_lane() {
    let parties = parties();
    let encrypt = |cursor: &Cursor, lane: &Lane| position::encrypt(cursor, lane, &parties.bureau).unwrap();
    let once = encrypt(&cursor(), &lane());
    assert_eq!(once, encrypt(&cursor(), &lane()));
    assert_eq!(
        once,
        encrypt(&once, &lane()),
        "an encrypted one is not encrypted again"
    );
    let other_lane = Lane {
        recipient: "insurer-b".parse().unwrap(),
        ..lane()
    };
    assert_ne!(once, encrypt(&cursor(), &other_lane));
    assert_ne!(once, encrypt(&Cursor(vec![Scalar::Int(7)]), &lane()));
    let keys = decryption_keys(&parties.bureau);
    assert!(matches!(
        position::decrypt(&once, &other_lane, &keys),
        Err(EncryptionError::DecryptionFailed { .. })
    ));
    let [Scalar::Text(text)] = once.0.as_slice() else {
        panic!("one text")
    };
    assert!(!text.contains("Zhang"));
    // A longer value of the same padded length has the same text length.
    let longer = Cursor(vec![Scalar::Text(format!("{MARK}x")), Scalar::Int(7)]);
    let [Scalar::Text(other)] = &encrypt(&longer, &lane()).0[..] else {
        panic!("one text")
    };
    assert_eq!(text.len(), other.len());
    for index in text.len() - 40..text.len() {
        let mut altered = text.clone().into_bytes();
        altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
        let altered = Cursor(vec![Scalar::Text(String::from_utf8(altered).unwrap())]);
        assert!(
            position::decrypt(&altered, &lane(), &keys).is_err(),
            "byte {index}"
        );
    }
}

#[test]
fn cursor_value_with_the_encrypted_prefix_is_refused() {
    assert!(Scalar::from_value(Value::Text("encrypted.v1.XA.b")).is_err());
    assert!(Scalar::from_value(Value::Text("encrypted")).is_ok());
}

/// Encrypts any bytes as a faulty publisher could, and returns the signed message. Derives the
/// nonce as `schemas::encryption::body` documents it.
fn encrypted_raw(parties: &Parties, plain: &[u8], plain_bytes: u64) -> Vec<u8> {
    let sender = crypto_box::SecretKey::from([7; 32]);
    let point = |key: &EncryptionKey| nkeys::from_public_key(key.public().as_str()).unwrap().1;
    let recipient = point(&parties.insurer);
    let mut manifest = manifest(parties, 1);
    let binding = [
        &b"slacktide.body.v1\0insurer-a\0setl\0"[..],
        &manifest.epoch.to_be_bytes(),
        &1_u64.to_be_bytes(),
        sender.public_key().as_bytes(),
        &recipient,
    ]
    .concat();
    let nonce: [u8; 24] = Digest::of(&[&binding]).0[..24].try_into().unwrap();
    let body = ChaChaBox::new(&crypto_box::PublicKey::from(recipient), &sender)
        .encrypt(&nonce.into(), plain)
        .unwrap();
    (manifest.content.rejects, manifest.content.totals.money) = Default::default();
    manifest.content.body = body::BodyFormat {
        digest: Digest::of(&[&body]),
        bytes: body.len() as u64,
        plain_bytes,
        encryption: Some(encryption::BodyEncryption {
            algorithm: encryption::format::ALGORITHM.to_owned(),
            recipient_key: parties.insurer.public().clone(),
            sender_key: EncryptionKey::from_seed(&nkeys::XKey::new_from_raw([7; 32]).seed().unwrap())
                .unwrap()
                .public()
                .clone(),
            rejects: 0,
        }),
        ..body::compress(&[]).unwrap().format
    };
    Envelope::sign(&manifest, body, &parties.sign)
        .unwrap()
        .encode()
        .unwrap()
}

fn decrypt(mut manifest: Manifest, body: &[u8], keys: &DecryptionKeys) -> Result<Vec<u8>, EncryptionError> {
    let binding = manifest.binding();
    encryption::body::decrypt(&mut manifest.content, binding, body, keys).map(Cow::into_owned)
}

fn opened(parties: &Parties, message: &[u8]) -> Result<chunk::VerifiedChunk, ChunkError> {
    let trusted = [parties.sign.public().clone()];
    chunk::VerifiedChunk::open(message, &trusted, &decryption_keys(&parties.insurer))
}

/// Decrypted bodies use the same decoder with the same limits.
#[test]
fn encrypted_bomb_is_refused_by_its_declared_size() {
    let parties = parties();
    let bomb = zstd::bulk::compress(&vec![0; 100_000_000], 19).unwrap();
    let plain = [&2_u32.to_be_bytes()[..], b"{}", &bomb].concat();
    assert!(plain.len() < 10_240);
    for declared in [100_000_000, u64::MAX, body::MAX_PLAIN_BYTES as u64, 1_000, 0] {
        let opened = opened(&parties, &encrypted_raw(&parties, &plain, declared));
        assert!(
            matches!(opened, Err(ChunkError::Body(body::BodyError::Size { .. }))),
            "{declared}: {opened:?}"
        );
    }
    // Counter-check: a valid body that is encrypted in the same way decrypts.
    let rows = zstd::bulk::compress(&self::plain(), 1).unwrap();
    let plain = [&2_u32.to_be_bytes()[..], b"{}", &rows].concat();
    let whole = encrypted_raw(&parties, &plain, self::plain().len() as u64);
    assert_eq!(opened(&parties, &whole).unwrap().plain, self::plain());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 128, ..Default::default() })]

    /// Encrypted and signed, so that only the encrypted bytes themselves are invalid.
    #[test]
    fn encrypted_random_bytes_never_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), length in proptest::num::u32::ANY,
        known in proptest::bool::ANY, declared in 0_u64..4_000_000,
    ) {
        let parties = parties();
        let length = if known { u32::try_from(bytes.len() / 2).unwrap() } else { length };
        for plain in [bytes.clone(), [&length.to_be_bytes()[..], &bytes].concat(), [&b"\0\0\0\x02{}"[..], &bytes].concat()] {
            let opened = opened(&parties, &encrypted_raw(&parties, &plain, declared));
            proptest::prop_assert!(opened.is_err());
        }
    }

    #[test]
    fn decrypting_random_bytes_never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), text in ".{0,80}") {
        let key = EncryptionKey::from_seed("SXAKIYZX2POLIHZ5W5YZEWVTH24NLEUETBW3TKIVYRSS3GNHFXO5D4JJZM").unwrap();
        let keys = DecryptionKeys::new(vec![key.into()]);
        let parties = parties();
        let envelope = Envelope::decode(&encrypted(&parties, 1)).unwrap();
        let mut manifest: Manifest = envelope.read().unwrap();
        let own = keys.public_keys()[0].clone();
        manifest.content.body.encryption.as_mut().unwrap().recipient_key = own.clone();
        let _ = decrypt(manifest, &bytes, &keys);
        for text in [format!("encrypted.v1.{text}"), format!("encrypted.v1.{own}.{text}")] {
            let _ = position::decrypt(&Cursor(vec![Scalar::Text(text)]), &lane(), &keys);
        }
    }
}
