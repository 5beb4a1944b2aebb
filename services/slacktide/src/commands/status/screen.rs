//! PURE: facts and states in lines, and as data.

use serde_json::{Value, json};

use super::ago::{ago, span};
use super::facts::{Facts, LaneFacts};
use super::judge::Judged;

/// As data; its form is in docs/operate.md.
pub(super) fn json(facts: &Facts, judged: &[Judged]) -> Value {
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

/// For people, at most so wide.
pub(super) fn lines(facts: &Facts, judged: &[Judged], width: usize) -> Vec<String> {
    let mut lines = vec![format!("slacktide status  {}  {:.0}", facts.user, facts.at)];
    wrapped(&mut lines, "exchange  ", &exchange(facts), width);
    wrapped(&mut lines, "agent     ", &agent(facts), width);
    if let Some(lease) = &facts.lease {
        let state = if lease.released {
            "given back by"
        } else if lease.is_held() {
            "held by"
        } else {
            "not renewed any more by"
        };
        let what = format!("{state} {}, written {} ago", lease.holder, span(lease.age_s));
        wrapped(&mut lines, "lease     ", &what, width);
    }
    if let Some(why) = &facts.orders_trouble {
        wrapped(
            &mut lines,
            "orders    ",
            &format!("cannot be believed: {why}"),
            width,
        );
    }
    for order in &facts.orders {
        let until = order
            .expires
            .map_or("until taken back".to_owned(), |end| format!("until {end:.0}"));
        let what = format!(
            "{} {} by {}: {} ({until})",
            order.action.kind(),
            order.scope,
            order.actor,
            order.reason
        );
        wrapped(&mut lines, "order     ", &what, width);
    }
    lines.push(String::new());
    let widest = judged
        .iter()
        .map(|lane| lane.lane.chars().count())
        .max()
        .unwrap_or(0)
        .clamp(10, 36);
    lines.push(format!(
        "{:<widest$}  {:<17}  {:>9}  {:>10}  {:>9}  {:>6}  {:>5}",
        "LANE", "STATE", "CHUNK", "STORED", "RECEIPT", "LAG", "QUAR."
    ));
    if judged.is_empty() {
        lines.push("no lanes are known; an insurer may name one with --feed".to_owned());
    }
    for (lane, judged) in facts.lanes.iter().zip(judged) {
        row(&mut lines, facts, lane, judged, widest);
        if !judged.why.is_empty() {
            wrapped(&mut lines, "    why: ", &judged.why, width);
        }
        if !judged.to_do.is_empty() {
            wrapped(&mut lines, "    do:  ", &judged.to_do, width);
        }
        for (id, back) in lane.chunk.iter().flat_map(|chunk| &chunk.held_back) {
            let what = format!(
                "hold {id} kept {} rows back since chunk {}.{}",
                back.rows, back.epoch, back.number
            );
            wrapped(&mut lines, "    held: ", &what, width);
        }
    }
    lines
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

fn agent(facts: &Facts) -> String {
    let Some(address) = &facts.agent.address else {
        return "cannot be asked: the file has no [health]".to_owned();
    };
    let Some(page) = &facts.agent.page else {
        return format!("not running, or not reachable at {address}");
    };
    let text = |path: &str| page.pointer(path).and_then(Value::as_str).unwrap_or("");
    let mut parts = vec![format!("running at {address}")];
    if !text("/gate/state").is_empty() {
        parts.push(format!("gate {}: {}", text("/gate/state"), text("/gate/reason")));
        let has = page
            .pointer("/lease/held")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        parts.push(
            if has {
                "it holds the lease"
            } else {
                "it is a standby"
            }
            .to_owned(),
        );
    } else if !text("/state").is_empty() {
        parts.push(text("/state").to_owned());
    }
    if !text("/last_error").is_empty() {
        parts.push(text("/last_error").to_owned());
    }
    parts.join("; ")
}

fn row(lines: &mut Vec<String>, facts: &Facts, lane: &LaneFacts, judged: &Judged, widest: usize) {
    let none = || "-".to_owned();
    let chunk = lane.chunk.as_ref();
    let receipt = lane.receipt.as_ref();
    let lag = match (judged.lag_chunks, judged.lag_seconds) {
        (None, _) => none(),
        (Some(chunks), None) => chunks.to_string(),
        (Some(chunks), Some(seconds)) if seconds >= 60 => format!("{chunks}!"),
        (Some(chunks), Some(_)) => chunks.to_string(),
    };
    lines.push(format!(
        "{:<widest$}  {:<17}  {:>9}  {:>10}  {:>9}  {:>6}  {:>5}",
        judged.lane,
        judged.state.word(),
        chunk.map_or_else(none, |chunk| format!("{}.{}", chunk.epoch, chunk.number)),
        chunk.map_or_else(none, |chunk| ago(chunk.stored_at, facts.at)),
        receipt.map_or_else(none, |receipt| format!("{}.{}", receipt.epoch, receipt.to)),
        lag,
        receipt.map_or_else(none, |receipt| receipt.quarantined.len().to_string()),
    ));
}

/// Words behind a head, in lines that are not wider than that; what is behind the first line is indented.
pub(crate) fn wrapped(lines: &mut Vec<String>, head: &str, text: &str, width: usize) {
    let mut line = head.to_owned();
    let indent = head.chars().count();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
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
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
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
        lines.push(line.trim_end().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_the_screen_and_no_word_is_lost() {
        let long = "a".repeat(150);
        let text = format!("one two {long} three {}", "four ".repeat(40));
        let mut lines = Vec::new();
        wrapped(&mut lines, "    why: ", &text, 100);
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:#?}");
        let joined: String = lines.join("").split_whitespace().collect();
        let wanted: String = format!("why:{text}").split_whitespace().collect();
        assert_eq!(joined, wanted);
    }
}
