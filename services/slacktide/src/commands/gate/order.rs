//! `slacktide gate pause|resume|limit`: signs an order, records it and sends it over the exchange.

use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::control::{self, Action, Control, Order};
use serde::Serialize;
use social::order::{OrderDraft, issue_order};

use crate::cli::OrderArgs;
use crate::commands::control_records::note_high_water;
use crate::commands::issued_order::{failed, sentence, warn};
use crate::commands::items::OrderItem;
use crate::commands::operator::Operator;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::{SocialFile, load};

/// Pauses the gate.
pub(crate) async fn pause(args: OrderArgs) -> Outcome {
    order(args, Action::Pause).await
}

/// Revokes orders.
pub(crate) async fn resume(args: OrderArgs) -> Outcome {
    if args.lasts.is_some() {
        return Err(Failure::usage(
            "a resume ends orders and has no duration: leave --for out",
        ));
    }
    order(args, Action::Resume).await
}

/// Limits the duty cycle.
pub(crate) async fn limit(args: OrderArgs, duty: &str) -> Outcome {
    let duty_milli = parse_milli(duty).ok_or_else(|| {
        Failure::usage(format!(
            "--duty {duty:?} is not a valid share: give 0.1% to 100%; to stop all work, pause"
        ))
    })?;
    order(args, Action::Limit { duty_milli }).await
}

/// Parses `20%`, `20` and `0.5%` to thousandths.
fn parse_milli(text: &str) -> Option<u32> {
    let percent: f64 = text.trim().trim_end_matches('%').trim().parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 1000 by the range before it"
    )]
    (0.1..=100.0)
        .contains(&percent)
        .then(|| (percent * 10.0).round() as u32)
}

async fn order(args: OrderArgs, action: Action) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let actor = args.decision.actor()?;
    let draft = OrderDraft {
        scope: control::gate_scope(&file.social.source),
        action,
        actor,
        reason: args.decision.reason,
        lasts: args.lasts.map(runtime::span::Span::get),
    };
    let mut trusted = file.trust.operators.clone();
    trusted.push(key.public().clone());
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let operator = Operator::new()?;
    let signer = operator.signer(&key, &file.trust.operators, &file.social.name);
    let now = Timestamp::now();
    let issued = issue_order(&exchange, &signer, &trusted, &draft, now).await;
    exchange::Exchange::close(&exchange).await;
    let issued = issued.map_err(failed)?;
    warn(&issued);
    note_high_water(&loaded, Some(issued.mark), &issued.before);
    let record = issued.record;
    output::report(&OrderReport::new(&record, &draft.scope, now), args.json)?;
    Ok(Exit::Done)
}

/// The order that was given, and those in force for the gate.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "gate pause, gate resume, gate limit")]
pub(in crate::commands) struct OrderReport {
    /// The gate: `gate.SOURCE`.
    scope: String,
    /// The number of the control record.
    number: u64,
    /// The order that was given.
    order: OrderItem,
    /// The orders in force for the gate.
    items: Vec<OrderItem>,
    #[serde(skip)]
    view: View,
}

impl OrderReport {
    fn new(record: &Control, scope: &str, now: Timestamp) -> Self {
        let in_force: Vec<&Order> = control::orders_in_force(record, now)
            .filter(|order| order.scope == scope)
            .collect();
        let mut view = View::new();
        if in_force.is_empty() {
            view.line(format!(
                "{scope}: no order is in force; the gate follows its policy"
            ));
        }
        for order in &in_force {
            view.line(format!("{scope}: {}", sentence(order)));
        }
        Self {
            scope: scope.to_owned(),
            number: record.number,
            order: OrderItem::from(&record.newest),
            items: in_force.into_iter().map(OrderItem::from).collect(),
            view,
        }
    }
}

impl Report for OrderReport {
    fn view(&self) -> View {
        self.view.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duty_percent_sign_is_optional() {
        assert_eq!(
            (parse_milli("20%"), parse_milli("20"), parse_milli("0.5 %")),
            (Some(200), Some(200), Some(5))
        );
        for wrong in ["0", "101%", "nan", "-1", "a", ""] {
            assert_eq!(parse_milli(wrong), None, "{wrong:?}");
        }
    }
}
