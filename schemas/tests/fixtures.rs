//! Golden bytes: what was once published must be read for ever.
//!
//! `fixtures/v1` holds messages as an earlier build published them, and beside each what it
//! means as JSON. A new form of a message gets a new fixture; an old one is never rewritten.
//! `SLACKTIDE_WRITE_FIXTURES=1` writes those that are missing.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be made or read must fail the test there and then"
)]

use std::path::{Path, PathBuf};

use schemas::approval::{Approval, Decision};
use schemas::audit::AuditEntry;
use schemas::chunk;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::confirm::Confirm;
use schemas::control::{Action, AnyAction, Control, Order};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::lease::Lease;
use schemas::load::{GateState, Load, LoadSample, LoadVerdict, SignalLimit};
use schemas::manifest::{Algorithms, Cause, Link, Manifest, Opening, Publisher, Reject, Totals};
use schemas::part::{self, Part};
use schemas::progress::{Progress, Waiting};
use schemas::receipt::Receipt;
use schemas::refusal::RefusalCode;
use schemas::reply::{Outcome, Reply};
use schemas::request::{Cancel, Request, RequestId};
use schemas::seal::{SealKey, SealRing, position};
use schemas::sign::{PublicKey, SigningKey};
use schemas::value::Value;
use serde_json::{Value as Json, json};

/// The fixtures' key: its public half is in them, and its secret half protects nothing.
const SEED: &str = "SAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The same for the fixtures' sealing key.
const SEAL_SEED: &str = "SXAKIYZX2POLIHZ5W5YZEWVTH24NLEUETBW3TKIVYRSS3GNHFXO5D4JJZM";

fn ring() -> SealRing {
    SealRing::new(vec![SealKey::from_seed(SEAL_SEED).unwrap().into()])
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1")
}

fn at() -> jiff::Timestamp {
    "2026-01-31T22:15:00.123456Z".parse().unwrap()
}

fn rows() -> (Vec<Column>, Vec<Vec<Value<'static>>>) {
    let column = |name: &str, kind, nullable| Column {
        name: name.into(),
        kind,
        nullable,
    };
    let columns = vec![
        column("id", ColumnType::Int8, false),
        column(
            "amount",
            ColumnType::Decimal {
                precision: Some(16),
                scale: Some(2),
            },
            true,
        ),
        column("name", ColumnType::Text { max: Some(50) }, true),
        column("seen", ColumnType::TimestampTz, true),
        column("photo", ColumnType::Bytes, true),
        column("share", ColumnType::Float8, true),
        column("gone", ColumnType::Bool, false),
        column(
            "tags",
            ColumnType::Other {
                native: "text[]".into(),
            },
            true,
        ),
    ];
    let rows = vec![
        vec![
            Value::Int(-1),
            Value::Text("46.620000000000005"),
            Value::Text("张三 🜍"),
            Value::Text("0044-03-15 12:00:00+00 BC"),
            Value::Bytes(&[0, 127, 255]),
            Value::Float(0.1),
            Value::Bool(false),
            Value::Text("{a,\"b c\",NULL}"),
        ],
        vec![
            Value::Int(i64::MAX),
            Value::Text("-0.62"),
            Value::Text(""),
            Value::Null,
            Value::Bytes(&[]),
            Value::Float(f64::NEG_INFINITY),
            Value::Bool(true),
            Value::Null,
        ],
    ];
    (columns, rows)
}

