//! Lists the requests in this insurer's store.

use runtime::config::Loaded;
use runtime::exit::Exit;
use store::requests::{RequestFilter, RequestSummary};

use super::ListArgs;
use crate::compose;
use crate::failure::Outcome;
use crate::output::{self, Columns};
use crate::settings::{CommercialFile, load};

pub(super) async fn run(args: ListArgs) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&args.at.config.config)?;
    let store = compose::requests(&loaded)?;
    let filter = RequestFilter {
        kind: args.kind,
        state: args.state,
        outcome: args.outcome,
        since: args.since,
        limit: Some(args.most),
        ..RequestFilter::default()
    };
    let listed = store.list(&loaded.value.commercial.recipient, &filter).await;
    store.close().await;
    let listed = listed?;
    if args.at.json {
        let entries: Vec<_> = listed.iter().map(json).collect();
        output::json(&entries)?;
    } else if listed.is_empty() {
        output::line(
            "the store has no such request; a request filed elsewhere is listed when its answer is stored",
        );
    } else {
        output::lines(table(&listed, output::width()));
    }
    Ok(Exit::Done)
}

/// Renders the requests as a table. With a width, ids are shortened to unique prefixes and long cells are truncated;
/// without one, cells are complete.
pub(in crate::commands) fn table(listed: &[RequestSummary], width: Option<usize>) -> Vec<String> {
    let ids: Vec<String> = listed.iter().map(|one| one.id.to_string()).collect();
    let id_length = width.map_or(usize::MAX, |_| unique_prefix_length(&ids));
    let mut columns = Columns::new(&["ID", "KEY", "KIND", "FILED", "STATE", "OUTCOME"]);
    for (one, id) in listed.iter().zip(&ids) {
        columns.row([
            id.chars().take(id_length).collect(),
            one.idempotency.clone().unwrap_or_else(|| "-".to_owned()),
            one.kind.clone(),
            match width {
                Some(_) => one.filed_at.strftime("%m-%d %H:%MZ").to_string(),
                None => format!("{:.0}", one.filed_at),
            },
            one.state.word().to_owned(),
            outcome(one),
        ]);
    }
    columns.render(width, &["KEY", "KIND", "OUTCOME"])
}

/// Returns the length of the shortest prefix that distinguishes all ids, at least 17.
fn unique_prefix_length(ids: &[String]) -> usize {
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let common = |pair: &[&str]| match pair {
        [one, other] if one != other => one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    sorted.windows(2).map(common).max().unwrap_or(0).max(16) + 1
}

fn outcome(one: &RequestSummary) -> String {
    let why = one.reason.clone();
    match &one.reply {
        None => why.unwrap_or_default(),
        Some(reply) => {
            let rows = match reply.outcome.as_str() {
                "answered" | "partial" => format!(", {} rows", reply.rows),
                _ => String::new(),
            };
            let code = reply
                .code
                .as_ref()
                .map(|code| format!(" ({code})"))
                .unwrap_or_default();
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("{}{code}{rows}{why}", reply.outcome)
        }
    }
}

fn json(one: &RequestSummary) -> serde_json::Value {
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
        "state": one.state.word(),
        "exchanged_at": one.exchanged_at,
        "reason": one.reason,
        "reply": reply,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use schemas::digest::Digest;
    use store::requests::{ReplySummary, RequestState};

    use super::*;

    fn listed(id: &str, key: &str, reply: Option<(&str, u64, &str)>) -> RequestSummary {
        RequestSummary {
            id: id.parse().unwrap(),
            kind: "setl.by_person_and_period".to_owned(),
            idempotency: Some(key.to_owned()),
            filed_by: "clerk".to_owned(),
            filed_at: Timestamp::UNIX_EPOCH,
            deadline: None,
            state: RequestState::Filed,
            exchanged_at: None,
            reason: reply
                .map(|(.., why)| why.to_owned())
                .filter(|why| !why.is_empty()),
            reply: reply.map(|(outcome, rows, _)| ReplySummary {
                outcome: outcome.to_owned(),
                code: (outcome == "refused").then(|| "quota".to_owned()),
                digest: Digest::of(&[b"reply"]),
                rows,
                quarantined: 0,
                withheld: 0,
                table: None,
                delivered_at: Timestamp::UNIX_EPOCH,
                stored_at: Timestamp::UNIX_EPOCH,
                confirmed_at: None,
            }),
        }
    }

    #[test]
    fn request_list_fits_80_columns_or_is_complete_in_a_pipe() {
        let all = [
            listed("20260131-0123456789abcdef0123456789abcdef", "claim-4711", None),
            listed(
                "20260131-0123456789abcdef9999999999999999",
                "索赔-4711-2026-01-31-a-long-key",
                Some(("answered", 12, "")),
            ),
            listed(
                "20260131-fedcba9876543210fedcba9876543210",
                "claim-4712",
                Some(("refused", 0, "10 requests an hour are used up")),
            ),
        ];
        let shown = table(&all, Some(80));
        assert!(
            shown[0].starts_with("ID  ") && shown[0].contains("KEY") && shown[0].contains("OUTCOME"),
            "{shown:?}"
        );
        for line in &shown {
            assert!(
                output::display_width(line) <= 80 && !line.ends_with(' '),
                "{line:?}"
            );
        }
        // Two ids share sixteen characters of their tokens; one more distinguishes them.
        assert!(shown[1].starts_with("20260131-0123456789abcdef0 "), "{shown:?}");
        assert!(shown[2].starts_with("20260131-0123456789abcdef9 "), "{shown:?}");
        let piped = table(&all, None);
        assert!(
            piped[1].starts_with("20260131-0123456789abcdef0123456789abcdef  claim-4711 "),
            "{piped:?}"
        );
        assert!(
            piped[3].ends_with("refused (quota): 10 requests an hour are used up"),
            "{piped:?}"
        );
        assert!(piped[2].contains("索赔-4711-2026-01-31-a-long-key"), "{piped:?}");
    }
}
