//! Renders facts and states for people.

use serde_json::Value;

use super::ago::{seconds, span};
use super::facts::{Facts, LaneFacts, Side};
use super::judge::{JudgedLane, State};
use super::{blocklist_line, requests_line};
use crate::output::{Line, Style, Table, View};

/// Explains the columns.
const LEGEND: &str = "PUBLISHED and ACKED show the last chunk and the last receipt as epoch.number, with the age; WAITING \
                      counts chunks without a receipt; QUARANTINED counts chunks with something in quarantine.";

/// Renders the screen.
pub(super) fn view(facts: &Facts, judged: &[JudgedLane]) -> View {
    let mut view = View::new();
    view.line(format!("slacktide status  {}  {:.0}", facts.user, facts.at));
    view.labelled("exchange  ", exchange(facts));
    agent(&mut view, facts);
    if let Some(lease) = &facts.lease {
        let age = span(lease.age_s);
        let what = if lease.released {
            format!("free: released by {}, {age} ago", lease.holder)
        } else if lease.is_held() {
            format!("held by {}, renewed {age} ago", lease.holder)
        } else {
            format!("expired: last renewed by {}, {age} ago", lease.holder)
        };
        view.labelled("lease     ", what);
    }
    if let Some(why) = &facts.orders_error {
        view.labelled("orders    ", format!("cannot be verified: {why}"));
    }
    for order in &facts.orders {
        let until = order
            .expires
            .map_or("until revoked".to_owned(), |end| format!("until {end:.0}"));
        let what = format!(
            "{} {} by {}: {} ({until})",
            order.action.kind(),
            // A hold's scope is its own id.
            order.scope.strip_prefix("hold.").unwrap_or(&order.scope),
            order.actor,
            order.reason
        );
        view.labelled("order     ", what);
    }
    let page = facts.agent.page.as_ref();
    if let Some(what) = page.and_then(|page| requests_line::line(page, facts.at)) {
        view.labelled("requests  ", what);
    }
    if let Some(what) = page.and_then(blocklist_line::line) {
        view.labelled("blocklist ", what);
    }
    view.blank();
    if judged.is_empty() {
        view.line("no lanes are known; an insurer may name one with --feed");
        return view;
    }
    view.table(table(facts, judged)).blank().line(LEGEND);
    view
}

fn table(facts: &Facts, judged: &[JudgedLane]) -> Table {
    let mut table = Table::new()
        .text("LANE")
        .fixed("STATE")
        .text("PUBLISHED")
        .text("ACKED")
        .number("WAITING")
        .number("QUARANTINED");
    for (lane, judged) in facts.lanes.iter().zip(judged) {
        table
            .row(cells(facts, lane, judged))
            .style(1, style(judged.state));
        if !judged.why.is_empty() {
            table.detail("    why:  ", judged.why.clone());
        }
        if !judged.remedy.is_empty() {
            table.detail("    do:   ", judged.remedy.clone());
        }
        for (id, back) in lane.chunk.iter().flat_map(|chunk| &chunk.outstanding) {
            let what = format!(
                "{} withholds {} rows since chunk {}.{}",
                withheld_by(id),
                back.rows,
                back.epoch,
                back.number
            );
            table.detail("    held: ", what);
        }
        if let Some(what) = quarantined(facts, &judged.lane) {
            table.detail("    quarantine: ", what);
        }
    }
    table
}

/// Describes what withheld rows, by its name in manifests.
pub(crate) fn withheld_by(id: &str) -> String {
    if id == disclosure::blocklist::BLOCKLIST_ID {
        "the block list".to_owned()
    } else {
        format!("hold {id}")
    }
}

fn exchange(facts: &Facts) -> String {
    if let Some(why) = &facts.exchange.error {
        return format!("not reachable: {why}");
    }
    let trip = facts
        .exchange
        .round_trip_ms
        .map_or(String::new(), |ms| format!(", {ms} ms"));
    let full = facts.exchange.data_full_percent.map_or(String::new(), |percent| {
        format!(", stream of chunks {percent} % full")
    });
    format!("reachable{trip}{full}")
}