fn manifest(key: &PublicKey) -> Manifest {
    let continues = Link {
        epoch: 1,
        number: 17,
        digest: Digest::of(&[b"the chunk before"]),
    };
    Manifest {
        recipient: "insurer-a".parse().unwrap(),
        feed: "setl".parse().unwrap(),
        epoch: 2,
        number: 1,
        previous: Some(continues.digest),
        opening: Some(Opening {
            cause: Cause::ExchangeRestored,
            actor: "operator".into(),
            reason: "restored from the night's copy".into(),
            continues: Some(continues),
        }),
        publisher: Publisher {
            instance: "00112233aabbccdd".into(),
            key: key.clone(),
        },
        cursor_before: Some(Cursor(vec![
            Scalar::Text("2026-01-31 22:00:00+00".into()),
            Scalar::Int(41),
        ])),
        cursor_after: Some(Cursor(vec![
            Scalar::Text("2026-01-31 22:00:01+00".into()),
            Scalar::Int(43),
        ])),
        schema: RowSchema {
            name: "setl".into(),
            version: 1,
            columns: rows().0,
            key: vec!["id".into()],
            tombstone: Some("gone".into()),
        },
        definition: Digest::of(&[b"definition"]),
        totals: Totals {
            rows: 2,
            deleted: 1,
            money: [("amount".to_owned(), "46.000000000000005".to_owned())].into(),
            unsummed: [].into(),
            ..Totals::default()
        },
        load: Load {
            limits: [(
                "host_cpu".to_owned(),
                SignalLimit {
                    stop_milli: 70_000,
                    resume_milli: 50_000,
                    unit: "percent".into(),
                },
            )]
            .into(),
            samples: vec![LoadSample {
                at: at(),
                readings_milli: [("host_cpu".to_owned(), Some(12_500))].into(),
            }],
            verdicts: vec![LoadVerdict {
                at: at(),
                state: GateState::Open,
                reason: "all signals below their limits".into(),
            }],
        },
        rejects: vec![Reject {
            key: vec![Some(Scalar::Int(42))],
            column: Some("photo".into()),
            reason: "too large".into(),
        }],
        body: schemas::body::close(b"").unwrap().0,
        read_from: at(),
        read_to: at(),
        algorithms: Algorithms::default(),
    }
}

fn part_of(key: &PublicKey) -> Part {
    let like = manifest(key);
    Part {
        id: "20260131-abcdefgh".parse().unwrap(),
        recipient: like.recipient,
        request: Digest::of(&[b"request"]),
        attempt: 2,
        number: 1,
        schema: RowSchema {
            name: "setl_by_person".into(),
            ..like.schema
        },
        definition: Digest::of(&[b"kind"]),
        totals: Totals {
            withheld: 1,
            ..like.totals
        },
        load: like.load,
        rejects: like.rejects,
        body: like.body,
        read_from: at(),
        read_to: at(),
        instance: "00112233aabbccdd".into(),
        algorithms: Algorithms::default(),
        key: key.clone(),
    }
}

