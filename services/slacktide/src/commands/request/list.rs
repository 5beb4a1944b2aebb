//! Lists the requests in this insurer's store.

use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;
use store::requests::{ReplySummary, RequestFilter, RequestSummary};

use crate::cli::request::ListArgs;
use crate::compose;
use crate::failure::Outcome;
use crate::output::{self, Report, Table, Time, View};
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
    output::report(&RequestList::new(&listed?), args.at.json)?;
    Ok(Exit::Done)
}

/// The requests in the store of an insurer, the latest first, without arguments.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "request list")]
pub(in crate::commands) struct RequestList {
    items: Vec<RequestItem>,
    #[serde(skip)]
    view: View,
}

/// A request in the store.
#[derive(Debug, Serialize, JsonSchema)]
struct RequestItem {
    id: String,
    kind: String,
    /// The filer's own key.
    key: Option<String>,
    /// The requesting person.
    filed_by: String,
    /// When it was filed, by the filer's clock.
    filed_at: Time,
    /// Until when an answer is useful.
    deadline: Option<Time>,
    /// `kept`, `filed`, `not_filed`, `stored` or `confirmed`.
    state: String,
    /// When the exchange stored it.
    exchanged_at: Option<Time>,
    /// Why the exchange refuses it, or the reason of its outcome.
    reason: Option<String>,
    reply: Option<ReplyItem>,
}

/// The reply to a request, without its rows.
#[derive(Debug, Serialize, JsonSchema)]
struct ReplyItem {
    /// `answered`, `empty`, `partial`, `refused`, `expired`, `cancelled` or `failed`.
    outcome: String,
    /// The code of a refusal.
    code: Option<String>,
    /// Rows in the table of its kind.
    rows: u64,
    /// Rows in quarantine.
    quarantined: u64,
    /// Rows that the bureau withheld.
    withheld: u64,
    /// The table of the rows, in SQL.
    table: Option<String>,
    /// When the reply was fetched, by the host's clock.
    delivered_at: Time,
    /// When it was stored, by the database's clock.
    stored_at: Time,
    /// When the exchange stored the confirmation.
    confirmed_at: Option<Time>,
}

impl RequestList {
    /// Creates it from the store's summaries.
    pub(in crate::commands) fn new(listed: &[RequestSummary]) -> Self {
        Self {
            items: listed.iter().map(RequestItem::from).collect(),
            view: view(listed),
        }
    }
}

impl Report for RequestList {
    fn view(&self) -> View {
        self.view.clone()
    }
}

impl From<&RequestSummary> for RequestItem {
    fn from(one: &RequestSummary) -> Self {
        Self {
            id: one.id.to_string(),
            kind: one.kind.clone(),
            key: one.idempotency.clone(),
            filed_by: one.filed_by.clone(),
            filed_at: one.filed_at.into(),
            deadline: one.deadline.map(Time),
            state: one.state.word().to_owned(),
            exchanged_at: one.exchanged_at.map(Time),
            reason: one.reason.clone(),
            reply: one.reply.as_ref().map(ReplyItem::from),
        }
    }
}

impl From<&ReplySummary> for ReplyItem {
    fn from(reply: &ReplySummary) -> Self {
        Self {
            outcome: reply.outcome.clone(),
            code: reply.code.clone(),
            rows: reply.rows,
            quarantined: reply.quarantined,
            withheld: reply.withheld,
            table: reply.table.clone(),
            delivered_at: reply.delivered_at.into(),
            stored_at: reply.stored_at.into(),
            confirmed_at: reply.confirmed_at.map(Time),
        }
    }
}

/// Renders the requests as a table. Where the width does not suffice, ids are shortened to unique prefixes, which every
/// command accepts.
fn view(listed: &[RequestSummary]) -> View {
    let mut view = View::new();
    if listed.is_empty() {
        view.line(
            "the store has no such request; a request filed elsewhere is listed when its answer is stored",
        );
        return view;
    }
    let ids: Vec<String> = listed.iter().map(|one| one.id.to_string()).collect();
    let length = unique_prefix_length(&ids);
    let mut narrow = Table::new()
        .fixed("ID")
        .text("KEY")
        .text("KIND")
        .text("FILED")
        .fixed("STATE")
        .text("OUTCOME");
    let mut wide = narrow.clone();
    for (one, id) in listed.iter().zip(&ids) {
        let cells = |id: String, filed: String| {
            [
                id,
                one.idempotency.clone().unwrap_or_else(|| "-".to_owned()),
                one.kind.clone(),
                filed,
                one.state.word().to_owned(),
                outcome(one),
            ]
        };
        wide.row(cells(id.clone(), format!("{:.0}", one.filed_at)));
        narrow.row(cells(
            id.chars().take(length).collect(),
            one.filed_at.strftime("%m-%d %H:%MZ").to_string(),
        ));
    }
    view.table(wide.or_narrow(
        narrow,
        "ids and times are shortened; --json shows them completely",
    ));
    view
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use schemas::digest::Digest;
    use store::requests::{ReplySummary, RequestState};

    use super::*;
    use crate::output::{Line, display_width};

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
        let view = view(&all);
        let shown: Vec<String> = view.render(Some(80)).iter().map(Line::plain).collect();
        assert!(
            shown[0].starts_with("ID  ") && shown[0].contains("KEY") && shown[0].contains("OUTCOME"),
            "{shown:?}"
        );
        for line in &shown {
            assert!(display_width(line) <= 80 && !line.ends_with(' '), "{line:?}");
        }
        // Two ids share sixteen characters of their tokens; one more distinguishes them.
        for start in ["20260131-0123456789abcdef0 ", "20260131-0123456789abcdef9 "] {
            let rows = shown.iter().filter(|line| line.starts_with(start));
            assert_eq!(rows.count(), 1, "{start}: {shown:?}");
        }
        let piped = view.plain();
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
