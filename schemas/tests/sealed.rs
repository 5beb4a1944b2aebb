//! What a sealed chunk shows and hides, and that it opens for its reader in its place only.

#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot set up must fail it there and then"
)]

use crypto_box::ChaChaBox;
use crypto_box::aead::Aead as _;
use schemas::body;
use schemas::chunk::{self, ChunkError, Examined};
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Manifest, Publisher, Reject, Totals};
use schemas::name::Lane;
use schemas::seal::{SealError, SealKey, SealRing, parcel, position};
use schemas::sign::SigningKey;
use schemas::value::Value;

/// Stands in every column, the key, the cursor and a reject.
const MARK: &str = "Zhang-Wei-310101";

struct Parties {
    sign: SigningKey,
    insurer: SealKey,
    bureau: SealKey,
}

fn parties() -> Parties {
    Parties {
        sign: SigningKey::generate(),
        insurer: SealKey::generate().unwrap(),
        bureau: SealKey::generate().unwrap(),
    }
}

fn ring(key: &SealKey) -> SealRing {
    SealRing::new(vec![SealKey::from_seed(&key.seed().unwrap()).unwrap().into()])
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
        opening: None,
        heads: schemas::heads::Heads::default(),
        publisher: Publisher {
            instance: "a".into(),
            key: parties.sign.public().clone(),
        },
        cursor_before: None,
        cursor_after: Some(position::seal(&cursor(), &lane(), &parties.bureau).unwrap()),
        schema: RowSchema {
            name: "setl".into(),
            version: 1,
            columns: vec![text("person"), money],
            key: vec!["person".into()],
            tombstone: None,
        },
        definition: Digest::of(&[b"definition"]),
        source: None,
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
        body: body::close(b"").unwrap().0,
        read_from: jiff::Timestamp::UNIX_EPOCH,
        read_to: jiff::Timestamp::UNIX_EPOCH,
        algorithms: Algorithms::default(),
    }
}

fn sealed(parties: &Parties, number: u64) -> Vec<u8> {
    let to = Some(parties.insurer.public());
    chunk::seal_to(manifest(parties, number), &plain(), &parties.sign, to)
        .unwrap()
        .bytes
}

fn holds(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

#[test]
fn nothing_of_a_row_stands_in_the_message_and_all_of_it_comes_back() {
    let parties = parties();
    let bytes = sealed(&parties, 1);
    for mark in [MARK, "777.31", "too large"] {
        assert!(!holds(&bytes, mark), "{mark} stands in clear");
    }
    // The counter-check: without a seal the same search finds it.
    let clear = chunk::seal(manifest(&parties, 1), &plain(), &parties.sign)
        .unwrap()
        .bytes;
    assert!(holds(&clear, "777.31") && holds(&clear, "too large"));

    let trusted = [parties.sign.public().clone()];
    let opened = chunk::open_with(&bytes, &trusted, &ring(&parties.insurer)).unwrap();
    assert_eq!(opened.plain, plain());
    assert_eq!(opened.manifest.totals.money["amount"], "777.31");
    assert_eq!(opened.manifest.rejects, manifest(&parties, 1).rejects);
    let place = opened.manifest.cursor_after.unwrap();
    assert_eq!(
        position::open(&place, &lane(), &ring(&parties.bureau)).unwrap(),
        cursor()
    );
}

#[test]
fn without_the_key_signature_and_body_are_checked_and_the_missing_key_is_named() {
    let parties = parties();
    let mut bytes = sealed(&parties, 1);
    let trusted = [parties.sign.public().clone()];
    let other = SealKey::generate().unwrap();
    let error = chunk::open_with(&bytes, &trusted, &ring(&other)).unwrap_err();
    assert_eq!(error.waits_for_key(), Some(parties.insurer.public()));
    let told = error.to_string();
    for key in [parties.insurer.public(), other.public()] {
        assert!(told.contains(key.as_str()), "{told}");
    }
    let examined = chunk::examine(&bytes, &trusted, &SealRing::default()).unwrap();
    assert!(matches!(examined, Examined::Closed { manifest, .. } if manifest.totals.rows == 1));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(
        chunk::examine(&bytes, &trusted, &SealRing::default()),
        Err(ChunkError::Body(_))
    ));
}