fn all(key: &SigningKey) -> Vec<(&'static str, Vec<u8>)> {
    let public = key.public().clone();
    let sealed = |payload: Result<Envelope, _>| payload.and_then(|e: Envelope| e.encode()).unwrap();
    let mut plain = Vec::new();
    rows()
        .1
        .iter()
        .for_each(|row| schemas::rows::pack(row, &mut plain).unwrap());
    let id = || "20260131-abcdefgh".parse().unwrap();
    let to = || "insurer-a".parse().unwrap();
    let receipt = Receipt {
        recipient: to(),
        feed: "setl".parse().unwrap(),
        epoch: 2,
        from: 1,
        to: 9,
        head: Some(Digest::of(&[b"nine"])),
        cursor: Some(Cursor(vec![Scalar::Int(9)])),
        rows: 900,
        quarantined: vec![3],
        stopped: Some("exchange restored or rewritten".into()),
        at: at(),
        key: public.clone(),
    };
    let lease = Lease {
        source: "core".parse().unwrap(),
        instance: "00112233aabbccdd".into(),
        holder: "host:1".into(),
        renewal: 5,
        ttl_ms: 3000,
        released: false,
        at: at(),
        key: public.clone(),
    };
    let request = Request {
        id: id(),
        recipient: to(),
        kind: "setl.by_person".into(),
        arguments: [("psn_no".to_owned(), Scalar::Text("1".into()))].into(),
        purpose: "01".into(),
        basis: "01".into(),
        deadline: Some(at()),
        idempotency: None,
        filed_by: "clerk".into(),
        filed_at: at(),
        key: public.clone(),
    };
    let cancel = Cancel {
        id: id(),
        recipient: to(),
        request: Digest::of(&[b"request"]),
        reason: "no longer needed".into(),
        at: at(),
        key: public.clone(),
    };
    let reply = Reply {
        id: id(),
        recipient: to(),
        request: Digest::of(&[b"request"]),
        outcome: Outcome::Answered {
            rows: 3,
            parts: vec![Digest::of(&[b"part"])],
        },
        attempt: None,
        definition: None,
        load: None,
        read_from: None,
        read_to: None,
        withheld: 0,
        instance: "00112233aabbccdd".into(),
        at: at(),
        key: public.clone(),
    };
    let keyed_request = Request {
        id: RequestId::of_key(jiff::civil::date(2026, 1, 31), &to(), "claim 7"),
        idempotency: Some("claim 7".into()),
        ..request.clone()
    };
    let full_reply = Reply {
        attempt: Some(2),
        definition: Some(Digest::of(&[b"kind"])),
        load: Some(manifest(&public).load),
        read_from: Some(at()),
        read_to: Some(at()),
        withheld: 1,
        outcome: Outcome::Partial {
            rows: 2,
            parts: vec![Digest::of(&[b"part"])],
            reason: "the period is longer than the kind allows".into(),
        },
        ..reply.clone()
    };
    let refused_reply = Reply {
        outcome: Outcome::Refused {
            code: RefusalCode::Quota,
            reason: "50000 rows a day are used up".into(),
            retry_at: Some(at()),
        },
        definition: Some(Digest::of(&[b"kind"])),
        ..reply.clone()
    };
    let progress = Progress {
        id: id(),
        recipient: to(),
        request: Digest::of(&[b"request"]),
        state: Waiting::Answering {
            attempt: 2,
            parts: 1,
            rows: 2,
        },
        since: at(),
        taken_at: at(),
        place: Some(1),
        forecast: Some(at()),
        instance: "00112233aabbccdd".into(),
        at: at(),
        key: public.clone(),
    };
    let approval = Approval {
        id: id(),
        recipient: to(),
        request: Digest::of(&[b"request"]),
        officer: "li_na".parse().unwrap(),
        decision: Decision::Grant,
        reason: "court order 17".into(),
        at: at(),
        key: public.clone(),
    };
    let confirm = Confirm {
        id: id(),
        recipient: to(),
        reply: Digest::of(&[b"reply"]),
        rows: 2,
        quarantined: 1,
        delivered_at: at(),
        stored_at: at(),
        key: public.clone(),
    };
    let entry = AuditEntry {
        party: "bureau".parse().unwrap(),
        writer: "social".parse().unwrap(),
        number: 1,
        previous: None,
        at: at(),
        actor: "operator".into(),
        action: "epoch.open".into(),
        reason: "restored".into(),
        detail: [("feed".to_owned(), "setl".to_owned())].into(),
        key: public.clone(),
    };
    let order = Order {
        id: "00112233aabbccdd".into(),
        scope: "gate.core".into(),
        action: AnyAction::Known(Action::Limit { duty_milli: 200 }),
        actor: "li.na".into(),
        reason: "year end".into(),
        given_at: at(),
        expires: Some(at()),
    };
    let later = Order {
        scope: "recipient.insurer-a".into(),
        action: AnyAction::Other([("kind".to_owned(), "hold".into())].into()),
        expires: None,
        ..order.clone()
    };
    let control = Control {
        party: "bureau".parse().unwrap(),
        number: 2,
        previous: Some(Digest::of(&[b"the record before"])),
        newest: order.clone(),
        orders: vec![later, order],
        at: at(),
        key: public.clone(),
    };
    let seal = SealKey::from_seed(SEAL_SEED).unwrap();
    let lane = manifest(&public).lane();
    let hidden = |cursor: Option<Cursor>| cursor.map(|c| position::seal(&c, &lane, &seal).unwrap());
    let mut sealed_manifest = manifest(&public);
    sealed_manifest.cursor_before = hidden(sealed_manifest.cursor_before);
    sealed_manifest.cursor_after = hidden(sealed_manifest.cursor_after);
    let sealed_receipt = Receipt {
        cursor: hidden(receipt.cursor.clone()),
        ..receipt.clone()
    };
    vec![
        (
            "chunk",
            chunk::seal(manifest(&public), &plain, key).unwrap().bytes,
        ),
        (
            "chunk-sealed",
            chunk::seal_to(sealed_manifest, &plain, key, Some(seal.public()))
                .unwrap()
                .bytes,
        ),
        (
            "receipt-sealed",
            sealed(Envelope::seal(&sealed_receipt, Vec::new(), key)),
        ),
        ("receipt", sealed(Envelope::seal(&receipt, Vec::new(), key))),
        ("lease", sealed(Envelope::seal(&lease, Vec::new(), key))),
        ("request", sealed(Envelope::seal(&request, Vec::new(), key))),
        ("cancel", sealed(Envelope::seal(&cancel, Vec::new(), key))),
        ("reply", sealed(Envelope::seal(&reply, Vec::new(), key))),
        (
            "request-keyed",
            sealed(Envelope::seal(&keyed_request, Vec::new(), key)),
        ),
        (
            "reply-partial",
            sealed(Envelope::seal(&full_reply, Vec::new(), key)),
        ),
        (
            "reply-refused",
            sealed(Envelope::seal(&refused_reply, Vec::new(), key)),
        ),
        (
            "part",
            part::seal(part_of(&public), &plain, key, None).unwrap().bytes,
        ),
        (
            "part-sealed",
            part::seal(part_of(&public), &plain, key, Some(seal.public()))
                .unwrap()
                .bytes,
        ),
        ("progress", sealed(Envelope::seal(&progress, Vec::new(), key))),
        ("approval", sealed(Envelope::seal(&approval, Vec::new(), key))),
        ("confirm", sealed(Envelope::seal(&confirm, Vec::new(), key))),
        ("audit", sealed(Envelope::seal(&entry, Vec::new(), key))),
        ("control", sealed(Envelope::seal(&control, Vec::new(), key))),
    ]
}

