//! PURE: facts and states in lines, and as data.

use serde_json::{Value, json};

use super::ago::{seconds, span};
use super::asked;
use super::facts::{Facts, LaneFacts, Side};
use super::judge::{Judged, State};
use super::listed;
use crate::output::{Line, Style, escape};

/// As data; its form is in docs/operate.md.
pub(in crate::commands) fn json(facts: &Facts, judged: &[Judged]) -> Value {
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
            let held = lane.chunk.iter().flat_map(|chunk| &chunk.held_back);
            let held: serde_json::Map<String, Value> = held
                .map(|(id, back)| {
                    (
                        id.clone(),
                        json!({ "epoch": back.epoch, "number": back.number, "rows": back.rows }),
                    )
                })
                .collect();
            value["held_back"] = Value::Object(held);
            value
        })
        .collect();
    json!({
        "at": facts.at, "side": facts.side, "user": facts.user, "exchange": facts.exchange,
        "agent": facts.agent, "lease": facts.lease, "orders": facts.orders,
        "orders_trouble": facts.orders_trouble, "lanes": lanes,
    })
}

/// How wide the names of lanes may be before they get a line of their own.
const WIDEST: usize = 22;

/// What the columns mean; a number alone tells nobody anything.
const LEGEND: &str = "PUBLISHED and SIGNED FOR name a chunk as epoch.number, with its age; WAITING counts chunks that the \
                      receiver has not signed for; ASIDE counts chunks of which something is in quarantine.";

/// For people, at most so wide.
pub(in crate::commands) fn lines(facts: &Facts, judged: &[Judged], width: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![format!("slacktide status  {}  {:.0}", facts.user, facts.at).into()];
    wrapped(&mut lines, "exchange  ", &exchange(facts), width);
    agent(&mut lines, facts, width);
    if let Some(lease) = &facts.lease {
        let age = span(lease.age_s);
        let what = if lease.released {
            format!("free: given back by {}, {age} ago", lease.holder)
        } else if lease.is_held() {
            format!("held by {}, renewed {age} ago", lease.holder)
        } else {
            format!("run out: {} renewed it last, {age} ago", lease.holder)
        };
        wrapped(&mut lines, "lease     ", &what, width);
    }
    if let Some(why) = &facts.orders_trouble {
        let what = format!("cannot be believed: {why}");
        wrapped(&mut lines, "orders    ", &what, width);
    }
    for order in &facts.orders {
        let until = order
            .expires
            .map_or("until taken back".to_owned(), |end| format!("until {end:.0}"));
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
    if let Some(what) = page.and_then(|page| asked::line(page, facts.at)) {
        wrapped(&mut lines, "requests  ", &what, width);
    }
    if let Some(what) = page.and_then(listed::line) {
        wrapped(&mut lines, "blocklist ", &what, width);
    }
    lines.push(Line::default());
    if judged.is_empty() {
        lines.push("no lanes are known; an insurer may name one with --feed".into());
        return lines;
    }
    let names = judged.iter().map(|lane| lane.lane.chars().count());
    let widest = names.max().unwrap_or(0).clamp(10, WIDEST);
    let head = ["LANE", "STATE", "PUBLISHED", "SIGNED FOR", "WAITING", "ASIDE"];
    lines.push(cells(widest, head).into());
    for (lane, judged) in facts.lanes.iter().zip(judged) {
        row(&mut lines, facts, lane, judged, widest);
        if !judged.why.is_empty() {
            wrapped(&mut lines, "    why:  ", &judged.why, width);
        }
        if !judged.to_do.is_empty() {
            wrapped(&mut lines, "    do:   ", &judged.to_do, width);
        }
        for (id, back) in lane.chunk.iter().flat_map(|chunk| &chunk.held_back) {
            let what = format!(
                "{} kept {} rows back since chunk {}.{}",
                keeper(id),
                back.rows,
                back.epoch,
                back.number
            );
            wrapped(&mut lines, "    held: ", &what, width);
        }
        if let Some(what) = aside(facts, &judged.lane) {
            wrapped(&mut lines, "    aside: ", &what, width);
        }
    }
    lines.push(Line::default());
    wrapped(&mut lines, "", LEGEND, width);
    lines
}

/// What kept rows back, by the name that it has in manifests.
pub(crate) fn keeper(id: &str) -> String {
    if id == social::blocklist::KEPT_BY {
        "the block list".to_owned()
    } else {
        format!("hold {id}")
    }
}

fn exchange(facts: &Facts) -> String {
    if let Some(why) = &facts.exchange.trouble {
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
    for trouble in ["/last_error", "/unsettled"].map(text) {
        if !trouble.is_empty() {
            wrapped(lines, "trouble   ", trouble, width);
        }
    }
    if !text("/gate/state").is_empty() {
        let gate = format!("{}: {}", text("/gate/state"), text("/gate/reason"));
        wrapped(lines, "gate      ", &gate, width);
    }
}

/// What the insurer's own agent counts in the store's quarantine.
fn aside(facts: &Facts, lane: &str) -> Option<String> {
    let held = facts.agent.page.as_ref()?.get("held")?.get(lane)?.as_object()?;
    let count = |(kind, of): (&String, &Value)| match of.get("count").and_then(Value::as_u64)? {
        0 => None,
        1 => Some(format!("1 {kind}")),
        many => Some(format!("{many} {kind}s")),
    };
    let counts: Vec<String> = held.iter().filter_map(count).collect();
    (!counts.is_empty()).then(|| {
        format!(
            "{} in quarantine; look with `slacktide quarantine list`",
            counts.join(", ")
        )
    })
}

fn cells(widest: usize, [lane, state, published, signed, waiting, aside]: [&str; 6]) -> String {
    format!("{lane:<widest$}  {state:<17}  {published:<18}  {signed:<18}  {waiting:>7}  {aside:>5}")
}

fn row(lines: &mut Vec<Line>, facts: &Facts, lane: &LaneFacts, judged: &Judged, widest: usize) {
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
    let word = judged.state.word();
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
    // The state is the second cell, whatever the name of the lane is.
    let (head, tail) = row.split_at(row.char_indices().nth(widest + 2).map_or(row.len(), |(at, _)| at));
    let behind = tail.strip_prefix(word).unwrap_or_default();
    lines.push(Line::from(head).and_styled(style(judged.state), word).and(behind));
}

/// Green moves, yellow waits, red asks for somebody.
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

/// Words behind a head, in lines that are not wider than that; what is behind the first line is indented.
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
                // A word that is wider than a line.
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
    fn screen_state_is_coloured_and_colour_takes_no_room() {
        let plain = cells(12, ["flowing.held", "held", "1.1 (3 s)", "-", "1", "-"]);
        assert!(
            plain.chars().count() <= 100 && plain.starts_with("flowing.held  held "),
            "{plain}"
        );
        // Widest names, largest counts that a year brings.
        let wide = cells(
            WIDEST,
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
    fn nothing_is_wider_than_the_screen_and_no_word_is_lost() {
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
