//! A simulated bureau that sends valid and invalid replies.

use bytes::Bytes;
use exchange::{Filed, RequestExchange};
use jiff::Timestamp;
use schemas::body::BodyFormat;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::load::Load;
use schemas::manifest::{Algorithms, Content, Totals};
use schemas::part::{self, Part};
use schemas::reply::{Outcome, Reply};
use schemas::request::Request;
use schemas::rows::pack;
use schemas::sign::SigningKey;
use schemas::value::Value;

use super::insurer_site::InsurerSite;

impl InsurerSite {
    /// Answers a request with parts of these numbers of rows.
    pub(super) async fn answer(&self, request: &Request, digest: Digest, rows: &[i64]) {
        self.answer_signed(request, digest, rows, &self.bureau).await;
    }

    pub(super) async fn answer_signed(
        &self,
        request: &Request,
        digest: Digest,
        rows: &[i64],
        key: &SigningKey,
    ) {
        let mut named = Vec::new();
        for (number, count) in (1_u32..).zip(rows) {
            let signed_part = part(request, digest, number, *count, key);
            named.push(signed_part.digest);
            self.put(self.exchange.publish_part(
                &request.recipient,
                &request.id,
                1,
                number,
                Bytes::from(signed_part.bytes),
            ))
            .await;
        }
        self.reply(request, digest, named, rows.iter().sum(), key).await;
    }

    pub(super) async fn reply(
        &self,
        request: &Request,
        digest: Digest,
        named: Vec<Digest>,
        rows: i64,
        key: &SigningKey,
    ) {
        let outcome = if named.is_empty() {
            Outcome::Empty
        } else {
            Outcome::Answered {
                rows: u64::try_from(rows).unwrap(),
                parts: named,
            }
        };
        let reply = Reply {
            id: request.id.clone(),
            recipient: request.recipient.clone(),
            request: digest,
            attempt: (!outcome.parts().is_empty()).then_some(1),
            outcome,
            definition: None,
            load: None,
            read_from: None,
            read_to: None,
            withheld: 0,
            instance: "one".to_owned(),
            at: Timestamp::now(),
            key: key.public().clone(),
        };
        self.put(
            self.exchange
                .reply(&request.recipient, &request.id, signed(&reply, key)),
        )
        .await;
    }

    /// Ignores a lost acknowledgement: the object is stored once.
    pub(super) async fn put(&self, filed: impl Future<Output = exchange::Result<Filed>>) {
        let _ = filed.await;
    }
}

pub(super) fn signed<P: Payload>(payload: &P, key: &SigningKey) -> Bytes {
    Bytes::from(
        Envelope::sign(payload, Vec::new(), key)
            .unwrap()
            .encode()
            .unwrap(),
    )
}

pub(super) fn part(
    request: &Request,
    digest: Digest,
    number: u32,
    rows: i64,
    key: &SigningKey,
) -> part::SignedPart {
    let mut plain = Vec::new();
    for row in 0..rows {
        pack(&[Value::Int(i64::from(number) * 1_000 + row)], &mut plain).unwrap();
    }
    let part = Part {
        id: request.id.clone(),
        recipient: request.recipient.clone(),
        request: digest,
        attempt: 1,
        number,
        content: Content {
            schema: RowSchema {
                name: request.kind.clone(),
                version: 1,
                columns: vec![Column {
                    name: "id".to_owned(),
                    kind: ColumnType::Int8,
                    nullable: false,
                }],
                key: Vec::new(),
                tombstone: None,
            },
            definition: Digest::of(&[b"kind"]),
            totals: Totals {
                rows: u64::try_from(rows).unwrap(),
                ..Totals::default()
            },
            load: Load::default(),
            rejects: Vec::new(),
            body: BodyFormat::default(),
            read_from: Timestamp::UNIX_EPOCH,
            read_to: Timestamp::UNIX_EPOCH,
            algorithms: Algorithms::default(),
            instance: "one".to_owned(),
            key: key.public().clone(),
        },
    };
    part::SignedPart::sign(part, &plain, key, None).unwrap()
}