fn agent(view: &mut View, facts: &Facts) {
    let Some(address) = &facts.agent.address else {
        let what = match facts.side {
            Side::Other => "none: this party has no agent",
            _ => "cannot be asked: the file has no [health]",
        };
        view.labelled("agent     ", what);
        return;
    };
    let Some(page) = &facts.agent.page else {
        let what = format!("not running, or not reachable at {address}");
        view.labelled("agent     ", what);
        return;
    };
    let text = |path: &str| page.pointer(path).and_then(Value::as_str).unwrap_or("");
    let mut what = format!("running at {address}");
    if let Some(holds) = page.pointer("/lease/held").and_then(Value::as_bool) {
        what += if holds { ", holds the lease" } else { ", a standby" };
    }
    if !text("/state").is_empty() {
        what += &format!(", {}", text("/state"));
    }
    view.labelled("agent     ", what);
    if !text("/published/error").is_empty() {
        view.labelled(
            "published ",
            format!("status not published: {}", text("/published/error")),
        );
    }
    for error in ["/last_error", "/unsettled"].map(text) {
        if !error.is_empty() {
            view.labelled("error     ", error);
        }
    }
    if !text("/gate/state").is_empty() {
        let gate = format!("{}: {}", text("/gate/state"), text("/gate/reason"));
        view.labelled("gate      ", gate);
    }
}

/// The quarantine entries that the insurer's own agent counts.
fn quarantined(facts: &Facts, lane: &str) -> Option<String> {
    let held = facts
        .agent
        .page
        .as_ref()?
        .get("quarantine")?
        .get(lane)?
        .as_object()?;
    let count = |(kind, of): (&String, &Value)| match of.get("count").and_then(Value::as_u64)? {
        0 => None,
        1 => Some(format!("1 {kind}")),
        many => Some(format!("{many} {kind}s")),
    };
    let counts: Vec<String> = held.iter().filter_map(count).collect();
    (!counts.is_empty()).then(|| {
        format!(
            "{} in quarantine; run `slacktide quarantine list`",
            counts.join(", ")
        )
    })
}

fn cells(facts: &Facts, lane: &LaneFacts, judged: &JudgedLane) -> [String; 6] {
    let at = |epoch, number, stored_at| {
        let age = span(seconds(stored_at, facts.at));
        format!("{epoch}.{number} ({age})")
    };
    let chunk = lane.chunk.as_ref();
    let receipt = lane.receipt.as_ref();
    let none = || "-".to_owned();
    [
        judged.lane.clone(),
        judged.state.label().to_owned(),
        chunk.map_or_else(none, |chunk| at(chunk.epoch, chunk.number, chunk.stored_at)),
        receipt.map_or_else(none, |receipt| at(receipt.epoch, receipt.to, receipt.stored_at)),
        judged.lag_chunks.map_or_else(none, |chunks| chunks.to_string()),
        receipt.map_or_else(none, |receipt| receipt.quarantined.len().to_string()),
    ]
}

/// Describes the lanes whose state differs from an earlier one, for the history of `--watch`.
pub(super) fn changes(before: &[JudgedLane], now: &[JudgedLane], facts: &Facts) -> View {
    let mut view = View::new();
    for lane in now {
        let known = before.iter().find(|one| one.lane == lane.lane);
        if known.is_some_and(|known| known.state == lane.state) {
            continue;
        }
        let why = if lane.why.is_empty() {
            String::new()
        } else {
            format!("  {}", lane.why)
        };
        view.line(
            Line::from(format!("{:.0}  {}  ", facts.at, lane.lane))
                .and_styled(style(lane.state), lane.state.label())
                .and(why),
        );
    }
    view
}

