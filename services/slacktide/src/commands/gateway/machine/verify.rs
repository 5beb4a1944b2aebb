//! Verifies the streams that a party may read, with the functions of `slacktide audit verify`.

use ::audit::AuditError;
use ::audit::selection::Selection;
use ::audit::verify::{Findings, Trust, verify as verify_streams};
use ::console::PartyRole;
use ::console::site::machine::{Verification, VerifyRequest};
use ::exchange::port::{ReadFrom, Sequence, Stream};
use ::exchange::{AuditExchange, Error, ErrorKind, Published, Result, Stored, StreamState};
use async_trait::async_trait;
use bytes::Bytes;
use schemas::chunk;
use schemas::encryption::DecryptionKeys;
use schemas::name::{PartyName, RecipientName};
use schemas::origin::Origin;
use verification::heads::KeptHeads;

/// Verifies what the party may read. Returns the heads to compare the next time.
pub(super) async fn verify(
    request: &VerifyRequest,
    before: Option<&KeptHeads>,
) -> std::result::Result<(Verification, KeptHeads), AuditError> {
    let exchange = Readable(request);
    let failed = |source| AuditError::Exchange {
        stream: Stream::Data,
        source,
    };
    let mut recipients: Vec<PartyName> = match request.role {
        PartyRole::Recipient => vec![request.party.clone()],
        PartyRole::Bureau | PartyRole::Auditor => exchange.parties(Stream::Data).await.map_err(failed)?,
    };
    recipients.sort();
    let trust = Trust {
        chunks: request.chunks.clone(),
        receipts: request.receipts.clone(),
        entries: request.entries.clone(),
        here: origin(&exchange, &recipients).await.map_err(failed)?,
        decryption_keys: DecryptionKeys::default(),
        ..Trust::default()
    };
    let (mut total, mut heads) = (Verification::default(), KeptHeads::default());
    let all = Selection::all(Stream::Data);
    if request.role == PartyRole::Auditor {
        let findings = verify_streams(&exchange, &trust, &all, before).await?;
        total.receipts_verified = Some(findings.receipts_verified);
        total.entries_verified = Some(findings.entries_verified);
        add(&mut total, &mut heads, findings);
    } else {
        for recipient in recipients {
            let scope = Selection {
                recipient: RecipientName::new(recipient.as_str()).ok(),
                ..all.clone()
            };
            let before = before.map(|heads| heads_of(heads, &recipient));
            let findings = verify_streams(&exchange, &trust, &scope, before.as_ref()).await?;
            add(&mut total, &mut heads, findings);
        }
    }
    total.heads_compared =
        before.map(|heads| (heads.chunks.len() + heads.receipts.len() + heads.entries.len()) as u64);
    Ok((total, heads))
}

fn add(total: &mut Verification, heads: &mut KeptHeads, found: Findings) {
    total.chunks += found.chunks;
    total.chunks_verified += found.chunks_verified;
    total.chunks_not_decrypted += found.chunks_not_decrypted;
    let lane = |(lane, report): (&String, &verification::chain::Report)| {
        (lane.clone(), format!("{}.{}", report.epoch, report.number))
    };
    total.lanes.extend(found.lanes.iter().map(lane));
    total.faults.extend(found.faults.iter().map(ToString::to_string));
    total.not_covered.extend(found.not_covered);
    heads.chunks.extend(found.heads.chunks);
    heads.receipts.extend(found.heads.receipts);
    heads.entries.extend(found.heads.entries);
}

/// PURE: the heads of one recipient's lanes.
fn heads_of(heads: &KeptHeads, recipient: &PartyName) -> KeptHeads {
    let start = format!("{recipient}.");
    let chunks = heads.chunks.iter().filter(|(lane, _)| lane.starts_with(&start));
    KeptHeads {
        chunks: chunks.map(|(lane, link)| (lane.clone(), *link)).collect(),
        ..KeptHeads::default()
    }
}

/// The origin of the first chunk: the gateway's file has none, so all messages are compared with the first.
async fn origin(exchange: &Readable<'_>, recipients: &[PartyName]) -> Result<Origin> {
    for recipient in recipients {
        let filter = format!("data.{recipient}.*");
        let first = exchange
            .read(Stream::Data, ReadFrom::Sequence(1), &filter, 1)
            .await?;
        let manifest = first
            .first()
            .and_then(|message| chunk::read_untrusted(&message.bytes));
        if let Some(origin) = manifest.and_then(|(manifest, _)| manifest.origin) {
            return Ok(origin);
        }
    }
    Ok(Origin::default())
}

/// The exchange, without the streams that the party may not read, and without requests, answers and orders, which the command
/// verifies. Counts what is read.
struct Readable<'a>(&'a VerifyRequest);

impl Readable<'_> {
    fn may_read(&self, stream: Stream) -> bool {
        match stream {
            Stream::Data => true,
            Stream::Receipts | Stream::Audit => self.0.role == PartyRole::Auditor,
            _ => false,
        }
    }
}

#[async_trait]
impl AuditExchange for Readable<'_> {
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>> {
        self.0.exchange.last_audit(party, writer).await
    }

    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        self.0
            .exchange
            .publish_audit(party, writer, bytes, expected)
            .await
    }

    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>> {
        if self.may_read(stream) {
            self.0.exchange.parties(stream).await
        } else {
            Ok(Vec::new())
        }
    }

    async fn read(&self, stream: Stream, from: ReadFrom, filter: &str, max: usize) -> Result<Vec<Stored>> {
        if !self.may_read(stream) {
            return Ok(Vec::new());
        }
        let page = self.0.exchange.read(stream, from, filter, max).await?;
        self.0.note_read(page.len() as u64);
        Ok(page)
    }

    async fn stream_state(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        let state = self.0.exchange.stream_state(stream, party).await;
        // A recipient may not ask for the end of its chunks: the report states that the end was not checked.
        state.map_err(|error| match error.kind {
            ErrorKind::Denied => Error::new(ErrorKind::Protocol, error.to_string()),
            _ => error,
        })
    }
}
