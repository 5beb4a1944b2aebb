//! Renders facts and states as lines and as JSON.

use serde_json::{Value, json};

use super::ago::{seconds, span};
use super::facts::{Facts, LaneFacts, Side};
use super::judge::{JudgedLane, State};
use super::{blocklist_line, requests_line};
use crate::output::{Line, Style, escape};

/// Renders JSON; docs/operate.md describes the format.
pub(in crate::commands) fn json(facts: &Facts, judged: &[JudgedLane]) -> Value {
    let lanes: Vec<Value> = facts
        .lanes
        .iter()
        .zip(judged)
        .map(|(lane, judged)| {
            let mut value = serde_json::to_value(judged).unwrap_or_default();
            let parts = serde_json::to_value(lane).unwrap_or_default();
            for (key, part) in parts.as_object().into_iter().flatten() {
                value[key] = part.clone();
            }
            let outstanding = lane.chunk.iter().flat_map(|chunk| &chunk.outstanding);
            let outstanding: serde_json::Map<String, Value> = outstanding
                .map(|(id, back)| {
                    (
                        id.clone(),
                        json!({ "epoch": back.epoch, "number": back.number, "rows": back.rows }),
                    )
                })
                .collect();
            value["outstanding"] = Value::Object(outstanding);
            value
        })
        .collect();
    json!({
        "at": facts.at, "side": facts.side, "user": facts.user, "exchange": facts.exchange,
        "agent": facts.agent, "lease": facts.lease, "orders": facts.orders,
        "orders_error": facts.orders_error, "lanes": lanes,
    })
}

/// The maximum width of a lane name; a longer one gets its own line.
const MAX_NAME_WIDTH: usize = 21;

/// Explains the columns.
const LEGEND: &str = "PUBLISHED and ACKED show the last chunk and the last receipt as epoch.number, with the age; WAITING \
                      counts chunks without a receipt; QUARANTINED counts chunks with something in quarantine.";

/// Renders lines of at most `width` columns.
pub(in crate::commands) fn lines(facts: &Facts, judged: &[JudgedLane], width: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![format!("slacktide status  {}  {:.0}", facts.user, facts.at).into()];
    wrapped(&mut lines, "exchange  ", &exchange(facts), width);
    agent(&mut lines, facts, width);
    if let Some(lease) = &facts.lease {
        let age = span(lease.age_s);
        let what = if lease.released {
            format!("free: released by {}, {age} ago", lease.holder)
        } else if lease.is_held() {
            format!("held by {}, renewed {age} ago", lease.holder)
        } else {
            format!("expired: last renewed by {}, {age} ago", lease.holder)
        };
        wrapped(&mut lines, "lease     ", &what, width);
    }
    if let Some(why) = &facts.orders_error {
        let what = format!("cannot be verified: {why}");
        wrapped(&mut lines, "orders    ", &what, width);
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
        wrapped(&mut lines, "order     ", &what, width);
    }
    let page = facts.agent.page.as_ref();
    if let Some(what) = page.and_then(|page| requests_line::line(page, facts.at)) {
        wrapped(&mut lines, "requests  ", &what, width);
    }
    if let Some(what) = page.and_then(blocklist_line::line) {
        wrapped(&mut lines, "blocklist ", &what, width);
    }
    lines.push(Line::default());
    if judged.is_empty() {
        lines.push("no lanes are known; an insurer may name one with --feed".into());
        return lines;
    }
    let names = judged.iter().map(|lane| lane.lane.chars().count());
    let widest = names.max().unwrap_or(0).clamp(10, MAX_NAME_WIDTH);
    let head = ["LANE", "STATE", "PUBLISHED", "ACKED", "WAITING", "QUARANTINED"];
    lines.push(cells(widest, head).into());
    for (lane, judged) in facts.lanes.iter().zip(judged) {
        row(&mut lines, facts, lane, judged, widest);
        if !judged.why.is_empty() {
            wrapped(&mut lines, "    why:  ", &judged.why, width);
        }
        if !judged.remedy.is_empty() {
            wrapped(&mut lines, "    do:   ", &judged.remedy, width);
        }
        for (id, back) in lane.chunk.iter().flat_map(|chunk| &chunk.outstanding) {
            let what = format!(
                "{} withholds {} rows since chunk {}.{}",
                withheld_by(id),
                back.rows,
                back.epoch,
                back.number
            );
            wrapped(&mut lines, "    held: ", &what, width);
        }
        if let Some(what) = quarantined(facts, &judged.lane) {
            wrapped(&mut lines, "    quarantine: ", &what, width);
        }
    }
    lines.push(Line::default());
    wrapped(&mut lines, "", LEGEND, width);
    lines
}