fn read<P: Payload>(bytes: &[u8]) -> Json {
    let envelope = Envelope::decode(bytes).unwrap();
    let payload: P = envelope.read().unwrap();
    let verified: P = envelope.verify(&[payload.signer().clone()]).unwrap();
    json!({ "digest": envelope.digest(), "payload": serde_json::to_value(verified).unwrap() })
}

fn read_chunk(bytes: &[u8]) -> Json {
    let mut said = read::<Manifest>(bytes);
    let key = chunk::place(bytes).unwrap().0.publisher.key;
    let chunk = chunk::open_with(bytes, &[key], &ring()).unwrap();
    let (mut reader, mut row, mut rows) = (chunk.rows(), Vec::new(), Vec::new());
    while reader.next_into(&mut row).unwrap() {
        rows.push(Json::String(format!("{row:?}")));
    }
    said["rows"] = Json::Array(rows);
    if chunk.manifest.body.sealing.is_some() {
        let place = chunk.manifest.cursor_after.as_ref();
        let place = place.map(|cursor| position::open(cursor, &chunk.manifest.lane(), &ring()).unwrap());
        said["unsealed"] = json!({
            "money": chunk.manifest.totals.money, "rejects": chunk.manifest.rejects, "cursor_after": place,
        });
    }
    said
}