/// Trap: a body that is moved to another place, even by somebody who can sign.
#[test]
fn a_body_opens_in_its_own_place_only() {
    let parties = parties();
    let (one, two) = (sealed(&parties, 1), sealed(&parties, 2));
    let (one, two) = (Envelope::decode(&one).unwrap(), Envelope::decode(&two).unwrap());
    let (first, second): (Manifest, Manifest) = (one.read().unwrap(), two.read().unwrap());
    let ring = ring(&parties.insurer);
    // The whole description of the body moves with it, and only the place differs.
    for change in [
        |m: &mut Manifest| m.number = 3,
        |m: &mut Manifest| m.epoch = 2,
        |m: &mut Manifest| m.feed = "fee".parse().unwrap(),
        |m: &mut Manifest| m.recipient = "insurer-b".parse().unwrap(),
        |m: &mut Manifest| {
            let sealing = m.body.sealing.as_mut().unwrap();
            sealing.sender_key = SealKey::generate().unwrap().public().clone();
        },
    ] {
        let mut moved = Manifest {
            body: first.body.clone(),
            ..second.clone()
        };
        (moved.number, moved.epoch) = (first.number, first.epoch);
        parcel::open(&mut moved.clone(), &one.body, &ring).unwrap();
        change(&mut moved);
        assert!(matches!(
            parcel::open(&mut moved, &one.body, &ring),
            Err(SealError::Broken { .. })
        ));
    }
}

#[test]
fn a_position_is_the_same_text_for_the_same_place_and_opens_in_its_lane_only() {
    let parties = parties();
    let seal = |cursor: &Cursor, lane: &Lane| position::seal(cursor, lane, &parties.bureau).unwrap();
    let once = seal(&cursor(), &lane());
    assert_eq!(once, seal(&cursor(), &lane()));
    assert_eq!(once, seal(&once, &lane()), "a sealed one is not sealed again");
    let elsewhere = Lane {
        recipient: "insurer-b".parse().unwrap(),
        ..lane()
    };
    assert_ne!(once, seal(&cursor(), &elsewhere));
    assert_ne!(once, seal(&Cursor(vec![Scalar::Int(7)]), &lane()));
    let ring = ring(&parties.bureau);
    assert!(matches!(
        position::open(&once, &elsewhere, &ring),
        Err(SealError::Broken { .. })
    ));
    let [Scalar::Text(text)] = once.0.as_slice() else {
        panic!("one text")
    };
    assert!(!text.contains("Zhang"));
    // A longer value of the same padded length does not show.
    let longer = Cursor(vec![Scalar::Text(format!("{MARK}x")), Scalar::Int(7)]);
    let [Scalar::Text(other)] = &seal(&longer, &lane()).0[..] else {
        panic!("one text")
    };
    assert_eq!(text.len(), other.len());
    for place in text.len() - 40..text.len() {
        let mut altered = text.clone().into_bytes();
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        let altered = Cursor(vec![Scalar::Text(String::from_utf8(altered).unwrap())]);
        assert!(position::open(&altered, &lane(), &ring).is_err(), "byte {place}");
    }
}

#[test]
fn no_value_of_a_row_can_pass_for_a_sealed_position() {
    assert!(Scalar::from_value(Value::Text("sealed.v1.XA.b")).is_err());
    assert!(Scalar::from_value(Value::Text("sealed")).is_ok());
}

