//! `slacktide orders show|confirm`: the control record in force, and its confirmation after a restore.
//!
//! Agents stop if the orders at the exchange are older than a signed message shows. A program cannot restore the lost orders:
//! an operator gives them again, and confirms the record in force by number and digest.

use exchange::Exchange;
use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::control::{self, Action, CONFIRMATION_SCOPE, Confirmation, Order};
use schemas::heads::RecordRef;
use schemas::sign::SigningKey;
use serde::Serialize;
use social::control_head::{self, Head};
use social::order::{OrderDraft, issue_order};
use social::record_tracker::RecordReference;

use super::control_records::{named, note_high_water};
use super::issued_order::{failed, sentence, warn};
use super::items::OrderItem;
use super::operator::Operator;
use crate::cli::Config;
use crate::cli::orders::{ConfirmArgs, OrdersCommand};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::{SocialFile, load};

/// Runs a subcommand.
pub(crate) async fn run(command: OrdersCommand) -> Outcome {
    match command {
        OrdersCommand::Show { config, json } => show(&config, json).await,
        OrdersCommand::Confirm(args) => confirm(args).await,
    }
}

fn trusted(file: &SocialFile, key: &SigningKey) -> Vec<schemas::sign::PublicKey> {
    let mut trusted = file.trust.operators.clone();
    trusted.push(key.public().clone());
    trusted
}

/// Returns the newest record that the head does not follow.
fn lost(head: &Head, named: &[RecordReference]) -> Option<RecordReference> {
    named
        .iter()
        .rev()
        .find(|named| !head.follows(named.mark))
        .cloned()
}

/// Returns why an agent would hold everything: a named record is lost, or the records cannot be trusted.
pub(crate) async fn find_problem(
    loaded: &Loaded<SocialFile>,
    exchange: &dyn Exchange,
    key: &SigningKey,
) -> Result<Option<String>, Failure> {
    let trusted = trusted(&loaded.value, key);
    let head = control_head::read(exchange, &loaded.value.social.name, &trusted).await?;
    let named = named(loaded, exchange, key).await?;
    let lost = lost(&head, &named).map(|lost| head.describe_loss(&lost));
    Ok(lost.or_else(|| head.unreadable_message()))
}

async fn show(config: &Config, json: bool) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&config.config)?;
    let key = loaded.value.signing.key(loaded.folder())?;
    let exchange = ExchangeClient::connect(loaded.value.exchange.command_options(loaded.folder())?).await?;
    let trusted = trusted(&loaded.value, &key);
    let head = control_head::read(&exchange, &loaded.value.social.name, &trusted).await;
    let named = named(&loaded, &exchange, &key).await;
    exchange.close().await;
    let (head, named) = (head?, named?);
    let lost = lost(&head, &named);
    let problem = lost
        .as_ref()
        .map(|lost| head.describe_loss(lost))
        .or_else(|| head.unreadable_message());
    output::report(&RecordReport::new(&head, lost.as_ref(), problem.clone()), json)?;
    Ok(if problem.is_some() {
        Exit::Evidence
    } else {
        Exit::Done
    })
}

async fn confirm(args: ConfirmArgs) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let actor = args.decision.actor()?;
    let trusted = trusted(file, &key);
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let confirming = async {
        let head = control_head::read(&exchange, &file.social.name, &trusted).await?;
        let named = named(&loaded, &exchange, &key).await?;
        let newest = lost(&head, &named).map(|named| named.mark);
        let draft = OrderDraft {
            scope: CONFIRMATION_SCOPE.to_owned(),
            action: Action::Confirm(Confirmation {
                record: args.record.0,
                lost: args.lost.max(newest),
            }),
            actor,
            reason: args.decision.reason,
            lasts: None,
        };
        let operator = Operator::new()?;
        let signer = operator.signer(&key, &file.trust.operators, &file.social.name);
        let issued = issue_order(&exchange, &signer, &trusted, &draft, Timestamp::now())
            .await
            .map_err(failed)?;
        warn(&issued);
        let head = control_head::read(&exchange, &file.social.name, &trusted).await?;
        Ok::<_, Failure>(head)
    };
    let head = confirming.await;
    exchange.close().await;
    let head = head?;
    note_high_water(&loaded, head.mark(), &head);
    output::report(&RecordReport::new(&head, None, None), args.json)?;
    Ok(Exit::Done)
}

/// The control record in force, and what was lost.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "orders show, orders confirm")]
pub(super) struct RecordReport {
    /// The record; `null` if there is none.
    record: Option<RecordRef>,
    /// The orders in force.
    items: Vec<OrderItem>,
    /// The newest lost record.
    lost: Option<RecordRef>,
    /// What names it.
    lost_named_by: Option<String>,
    /// Why an agent would hold everything.
    error: Option<String>,
    /// The orders, for people.
    #[serde(skip)]
    texts: Vec<String>,
}

impl RecordReport {
    fn new(head: &Head, lost: Option<&RecordReference>, error: Option<String>) -> Self {
        let now = Timestamp::now();
        let orders: Vec<&Order> = head
            .record
            .iter()
            .flat_map(|(record, _)| control::orders_in_force(record, now))
            .collect();
        let text = |order: &&Order| format!("  {}: {}", order.scope, sentence(order));
        Self {
            record: head.mark(),
            texts: orders.iter().map(text).collect(),
            items: orders.into_iter().map(OrderItem::from).collect(),
            lost: lost.map(|lost| lost.mark),
            lost_named_by: lost.map(|lost| lost.by.clone()),
            error,
        }
    }
}

impl Report for RecordReport {
    fn view(&self) -> View {
        let record = self.record.map_or("none".to_owned(), |mark| mark.to_string());
        let mut view = View::new();
        // It is copied into `orders confirm`.
        view.exact(format!("control record {record}"));
        if self.texts.is_empty() {
            view.line("  no order is in force");
        }
        for text in &self.texts {
            view.line(text);
        }
        if let Some(error) = &self.error {
            view.line(error);
        }
        view
    }
}
