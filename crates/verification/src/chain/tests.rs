//! Each rule broken once.

use schemas::body;
use schemas::chunk::{self, VerifiedChunk};
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::encryption::{DecryptionKeys, EncryptionKey};
use schemas::load::Load;
use schemas::manifest::{Algorithms, Cause, Content, Opening, Totals};
use schemas::sign::SigningKey;

use super::*;

fn lane() -> Lane {
    Lane {
        recipient: "insurer-a".parse().unwrap(),
        feed: "setl".parse().unwrap(),
    }
}

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// Chunks 1 to `count` of epoch 1, each with one row of 1.50.
pub(crate) fn chain(key: &SigningKey, count: u64) -> Vec<Manifest> {
    let column = |name: &str, kind| Column {
        name: name.into(),
        kind,
        nullable: false,
    };
    let cursor = |number: u64| Some(Cursor(vec![Scalar::Int(number.cast_signed())]));
    (1..=count)
        .map(|number| Manifest {
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
            cursor_before: cursor(number - 1).filter(|_| number > 1),
            cursor_after: cursor(number),
            source: None,
            content: Content {
                instance: "a".into(),
                key: key.public().clone(),
                schema: RowSchema {
                    name: "setl".into(),
                    version: 1,
                    columns: vec![
                        column("id", ColumnType::Int8),
                        column(
                            "amount",
                            ColumnType::Decimal {
                                precision: None,
                                scale: None,
                            },
                        ),
                    ],
                    key: vec!["id".into()],
                    tombstone: None,
                },
                definition: Digest::of(&[b"definition"]),
                totals: Totals {
                    rows: 1,
                    money: [("amount".to_owned(), "1.50".to_owned())].into(),
                    ..Totals::default()
                },
                load: Load::default(),
                rejects: Vec::new(),
                body: body::BodyFormat::default(),
                read_from: at(),
                read_to: at(),
                algorithms: Algorithms::default(),
            },
        })
        .collect()
}

/// Signs them as a chain, each naming the previous one, after `edit`.
fn signed(mut manifests: Vec<Manifest>, edit: impl Fn(usize, &mut Manifest)) -> Vec<VerifiedChunk> {
    let key = SigningKey::generate();
    let mut previous = None;
    manifests
        .iter_mut()
        .enumerate()
        .map(|(place, manifest)| {
            manifest.content.key = key.public().clone();
            manifest.previous = previous;
            edit(place, manifest);
            let mut plain = Vec::new();
            schemas::rows::pack(
                &[Value::Int(manifest.number.cast_signed()), Value::Text("1.50")],
                &mut plain,
            )
            .unwrap();
            if manifest.content.totals.rows == 0 {
                plain.clear();
            }
            let bytes = chunk::SignedChunk::sign(manifest.clone(), &plain, &key, None)
                .unwrap()
                .bytes;
            let chunk =
                VerifiedChunk::open(&bytes, &[key.public().clone()], &DecryptionKeys::default()).unwrap();
            previous = Some(chunk.digest);
            chunk
        })
        .collect()
}

fn walk(chunks: &[VerifiedChunk]) -> Result<Report, Violation> {
    let mut chain = Chain::default();
    chunks
        .iter()
        .try_for_each(|chunk| chain.push(&lane(), &chunk.manifest, chunk.digest, true, at()))?;
    Ok(chain.report())
}

fn broken(edit: impl Fn(usize, &mut Manifest)) -> String {
    walk(&signed(chain(&SigningKey::generate(), 3), edit))
        .unwrap_err()
        .to_string()
}

#[test]
fn chain_complete_is_reported_with_its_sums() {
    let report = walk(&signed(chain(&SigningKey::generate(), 3), |_, _| {})).unwrap();
    assert_eq!((report.chunks, report.rows, report.number), (3, 3, 3));
    assert_eq!(report.money["amount"], "4.50");
    assert_eq!(report.publishers.len(), 1);
    assert!(report.begins_at.is_none());
}

#[test]
fn chain_missing_or_swapped_chunk_is_found() {
    let chunks = signed(chain(&SigningKey::generate(), 3), |_, _| {});
    let [first, second, third] = chunks.as_slice() else {
        panic!("three were made")
    };
    assert!(
        walk(&[first.clone(), third.clone()])
            .unwrap_err()
            .to_string()
            .contains("number 3")
    );
    assert!(walk(&[first.clone(), third.clone(), second.clone()]).is_err());
    assert!(walk(&[first.clone(), second.clone(), second.clone()]).is_err());
    // A missing beginning is reported but is not a fault: retention removes from the front.
    assert_eq!(
        walk(&[second.clone(), third.clone()])
            .unwrap()
            .begins_at
            .map(|link| link.number),
        Some(2)
    );
}