/// Describes what withheld rows, by its name in manifests.
pub(crate) fn withheld_by(id: &str) -> String {
    if id == social::blocklist::BLOCKLIST_ID {
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

fn agent(lines: &mut Vec<Line>, facts: &Facts, width: usize) {
    let Some(address) = &facts.agent.address else {
        let what = match facts.side {
            Side::Other => "none: this party has no agent",
            _ => "cannot be asked: the file has no [health]",
        };
        return wrapped(lines, "agent     ", what, width);
    };
    let Some(page) = &facts.agent.page else {
        let what = format!("not running, or not reachable at {address}");
        return wrapped(lines, "agent     ", &what, width);
    };
    let text = |path: &str| page.pointer(path).and_then(Value::as_str).unwrap_or("");
    let mut what = format!("running at {address}");
    if let Some(holds) = page.pointer("/lease/held").and_then(Value::as_bool) {
        what += if holds { ", holds the lease" } else { ", a standby" };
    }
    if !text("/state").is_empty() {
        what += &format!(", {}", text("/state"));
    }
    wrapped(lines, "agent     ", &what, width);
    for error in ["/last_error", "/unsettled"].map(text) {
        if !error.is_empty() {
            wrapped(lines, "error     ", error, width);
        }
    }
    if !text("/gate/state").is_empty() {
        let gate = format!("{}: {}", text("/gate/state"), text("/gate/reason"));
        wrapped(lines, "gate      ", &gate, width);
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

fn cells(widest: usize, [lane, state, published, acked, waiting, quarantined]: [&str; 6]) -> String {
    format!("{lane:<widest$}  {state:<17} {published:<18} {acked:<18} {waiting:>7} {quarantined:>11}")
}

fn row(lines: &mut Vec<Line>, facts: &Facts, lane: &LaneFacts, judged: &JudgedLane, widest: usize) {
    let at = |epoch, number, stored_at| {
        let age = span(seconds(stored_at, facts.at));
        format!("{epoch}.{number} ({age})")
    };
    let chunk = lane.chunk.as_ref();
    let receipt = lane.receipt.as_ref();
    let none = || "-".to_owned();
    let mut name = judged.lane.as_str();
    if name.chars().count() > widest {
        lines.push(name.into());
        name = "";
    }
    let word = judged.state.label();
    let row = cells(
        widest,
        [
            name,
            word,
            &chunk.map_or_else(none, |chunk| at(chunk.epoch, chunk.number, chunk.stored_at)),
            &receipt.map_or_else(none, |receipt| at(receipt.epoch, receipt.to, receipt.stored_at)),
            &judged.lag_chunks.map_or_else(none, |chunks| chunks.to_string()),
            &receipt.map_or_else(none, |receipt| receipt.quarantined.len().to_string()),
        ],
    );
    // The state is the second cell.
    let (head, tail) = row.split_at(row.char_indices().nth(widest + 2).map_or(row.len(), |(at, _)| at));
    let behind = tail.strip_prefix(word).unwrap_or_default();
    lines.push(Line::from(head).and_styled(style(judged.state), word).and(behind));
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

/// Wraps text behind a head at `width` columns; continuation lines are indented.
pub(crate) fn wrapped<L: From<String>>(lines: &mut Vec<L>, head: &str, text: &str, width: usize) {
    let mut line = head.to_owned();
    let indent = head.chars().count();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = escape(word).chars().collect();
        loop {
            let used = line.chars().count() + usize::from(!is_empty);
            if used + rest.len() <= width || (is_empty && rest.len() <= width.saturating_sub(indent)) {
                break;
            }
            if is_empty {
                // The word is wider than a line.
                let room = width.saturating_sub(indent).max(1);
                line.extend(rest.drain(..room.min(rest.len())));
            }
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)).into());
            is_empty = true;
            if rest.is_empty() {
                break;
            }
        }
        if !is_empty {
            line.push(' ');
        }
        line.extend(rest);
        is_empty = false;
    }
    if !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screen_rows_fit_into_100_columns() {
        let plain = cells(12, ["flowing.held", "held", "1.1 (3 s)", "-", "1", "-"]);
        assert!(
            plain.chars().count() <= 100 && plain.starts_with("flowing.held  held "),
            "{plain}"
        );
        // The widest name and the largest counts of a year.
        let wide = cells(
            MAX_NAME_WIDTH,
            [
                "a",
                "waiting for slack",
                "12.1234567 (59 min)",
                "12.1234567 (59 min)",
                "1",
                "-",
            ],
        );
        assert!(wide.chars().count() <= 100, "{}", wide.chars().count());
    }

    #[test]
    fn wrapped_keeps_the_width_and_every_word() {
        let long = "a".repeat(150);
        let text = format!("one two {long} three {}", "four ".repeat(40));
        let mut lines: Vec<String> = Vec::new();
        wrapped(&mut lines, "    why: ", &text, 100);
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:#?}");
        let joined: String = lines.join("").split_whitespace().collect();
        let wanted: String = format!("why:{text}").split_whitespace().collect();
        assert_eq!(joined, wanted);
    }
}
