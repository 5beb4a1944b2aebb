//! Renders the output of the hold commands.

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

/// Returns the feeds among these (all if empty) without a person column.
pub(super) fn without_person(file: &SocialFile, feeds: &[FeedName]) -> Vec<FeedName> {
    let is_selected = |name: &FeedName| feeds.is_empty() || feeds.contains(name);
    let all = file.feeds.iter();
    all.filter(|feed| is_selected(&feed.name) && feed.person.is_none())
        .map(|feed| feed.name.clone())
        .collect()
}

/// Renders a hold in one line.
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
            "all recipients"
        ),
        order.actor,
        order.reason
    )
}

fn in_force(record: Option<&Control>) -> Vec<&Order> {
    let now = Timestamp::now();
    let orders = record
        .into_iter()
        .flat_map(|record| control::orders_in_force(record, now));
    orders.filter(|order| is_hold(order)).collect()
}

/// Prints an added hold.
pub(super) fn print_added(record: &Control, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(
            &serde_json::json!({ "given": record.newest, "in_force": in_force(Some(record)) }),
        );
    }
    output::line(&sentence(&record.newest));
    output::note("agents apply it within 5 s; see `slacktide status`");
    Ok(())
}

/// Returns the commands that send the rows that a hold withheld, one per lane.
fn resend_commands(id: &str, facts: &Facts, config: &Path) -> Vec<String> {
    let command = |lane: &LaneFacts| {
        let outstanding = lane.chunk.as_ref()?.outstanding.get(id)?;
        Some(format!(
            "slacktide feed rewind {} --recipient {} --from chunk:{}.{} --actor NAME --reason TEXT --config {}",
            lane.feed,
            lane.recipient,
            outstanding.epoch,
            outstanding.number,
            config.display()
        ))
    };
    facts.lanes.iter().filter_map(command).collect()
}

/// Returns the number of rows that a hold withheld.
fn excluded_rows(id: &str, facts: &Facts) -> u64 {
    let rows = |lane: &LaneFacts| Some(lane.chunk.as_ref()?.outstanding.get(id)?.rows);
    facts.lanes.iter().filter_map(rows).sum()
}

/// Prints a release: the orders in force, and how to send the withheld rows.
pub(super) fn print_released(
    record: &Control,
    hold: &Order,
    facts: &Facts,
    config: &Path,
    json: bool,
) -> Result<(), Failure> {
    let commands = resend_commands(&hold.id, facts, config);
    let rows = excluded_rows(&hold.id, facts);
    if json {
        return output::json(&serde_json::json!({
            "released": hold.id, "rows_withheld": rows, "resend_commands": commands, "in_force": in_force(Some(record)),
        }));
    }
    output::line(&format!("{} is released", hold.id));
    if let Some(error) = &facts.exchange.error {
        output::note(&format!(
            "cannot read what it withheld: {error}; run `slacktide feed show`"
        ));
    }
    if rows > 0 {
        output::line(&format!(
            "{rows} rows were withheld and are not sent automatically. Send them with:"
        ));
        commands
            .iter()
            .for_each(|command| output::line(&format!("  {command}")));
    }
    Ok(())
}

/// Prints `hold list`.
pub(super) fn print_list(
    record: Option<&Control>,
    facts: &Facts,
    config: &Path,
    json: bool,
) -> Result<(), Failure> {
    let holds = in_force(record);
    // Ended holds whose rows were not sent since.
    let ended: Vec<&String> = {
        let mut ids: Vec<&String> = facts
            .lanes
            .iter()
            .filter_map(|lane| lane.chunk.as_ref())
            .flat_map(|chunk| chunk.outstanding.keys())
            .filter(|id| *id != social::blocklist::BLOCKLIST_ID && !holds.iter().any(|hold| hold.id == **id))
            .collect();
        ids.sort();
        ids.dedup();
        ids
    };
    if json {
        let entry = |id: &String| serde_json::json!({ "id": id, "rows": excluded_rows(id, facts), "resend_commands": resend_commands(id, facts, config) });
        let ended: Vec<_> = ended.into_iter().map(entry).collect();
        let holds: Vec<_> = holds
            .iter()
            .map(|hold| serde_json::json!({ "order": hold, "rows_withheld": excluded_rows(&hold.id, facts) }))
            .collect();
        return output::json(&serde_json::json!({ "in_force": holds, "ended_not_resent": ended }));
    }
    if holds.is_empty() {
        output::line("no hold is in force");
    }
    for hold in holds {
        let rows = excluded_rows(&hold.id, facts);
        let withheld = if rows == 0 {
            String::new()
        } else {
            format!("; {rows} rows withheld so far")
        };
        output::line(&format!("{}{withheld}", sentence(hold)));
    }
    for id in ended {
        output::line(&format!(
            "{id} has ended; {} rows that it withheld were not sent since:",
            excluded_rows(id, facts)
        ));
        resend_commands(id, facts, config)
            .iter()
            .for_each(|command| output::line(&format!("  {command}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use schemas::person::PersonKey;
    use schemas::sign::SigningKey;

    use super::*;

    #[test]
    fn hold_sentence_names_scope_end_actor_and_reason() {
        let key = SigningKey::generate();
        let mark = PersonKey::of(&key).map(|key| key.token("31010004711")).ok();
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
        let line = sentence(&order(mark));
        assert!(
            line.contains("a person (") && !line.contains("31010004711"),
            "{line}"
        );
    }
}