#[test]
fn chain_rewritten_link_is_found() {
    let error = broken(|place, manifest| {
        if place == 2 {
            manifest.previous = Some(Digest::of(&[b"another"]));
        }
    });
    assert!(error.contains("does not name the digest of number 2"), "{error}");
}

#[test]
fn chain_gap_between_cursors_is_found() {
    let error = broken(|place, manifest| {
        if place == 1 {
            manifest.cursor_before = Some(Cursor(vec![Scalar::Int(99)]));
        }
    });
    assert!(error.contains("do not begin where"), "{error}");
}

#[test]
fn chain_chunk_of_another_lane_is_found() {
    let error = broken(|place, manifest| {
        if place == 1 {
            manifest.feed = "fee".parse().unwrap();
        }
    });
    assert!(error.contains("insurer-a.fee"), "{error}");
}

fn open_epoch(manifest: &mut Manifest, continues: Link) {
    (manifest.epoch, manifest.number) = (2, 1);
    manifest.opening = Some(Opening {
        cause: Cause::Rewind,
        actor: "op".into(),
        reason: "again".into(),
        continues: Some(continues),
    });
    manifest.content.totals = Totals {
        rows: 0,
        money: [("amount".to_owned(), "0".to_owned())].into(),
        ..Totals::default()
    };
}

#[test]
fn chain_new_epoch_needs_an_opening() {
    let missing = broken(|place, manifest| {
        if place == 2 {
            (manifest.epoch, manifest.number) = (2, 1);
        }
    });
    assert!(missing.contains("without an opening"), "{missing}");

    let chunks = signed(chain(&SigningKey::generate(), 3), |place, manifest| {
        if place == 2 {
            let digest = manifest.previous.unwrap();
            open_epoch(
                manifest,
                Link {
                    epoch: 1,
                    number: 2,
                    digest,
                },
            );
        }
    });
    let report = walk(&chunks).unwrap();
    assert_eq!((report.epoch, report.number, report.openings.len()), (2, 1, 1));
    assert!(report.openings[0].continues_here);

    let newest_elsewhere = Link {
        epoch: 1,
        number: 7,
        digest: Digest::of(&[b"lost with the restore"]),
    };
    let chunks = signed(chain(&SigningKey::generate(), 3), |place, manifest| {
        if place == 2 {
            manifest.previous = Some(newest_elsewhere.digest);
            open_epoch(manifest, newest_elsewhere);
        }
    });
    assert!(!walk(&chunks).unwrap().openings[0].continues_here);
}

/// A copy of the exchange may lack whole epochs that the receiver signed for.
#[test]
fn chain_lost_epochs_are_declared_by_a_restore_only() {
    let lost = Link {
        epoch: 3,
        number: 7,
        digest: Digest::of(&[b"lost with the restore"]),
    };
    let walk_to = |epoch: u32, cause: Cause| {
        walk(&signed(chain(&SigningKey::generate(), 3), |place, manifest| {
            if place == 2 {
                manifest.previous = Some(lost.digest);
                open_epoch(manifest, lost);
                manifest.epoch = epoch;
                manifest.opening.as_mut().unwrap().cause = cause;
            }
        }))
    };
    let report = walk_to(4, Cause::ExchangeRestored).unwrap();
    assert_eq!((report.epoch, report.openings[0].continues_here), (4, false));
    for (epoch, cause) in [(4, Cause::Rewind), (5, Cause::ExchangeRestored)] {
        let error = walk_to(epoch, cause).unwrap_err().to_string();
        assert!(
            error.contains(&format!("epoch {epoch} follows epoch 1")),
            "{error}"
        );
    }
}

/// Equal positions encrypt equally, so that a gap is found without a key.
#[test]
fn chain_encrypted_positions_are_compared_without_a_key() {
    let (old, new) = (
        EncryptionKey::generate().unwrap(),
        EncryptionKey::generate().unwrap(),
    );
    let encrypted = |key: &EncryptionKey, cursor: &Option<Cursor>| {
        cursor
            .as_ref()
            .map(|cursor| position::encrypt(cursor, &lane(), key).unwrap())
    };
    let with = |keys: [&EncryptionKey; 3], shift: i64| {
        signed(chain(&SigningKey::generate(), 3), |place, manifest| {
            if place == 1 {
                manifest.cursor_before = Some(Cursor(vec![Scalar::Int(1 + shift)]));
            }
            manifest.cursor_before = encrypted(keys[place], &manifest.cursor_before);
            manifest.cursor_after = encrypted(keys[place], &manifest.cursor_after);
        })
    };
    let report = walk(&with([&old, &old, &old], 0)).unwrap();
    assert_eq!((report.chunks, report.positions_not_compared), (3, 0));
    assert!(
        walk(&with([&old, &old, &old], 5))
            .unwrap_err()
            .to_string()
            .contains("do not begin where")
    );
    let report = walk(&with([&old, &old, &new], 0)).unwrap();
    assert_eq!((report.chunks, report.positions_not_compared), (3, 1));
}