fn read_part(bytes: &[u8]) -> Json {
    let mut said = read::<Part>(bytes);
    let named: Part = Envelope::decode(bytes).unwrap().read().unwrap();
    let opened = part::open(bytes, std::slice::from_ref(&named.key), &ring()).unwrap();
    let (mut reader, mut row, mut rows) = (opened.rows(), Vec::new(), Vec::new());
    while reader.next_into(&mut row).unwrap() {
        rows.push(Json::String(format!("{row:?}")));
    }
    said["rows"] = Json::Array(rows);
    said["subject"] = Json::String(opened.part.subject().to_string());
    if opened.part.body.sealing.is_some() {
        said["unsealed"] = json!({ "money": opened.part.totals.money, "rejects": opened.part.rejects });
    }
    said
}

fn meaning(name: &str, bytes: &[u8]) -> Json {
    match name {
        "chunk" => read_chunk(bytes),
        "receipt" => read::<Receipt>(bytes),
        "lease" => read::<Lease>(bytes),
        "request" => read::<Request>(bytes),
        "cancel" => read::<Cancel>(bytes),
        "reply" => read::<Reply>(bytes),
        "part" => read_part(bytes),
        "progress" => read::<Progress>(bytes),
        "approval" => read::<Approval>(bytes),
        "confirm" => read::<Confirm>(bytes),
        "audit" => read::<AuditEntry>(bytes),
        "control" => read::<Control>(bytes),
        other => panic!("fixture {other:?} has no reader"),
    }
}

#[test]
fn golden_bytes_decode_for_ever() {
    if std::env::var_os("SLACKTIDE_WRITE_FIXTURES").is_some() {
        let key = SigningKey::from_seed(SEED).unwrap_or_else(|_| SigningKey::generate());
        for (name, bytes) in all(&key) {
            let file = folder().join(format!("{name}.bin"));
            if !file.exists() {
                std::fs::write(&file, &bytes).unwrap();
                let kind = name.split('-').next().unwrap();
                let said = serde_json::to_string_pretty(&meaning(kind, &bytes)).unwrap();
                std::fs::write(folder().join(format!("{name}.json")), said + "\n").unwrap();
            }
        }
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let kind = name.split('-').next().unwrap();
        let said: Json =
            serde_json::from_slice(&std::fs::read(file.with_extension("json")).unwrap()).unwrap();
        assert_eq!(
            meaning(kind, &std::fs::read(&file).unwrap()),
            said,
            "{}",
            file.display()
        );
        seen += 1;
    }
    assert!(seen >= 18, "only {seen} fixtures were found");
}

#[test]
fn no_byte_of_a_fixture_can_change_unseen() {
    for name in ["chunk.bin", "chunk-sealed.bin"] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let key = chunk::place(&bytes).unwrap().0.publisher.key;
        assert!(chunk::open_with(&bytes, std::slice::from_ref(&key), &ring()).is_ok());
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 0x20;
            if let Ok(chunk) = chunk::open_with(&altered, std::slice::from_ref(&key), &ring()) {
                panic!("byte {place} of chunk {:?} changed unseen", chunk.link());
            }
        }
    }
}

#[test]
fn no_byte_of_a_part_can_change_unseen() {
    for name in ["part.bin", "part-sealed.bin"] {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let named: Part = Envelope::decode(&bytes).unwrap().read().unwrap();
        let trusted = [named.key];
        assert!(part::open(&bytes, &trusted, &ring()).is_ok());
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 0x20;
            assert!(
                part::open(&altered, &trusted, &ring()).is_err(),
                "byte {place} of {name} changed unseen"
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        let _ = chunk::open(&bytes, &[]);
        let _ = chunk::place(&bytes);
        let mut reader = schemas::rows::RowReader::new(&bytes, 5, 100);
        let mut row = Vec::new();
        while let Ok(true) = reader.next_into(&mut row) {}
    }
}
