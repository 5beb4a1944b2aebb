//! What the hold commands say.

use std::path::Path;

use jiff::Timestamp;
use schemas::control::{self, Action, AnyAction, Control, Hold, Order};
use schemas::name::FeedName;

use crate::commands::status::facts::{Facts, LaneFacts};
use crate::failure::Failure;
use crate::output;
use crate::settings::SocialFile;

/// Whether an order is a hold.
pub(super) fn is_hold(order: &Order) -> bool {
    matches!(order.action, AnyAction::Known(Action::Hold(_)))
}

fn hold(order: &Order) -> Option<&Hold> {
    match &order.action {
        AnyAction::Known(Action::Hold(hold)) => Some(hold),
        _ => None,
    }
}

/// The feeds among these (none: all) that do not say which column names a person.
pub(super) fn without_person(file: &SocialFile, feeds: &[FeedName]) -> Vec<FeedName> {
    let meant = |name: &FeedName| feeds.is_empty() || feeds.contains(name);
    let all = file.feeds.iter();
    all.filter(|feed| meant(&feed.name) && feed.person.is_none())
        .map(|feed| feed.name.clone())
        .collect()
}

/// PURE: one hold in a line.
pub(in crate::commands) fn sentence(order: &Order) -> String {
    let Some(hold) = hold(order) else {
        return order.id.clone();
    };
    let names = |names: Vec<&str>, all: &str| {
        if names.is_empty() {
            all.to_owned()
        } else {
            names.join(", ")
        }
    };
    let what = match &hold.person {
        None => "all rows".to_owned(),
        Some(mark) => format!("a person ({:.8}…)", mark.digest.to_string()),
    };
    let until = order
        .expires
        .map_or("until it is released".to_owned(), |end| format!("until {end:.0}"));
    format!(
        "{}: {what} of {} from {}, {until}, by {}: {}",
        order.id,
        names(hold.feeds.iter().map(FeedName::as_str).collect(), "all feeds"),
        names(
            hold.recipients.iter().map(|name| name.as_str()).collect(),
            "everybody"
        ),
        order.actor,
        order.reason
    )
}

fn in_force(record: Option<&Control>) -> Vec<&Order> {
    let now = Timestamp::now();
    let orders = record.into_iter().flat_map(|record| control::fold(record, now));
    orders.filter(|order| is_hold(order)).collect()
}

/// After a hold was added.
pub(super) fn given(record: &Control, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(
            &serde_json::json!({ "given": record.newest, "in_force": in_force(Some(record)) }),
        );
    }
    output::line(&sentence(&record.newest));
    output::note("agents have it in force within 5 s; see `slacktide status`");
    Ok(())
}

/// PURE: how rows that a hold kept back can follow, one command for each lane.
fn ways(id: &str, facts: &Facts, config: &Path) -> Vec<String> {
    let way = |lane: &LaneFacts| {
        let back = lane.chunk.as_ref()?.held_back.get(id)?;
        Some(format!(
            "slacktide feed rewind {} --recipient {} --from chunk:{}.{} --actor NAME --reason TEXT --config {}",
            lane.feed,
            lane.recipient,
            back.epoch,
            back.number,
            config.display()
        ))
    };
    facts.lanes.iter().filter_map(way).collect()
}

/// PURE: how many rows a hold kept back.
fn kept_back(id: &str, facts: &Facts) -> u64 {
    let of = |lane: &LaneFacts| Some(lane.chunk.as_ref()?.held_back.get(id)?.rows);
    facts.lanes.iter().filter_map(of).sum()
}

/// After a release: what is still in force, and how what was kept back can follow.
pub(super) fn released(
    record: &Control,
    hold: &Order,
    facts: &Facts,
    config: &Path,
    json: bool,
) -> Result<(), Failure> {
    let ways = ways(&hold.id, facts, config);
    let rows = kept_back(&hold.id, facts);
    if json {
        return output::json(&serde_json::json!({
            "released": hold.id, "rows_kept_back": rows, "send_them_with": ways, "in_force": in_force(Some(record)),
        }));
    }
    output::line(&format!("{} is released", hold.id));
    if let Some(trouble) = &facts.exchange.trouble {
        output::note(&format!(
            "what it kept back could not be looked up: {trouble}; look with `slacktide feed show`"
        ));
    }
    if rows > 0 {
        output::line(&format!(
            "{rows} rows were kept back and do not follow by themselves. Send them with:"
        ));
        ways.iter().for_each(|way| output::line(&format!("  {way}")));
    }
    Ok(())
}

/// What `hold list` prints.
pub(super) fn listed(
    record: Option<&Control>,
    facts: &Facts,
    config: &Path,
    json: bool,
) -> Result<(), Failure> {
    let holds = in_force(record);
    // Of holds that are over: rows that nobody has sent since.
    let over: Vec<&String> = {
        let mut ids: Vec<&String> = facts
            .lanes
            .iter()
            .filter_map(|lane| lane.chunk.as_ref())
            .flat_map(|chunk| chunk.held_back.keys())
            .filter(|id| *id != social::blocklist::KEPT_BY && !holds.iter().any(|hold| hold.id == **id))
            .collect();
        ids.sort();
        ids.dedup();
        ids
    };
    if json {
        let told = |id: &String| serde_json::json!({ "id": id, "rows": kept_back(id, facts), "send_them_with": ways(id, facts, config) });
        let over: Vec<_> = over.into_iter().map(told).collect();
        let holds: Vec<_> = holds
            .iter()
            .map(|hold| serde_json::json!({ "order": hold, "rows_kept_back": kept_back(&hold.id, facts) }))
            .collect();
        return output::json(&serde_json::json!({ "in_force": holds, "over_and_not_sent": over }));
    }
    if holds.is_empty() {
        output::line("no hold is in force");
    }
    for hold in holds {
        let rows = kept_back(&hold.id, facts);
        let kept = if rows == 0 {
            String::new()
        } else {
            format!("; {rows} rows kept back so far")
        };
        output::line(&format!("{}{kept}", sentence(hold)));
    }
    for id in over {
        output::line(&format!(
            "{id} is over; {} rows that it kept back were not sent since:",
            kept_back(id, facts)
        ));
        ways(id, facts, config)
            .iter()
            .for_each(|way| output::line(&format!("  {way}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use schemas::person::PersonKey;
    use schemas::sign::SigningKey;

    use super::*;

    #[test]
    fn a_hold_in_a_line_says_whom_what_until_when_by_whom_and_why() {
        let key = SigningKey::generate();
        let mark = PersonKey::of(&key).map(|key| key.mark("31010004711")).ok();
        let order = |person| Order {
            id: "3fa9".into(),
            scope: "hold.3fa9".into(),
            action: AnyAction::Known(Action::Hold(Hold {
                recipients: "insurer-b".parse().into_iter().collect(),
                feeds: Vec::new(),
                person,
            })),
            actor: "li.na".into(),
            reason: "objection 17".into(),
            given_at: Timestamp::UNIX_EPOCH,
            expires: None,
        };
        assert_eq!(
            sentence(&order(None)),
            "3fa9: all rows of all feeds from insurer-b, until it is released, by li.na: objection 17"
        );
        let told = sentence(&order(mark));
        assert!(
            told.contains("a person (") && !told.contains("31010004711"),
            "{told}"
        );
    }
}
