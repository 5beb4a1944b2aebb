//! Renders the output of the hold commands.

use std::path::Path;

use jiff::Timestamp;
use schemars::JsonSchema;
use schemas::control::{self, Action, AnyAction, Control, Hold, Order};
use schemas::name::FeedName;
use serde::Serialize;

use crate::commands::items::OrderItem;
use crate::commands::status::facts::{Facts, LaneFacts};
use crate::output::{Report, View};
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

/// A hold that was added, and all holds in force.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "hold add")]
pub(in crate::commands) struct AddedReport {
    /// The hold that was added.
    order: OrderItem,
    /// The holds in force.
    items: Vec<OrderItem>,
    #[serde(skip)]
    text: String,
}

impl AddedReport {
    pub(super) fn new(record: &Control) -> Self {
        Self {
            order: OrderItem::from(&record.newest),
            items: in_force(Some(record)).into_iter().map(OrderItem::from).collect(),
            text: sentence(&record.newest),
        }
    }
}

impl Report for AddedReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(self.text.clone());
        view
    }
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

/// A hold that was released, and how to send the rows that it withheld.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "hold release")]
pub(in crate::commands) struct ReleasedReport {
    /// The id of the released hold.
    id: String,
    /// The rows that it withheld.
    rows_withheld: u64,
    /// The commands that send these rows, one for each lane.
    resend_commands: Vec<String>,
    /// The holds in force.
    items: Vec<OrderItem>,
    /// Why the rows are not known.
    error: Option<String>,
}

impl ReleasedReport {
    pub(super) fn new(record: &Control, hold: &Order, facts: &Facts, config: &Path) -> Self {
        Self {
            id: hold.id.clone(),
            rows_withheld: excluded_rows(&hold.id, facts),
            resend_commands: resend_commands(&hold.id, facts, config),
            items: in_force(Some(record)).into_iter().map(OrderItem::from).collect(),
            error: facts.exchange.error.clone(),
        }
    }
}

impl Report for ReleasedReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!("{} is released", self.id));
        if let Some(error) = &self.error {
            view.line(format!(
                "cannot read what it withheld: {error}; run `slacktide feed show`"
            ));
        }
        if self.rows_withheld > 0 {
            view.line(format!(
                "{} rows were withheld and are not sent automatically. Send them with:",
                self.rows_withheld
            ));
            for command in &self.resend_commands {
                view.command(2, command.clone());
            }
        }
        view
    }
}

/// Whether a hold withholds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HoldState {
    /// It withholds rows.
    InForce,
    /// It ended, and rows that it withheld were not sent since.
    Ended,
}

/// A hold.
#[derive(Debug, Serialize, JsonSchema)]
struct HoldItem {
    id: String,
    state: HoldState,
    /// The order; `null` if it ended.
    order: Option<OrderItem>,
    /// The rows that it withheld.
    rows_withheld: u64,
    /// The commands that send the rows of a hold that ended, one for each lane.
    resend_commands: Vec<String>,
    #[serde(skip)]
    text: String,
}

/// The holds in force, and those that ended and whose rows were not sent since.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "hold list")]
pub(in crate::commands) struct HoldList {
    items: Vec<HoldItem>,
}

impl HoldList {
    pub(super) fn new(record: Option<&Control>, facts: &Facts, config: &Path) -> Self {
        let holds = in_force(record);
        let mut ended: Vec<&String> = facts
            .lanes
            .iter()
            .filter_map(|lane| lane.chunk.as_ref())
            .flat_map(|chunk| chunk.outstanding.keys())
            .filter(|id| {
                *id != disclosure::blocklist::BLOCKLIST_ID && !holds.iter().any(|hold| hold.id == **id)
            })
            .collect();
        ended.sort();
        ended.dedup();
        let in_force = holds.iter().map(|hold| HoldItem {
            id: hold.id.clone(),
            state: HoldState::InForce,
            order: Some(OrderItem::from(*hold)),
            rows_withheld: excluded_rows(&hold.id, facts),
            resend_commands: Vec::new(),
            text: sentence(hold),
        });
        let ended = ended.into_iter().map(|id| HoldItem {
            id: id.clone(),
            state: HoldState::Ended,
            order: None,
            rows_withheld: excluded_rows(id, facts),
            resend_commands: resend_commands(id, facts, config),
            text: String::new(),
        });
        Self {
            items: in_force.chain(ended).collect(),
        }
    }
}

impl Report for HoldList {
    fn view(&self) -> View {
        let mut view = View::new();
        if self.items.iter().all(|hold| hold.state == HoldState::Ended) {
            view.line("no hold is in force");
        }
        for hold in &self.items {
            match hold.state {
                HoldState::InForce if hold.rows_withheld == 0 => view.line(hold.text.clone()),
                HoldState::InForce => view.line(format!(
                    "{}; {} rows withheld so far",
                    hold.text, hold.rows_withheld
                )),
                HoldState::Ended => view.line(format!(
                    "{} has ended; {} rows that it withheld were not sent since:",
                    hold.id, hold.rows_withheld
                )),
            };
            for command in &hold.resend_commands {
                view.command(2, command.clone());
            }
        }
        view
    }
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