/// Green: moves; yellow: waits; red: needs an operator.
fn style(state: State) -> Style {
    match state {
        State::Flowing | State::CaughtUp => Style::Good,
        State::WaitingForSlack | State::Held => Style::Waiting,
        State::Unverified
        | State::Stopped
        | State::OtherSideBehind
        | State::Behind
        | State::NotRunning
        | State::Unknown => Style::Alarm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::facts::{AgentFacts, ChunkFacts, ExchangeFacts, ReceiptFacts};

    /// Facts with the widest name, the largest counts of a year, and texts without a blank.
    fn worst() -> (Facts, Vec<JudgedLane>) {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let long = "x".repeat(200);
        let manifest: serde_json::Value =
            serde_json::from_str(include_str!("../../../../../schemas/fixtures/v1/chunk.json")).unwrap();
        let mut chunk = ChunkFacts::of(serde_json::from_value(manifest["payload"].clone()).unwrap(), now);
        (chunk.epoch, chunk.number) = (12, 1_234_567_890);
        let lane = LaneFacts {
            recipient: "r".repeat(64).parse().unwrap(),
            feed: "f".repeat(64).parse().unwrap(),
            definition: None,
            changed: None,
            chunk: Some(chunk),
            receipt: Some(ReceiptFacts {
                epoch: 12,
                to: 1_234_567_890,
                stored_at: now,
                rows: u64::MAX,
                quarantined: vec![1; 100],
                stopped: None,
                is_behind: false,
            }),
            bureau_notice: None,
            error: None,
        };
        let judged = JudgedLane {
            lane: lane.lane().to_string(),
            state: State::WaitingForSlack,
            why: long.clone(),
            remedy: "word ".repeat(60).trim_end().to_owned(),
            lag_chunks: Some(1_234_567_890),
            lag_seconds: Some(1),
        };
        let facts = Facts {
            side: Side::Bureau,
            user: "bureau".to_owned(),
            at: now,
            exchange: ExchangeFacts {
                error: Some(long.clone()),
                ..ExchangeFacts::default()
            },
            agent: AgentFacts {
                address: Some(long),
                page: None,
            },
            lease: None,
            orders: Vec::new(),
            orders_error: None,
            lanes: vec![lane],
        };
        (facts, vec![judged])
    }

    #[test]
    fn status_screen_worst_values_fit_into_80_columns() {
        let (facts, judged) = worst();
        for width in [40, 80, 100] {
            let lines = view(&facts, &judged).render(Some(width));
            let shown: Vec<String> = lines.iter().map(Line::plain).collect();
            assert!(
                shown.iter().all(|line| line.chars().count() <= width),
                "{shown:#?}"
            );
            let text: String = shown.concat().split_whitespace().collect();
            assert!(
                text.contains("waitingforslack") && text.matches('x').count() >= 600,
                "{text}"
            );
        }
    }

    #[test]
    fn status_screen_in_a_pipe_has_one_line_for_each_value() {
        let (facts, judged) = worst();
        let shown = view(&facts, &judged).plain();
        assert!(
            shown.iter().any(|line| line.ends_with(&"x".repeat(200))),
            "{shown:#?}"
        );
        let row = shown
            .iter()
            .find(|line| line.contains("waiting for slack"))
            .unwrap();
        assert!(
            row.starts_with(&judged[0].lane) && row.contains("12.1234567890 (0 s)"),
            "{row}"
        );
        assert!(
            shown
                .iter()
                .all(|line| line.trim_end() == line && !line.contains('\x1b'))
        );
    }

    #[test]
    fn status_watch_reports_only_lanes_whose_state_changed() {
        let (facts, judged) = worst();
        assert_eq!(changes(&[], &judged, &facts).plain().len(), 1);
        assert!(changes(&judged, &judged, &facts).plain().is_empty());
        let mut flowing = judged.clone();
        flowing[0].state = State::Flowing;
        let shown = changes(&judged, &flowing, &facts).plain();
        assert!(
            shown[0].starts_with("1970-01-01T00:00:00Z") && shown[0].contains("flowing"),
            "{shown:?}"
        );
    }
}