/// Seals any bytes as a publisher without sense would, and gives the whole signed message. The
/// nonce is written here as `schemas::seal::parcel` describes it.
fn sealed_as(parties: &Parties, plain: &[u8], plain_bytes: u64) -> Vec<u8> {
    let sender = crypto_box::SecretKey::from([7; 32]);
    let point = |key: &SealKey| nkeys::from_public_key(key.public().as_str()).unwrap().1;
    let recipient = point(&parties.insurer);
    let mut manifest = manifest(parties, 1);
    let place = [
        &b"slacktide.body.v1\0insurer-a\0setl\0"[..],
        &manifest.epoch.to_be_bytes(),
        &1_u64.to_be_bytes(),
        sender.public_key().as_bytes(),
        &recipient,
    ]
    .concat();
    let nonce: [u8; 24] = Digest::of(&[&place]).0[..24].try_into().unwrap();
    let body = ChaChaBox::new(&crypto_box::PublicKey::from(recipient), &sender)
        .encrypt(&nonce.into(), plain)
        .unwrap();
    (manifest.rejects, manifest.totals.money) = Default::default();
    manifest.body = body::BodyForm {
        digest: Digest::of(&[&body]),
        bytes: body.len() as u64,
        plain_bytes,
        sealing: Some(schemas::seal::Sealing {
            algorithm: parcel::ALGORITHM.to_owned(),
            recipient_key: parties.insurer.public().clone(),
            sender_key: SealKey::from_seed(&nkeys::XKey::new_from_raw([7; 32]).seed().unwrap())
                .unwrap()
                .public()
                .clone(),
            rejects: 0,
        }),
        ..manifest.body
    };
    Envelope::seal(&manifest, body, &parties.sign)
        .unwrap()
        .encode()
        .unwrap()
}

fn opened(parties: &Parties, message: &[u8]) -> Result<chunk::Verified, ChunkError> {
    let trusted = [parties.sign.public().clone()];
    chunk::open_with(message, &trusted, &ring(&parties.insurer))
}

/// Behind the seal stands the same decoder, with the same measure.
#[test]
fn a_bomb_behind_a_seal_is_refused_by_its_declared_size() {
    let parties = parties();
    let bomb = zstd::bulk::compress(&vec![0; 100_000_000], 19).unwrap();
    let plain = [&2_u32.to_be_bytes()[..], b"{}", &bomb].concat();
    assert!(plain.len() < 10_240);
    for declared in [100_000_000, u64::MAX, body::MOST_PLAIN as u64, 1_000, 0] {
        let opened = opened(&parties, &sealed_as(&parties, &plain, declared));
        assert!(
            matches!(opened, Err(ChunkError::Body(body::BodyError::Size { .. }))),
            "{declared}: {opened:?}"
        );
    }
    // The counter-check: sealed in the same way, what is no bomb opens.
    let rows = zstd::bulk::compress(&self::plain(), 1).unwrap();
    let plain = [&2_u32.to_be_bytes()[..], b"{}", &rows].concat();
    let whole = sealed_as(&parties, &plain, self::plain().len() as u64);
    assert_eq!(opened(&parties, &whole).unwrap().plain, self::plain());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 128, ..Default::default() })]

    /// Sealed and signed, so that nothing but the sealed bytes themselves can be at fault.
    #[test]
    fn no_bytes_behind_a_seal_make_a_receiver_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), length in proptest::num::u32::ANY,
        known in proptest::bool::ANY, declared in 0_u64..4_000_000,
    ) {
        let parties = parties();
        let length = if known { u32::try_from(bytes.len() / 2).unwrap() } else { length };
        for plain in [bytes.clone(), [&length.to_be_bytes()[..], &bytes].concat(), [&b"\0\0\0\x02{}"[..], &bytes].concat()] {
            let opened = opened(&parties, &sealed_as(&parties, &plain, declared));
            proptest::prop_assert!(opened.is_err());
        }
    }

    #[test]
    fn no_bytes_make_a_sealed_body_or_position_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), text in ".{0,80}") {
        let key = SealKey::from_seed("SXAKIYZX2POLIHZ5W5YZEWVTH24NLEUETBW3TKIVYRSS3GNHFXO5D4JJZM").unwrap();
        let ring = SealRing::new(vec![key.into()]);
        let parties = parties();
        let envelope = Envelope::decode(&sealed(&parties, 1)).unwrap();
        let mut manifest: Manifest = envelope.read().unwrap();
        let own = ring.publics()[0].clone();
        manifest.body.sealing.as_mut().unwrap().recipient_key = own.clone();
        let _ = parcel::open(&mut manifest, &bytes, &ring);
        for text in [format!("sealed.v1.{text}"), format!("sealed.v1.{own}.{text}")] {
            let _ = position::open(&Cursor(vec![Scalar::Text(text)]), &lane(), &ring);
        }
    }
}
