//! What this insurer's store knows of its requests.

use runtime::config::Loaded;
use runtime::exit::Exit;
use store::requests::{Listed, Wanted};

use super::ListArgs;
use crate::compose;
use crate::failure::Outcome;
use crate::output;
use crate::settings::{CommercialFile, load};

pub(super) async fn run(args: ListArgs) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&args.at.config.config)?;
    let store = compose::requests(&loaded)?;
    let wanted = Wanted {
        kind: args.kind,
        standing: args.state,
        outcome: args.outcome,
        since: args.since,
        most: Some(args.most),
        ..Wanted::default()
    };
    let listed = store.listed(&loaded.value.commercial.recipient, &wanted).await;
    store.close().await;
    let listed = listed?;
    if args.at.json {
        let told: Vec<_> = listed.iter().map(json).collect();
        output::json(&told)?;
    } else if listed.is_empty() {
        output::line(
            "the store knows of no such request; one that was filed elsewhere is known when its answer is stored",
        );
    } else {
        for one in &listed {
            output::line(&line(one));
        }
    }
    Ok(Exit::Done)
}

pub(in crate::commands) fn line(one: &Listed) -> String {
    let what = one.reply.as_ref().map_or_else(
        || one.reason.clone().unwrap_or_default(),
        |reply| {
            let why = one
                .reason
                .as_ref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            format!("{} {} rows{why}", reply.outcome, reply.rows)
        },
    );
    format!(
        "{}  {:.0}  {:<9}  {}  {what}",
        one.id,
        one.filed_at,
        one.standing.word(),
        one.kind
    )
}

fn json(one: &Listed) -> serde_json::Value {
    let reply = one.reply.as_ref().map(|reply| {
        serde_json::json!({
            "outcome": reply.outcome,
            "code": reply.code,
            "rows": reply.rows,
            "quarantined": reply.quarantined,
            "withheld": reply.withheld,
            "table": reply.table,
            "delivered_at": reply.delivered_at,
            "stored_at": reply.stored_at,
            "confirmed_at": reply.confirmed_at,
        })
    });
    serde_json::json!({
        "id": one.id,
        "kind": one.kind,
        "key": one.idempotency,
        "filed_by": one.filed_by,
        "filed_at": one.filed_at,
        "deadline": one.deadline,
        "standing": one.standing.word(),
        "exchanged_at": one.exchanged_at,
        "reason": one.reason,
        "reply": reply,
    })
}
