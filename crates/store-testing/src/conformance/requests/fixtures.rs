//! Sample requests and replies.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::body::BodyFormat;
use schemas::column::{ColumnType, RowSchema};
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::load::Load;
use schemas::manifest::{Algorithms, Content, Totals};
use schemas::name::RecipientName;
use schemas::part::{Part, VerifiedPart};
use schemas::reply::{Outcome, Reply};
use schemas::request::{Request, RequestId};
use schemas::rows::pack;
use schemas::sign::{PublicKey, SigningKey};
use schemas::value::Value;

use super::super::Failure;
use crate::samples::{lane, schema};
use store::requests::{Filing, ReceivedReply};

/// The kind of all sample requests, and its table.
pub(super) const KIND: &str = "setl.by_person";
pub(super) const TABLE: &str = "answer_setl__by_person";

pub(super) fn recipient() -> RecipientName {
    lane().recipient
}

/// A second of the day of all sample requests.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_817_600 + second).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn key() -> PublicKey {
    SigningKey::generate().public().clone()
}

fn id_of(name: &str) -> RequestId {
    RequestId::from_idempotency_key(jiff::civil::date(2026, 1, 31), &recipient(), name)
}

/// A request under a key, about a person.
pub(super) fn filing(name: &str, person: &str) -> Filing {
    let request = Request {
        id: id_of(name),
        recipient: recipient(),
        origin: None,
        kind: KIND.to_owned(),
        arguments: BTreeMap::from([("psn_no".to_owned(), Scalar::Text(person.to_owned()))]),
        purpose: "01".to_owned(),
        basis: "02".to_owned(),
        deadline: None,
        idempotency: Some(name.to_owned()),
        filed_by: "clerk".to_owned(),
        filed_at: at(1),
        key: key(),
    };
    Filing {
        digest: Digest::of(&[name.as_bytes(), person.as_bytes()]),
        bytes: format!("{name} {person}").into_bytes(),
        request,
        exchanged_at: None,
        outbox: None,
    }
}

/// Columns of an answer, without a key.
pub(super) fn columns() -> RowSchema {
    schema(
        &[],
        &[("id", ColumnType::Int8), ("name", ColumnType::Text { max: None })],
    )
}

pub(super) fn row(id: i64, name: &str) -> Vec<Value<'_>> {
    vec![Value::Int(id), Value::Text(name)]
}

fn part(
    filing: &Filing,
    schema: &RowSchema,
    number: u32,
    rows: &[Vec<Value<'_>>],
) -> Result<VerifiedPart, Failure> {
    let mut plain = Vec::new();
    for row in rows {
        pack(row, &mut plain).map_err(|error| Failure(error.to_string()))?;
    }
    let part = Part {
        id: filing.request.id.clone(),
        recipient: recipient(),
        request: filing.digest,
        attempt: 2,
        number,
        content: Content {
            schema: schema.clone(),
            definition: Digest::of(&[b"definition"]),
            totals: Totals {
                rows: rows.len() as u64,
                ..Totals::default()
            },
            load: Load::default(),
            rejects: Vec::new(),
            body: BodyFormat {
                digest: Digest::of(&[&plain]),
                bytes: plain.len() as u64,
                plain_bytes: plain.len() as u64,
                encoding: "messagepack-rows".to_owned(),
                compression: "none".to_owned(),
                encryption: None,
            },
            read_from: at(3),
            read_to: at(3),
            instance: "0123456789abcdef".to_owned(),
            algorithms: Algorithms::default(),
            key: key(),
        },
    };
    let digest = Digest::of(&[&filing.digest.0, &number.to_be_bytes(), &plain]);
    Ok(VerifiedPart {
        manifest: part,
        digest,
        plain,
    })
}

/// A reply with these parts, or an empty one.
pub(super) fn reply(
    filing: &Filing,
    schema: &RowSchema,
    parts: &[&[Vec<Value<'_>>]],
) -> Result<ReceivedReply, Failure> {
    let parts = (1_u32..)
        .zip(parts)
        .map(|(number, rows)| part(filing, schema, number, rows))
        .collect::<Result<Vec<_>, Failure>>()?;
    let outcome = if parts.is_empty() {
        Outcome::Empty
    } else {
        Outcome::Answered {
            rows: parts.iter().map(|part| part.manifest.content.totals.rows).sum(),
            parts: parts.iter().map(|part| part.digest).collect(),
        }
    };
    Ok(with_outcome(filing, outcome, parts))
}

/// A reply with this outcome.
pub(super) fn with_outcome(filing: &Filing, outcome: Outcome, parts: Vec<VerifiedPart>) -> ReceivedReply {
    let bytes = format!("{outcome:?}").into_bytes();
    let reply = Reply {
        id: filing.request.id.clone(),
        recipient: recipient(),
        request: filing.digest,
        outcome,
        attempt: Some(2),
        definition: None,
        load: None,
        read_from: None,
        read_to: None,
        withheld: 3,
        instance: "0123456789abcdef".to_owned(),
        at: at(4),
        key: key(),
    };
    ReceivedReply {
        digest: Digest::of(&[&filing.digest.0, &bytes]),
        bytes,
        reply,
        parts,
        exchanged_at: at(5),
        delivered_at: at(6),
    }
}
