//! Begins a repair of a lane's rows before they are read, and hands them to the lane afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use gate::Permit;
use jiff::Timestamp;
use reconciliation::{PassRequest, Repaired};
use schemas::column::RowSchema;
use schemas::name::{Lane, PartyName};
use schemas::source::SourceIdentity;
use source::identity::detect_change;

use super::super::ResponderParts;
use super::super::answer::{Answer, OpenRepair};
use super::super::rule_set::RuleSet;
use super::query::QueryError;
use crate::audit_log::{AuditEvent, AuditSigner, append};
use crate::lane::RepairTicket;
use crate::repair::{RepairDraft, WRITER};
use crate::tail::TailContext;

/// The action of the audit entry of a repair.
const ACTION: &str = "feed.repair";

/// Begins to watch the lane's chunks for keys of the request.
pub(super) fn begin(
    parts: &ResponderParts,
    lane: &Lane,
    request: &PassRequest,
) -> Result<RepairTicket, QueryError> {
    let repairs = parts.repairs.get(lane);
    let repairs = repairs.ok_or_else(|| QueryError::Kind(format!("lane {lane} is not published")))?;
    let begun = repairs.begin(request.salt.clone(), request.repair.clone());
    begun.map_err(|error| QueryError::Kind(error.to_string()))
}

/// Checks that the lane's last chunk has the columns that are read, and returns the repair.
pub(super) fn open(
    (lane, ticket): (Lane, RepairTicket),
    context: TailContext,
    sent: &RowSchema,
) -> Result<OpenRepair, QueryError> {
    let columns = |schema: &RowSchema| -> Vec<_> {
        let columns = schema.columns.iter();
        columns
            .map(|column| (column.name.clone(), column.kind.clone()))
            .collect()
    };
    let (Some(schema), Some(definition)) = (context.schema, context.definition) else {
        return Err(QueryError::Kind("the lane has no chunk yet".to_owned()));
    };
    if columns(&schema) != columns(sent) {
        return Err(QueryError::Kind(
            "the source's columns are not those of the lane's last chunk: the feed sends them with its next row".to_owned(),
        ));
    }
    Ok(OpenRepair {
        lane,
        ticket,
        schema,
        definition,
        lane_source: context.source,
        source: None,
    })
}

/// Reads the database's identity after the last row, and compares it with the lane's.
pub(super) async fn identify(answer: &mut Answer, permit: &Permit) -> Result<(), QueryError> {
    let (Some(open), Some(repair)) = (&mut answer.query, &mut answer.repair) else {
        return Ok(());
    };
    let now = open.reader.identify(permit).await?;
    if let Some(before) = &repair.lane_source
        && let Some(change) = detect_change(before, &now)
    {
        return Err(QueryError::Kind(format!("the source changed: {change}")));
    }
    let tables = repair.lane_source.as_ref().map(|before| before.tables.clone());
    repair.source = (!now.is_empty()).then(|| SourceIdentity {
        tables: tables.unwrap_or_default(),
        ..now
    });
    Ok(())
}

/// Has the lane publish what was read, and puts the result into the answer. No permit is held meanwhile.
pub(super) async fn publish(
    parts: &ResponderParts,
    rules: &RuleSet,
    answer: &mut Answer,
) -> Result<(), QueryError> {
    let Some(repair) = answer.repair.take() else {
        return Ok(());
    };
    let (Some(digests), Some((from, to))) = (&mut answer.digests, answer.read) else {
        return Err(QueryError::Kind("its rows were dropped".to_owned()));
    };
    if !rules.is_based_on(&parts.answering.blocked.borrow(), &parts.holds.borrow()) {
        return Err(QueryError::Kind(
            "holds or the block list changed, the rows are read again".to_owned(),
        ));
    }
    let key = &answer.request_ref.key;
    let collected = digests.repair();
    let (rows, gone) = collected.counts();
    let detail = BTreeMap::from([
        ("lane".to_owned(), repair.lane.to_string()),
        ("request".to_owned(), key.id.to_string()),
        ("rows".to_owned(), rows.to_string()),
        ("gone".to_owned(), gone.to_string()),
    ]);
    record(parts, detail).await?;
    let draft = RepairDraft {
        request: key.id.clone(),
        salt: digests.request().salt.clone(),
        collected,
        schema: Arc::new(repair.schema),
        money: digests.money().to_vec(),
        definition: repair.definition,
        load: answer.load.clone(),
        read: (from, to),
        source: repair.source,
    };
    let published = repair.ticket.publish(draft).await;
    let repaired: Repaired = published.map_err(|error| QueryError::Kind(error.to_string()))?;
    tracing::info!(
        recipient = %key.recipient, id = %key.id, sent = repaired.sent, gone = repaired.gone, left = repaired.left,
        "rows repaired"
    );
    digests.set_repaired(repaired);
    if let Some(batch) = &mut answer.batch {
        digests.write_to(&mut batch.batcher);
        batch.batcher.end_quantum(Timestamp::now(), answer.load.clone());
    }
    Ok(())
}

/// Records the repair in the audit chain, before it takes effect.
async fn record(parts: &ResponderParts, detail: BTreeMap<String, String>) -> Result<(), QueryError> {
    let (Some(party), Ok(writer)) = (&parts.party, PartyName::new(WRITER)) else {
        return Ok(());
    };
    let event = AuditEvent {
        actor: "agent".to_owned(),
        action: ACTION.to_owned(),
        reason: "a recipient asked for rows that differ from its store".to_owned(),
        detail,
    };
    let signer = AuditSigner {
        key: &parts.key,
        trusted: &parts.trusted,
        instance: &parts.instance,
        party,
        writer: &writer,
    };
    let appended = append(&*parts.exchange, &signer, &event).await;
    let mark = appended.map_err(|error| QueryError::Kind(error.to_string()))?;
    parts.record_tracker.set_audit_head(party, &writer, mark);
    Ok(())
}
