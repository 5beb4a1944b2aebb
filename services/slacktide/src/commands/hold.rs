//! `slacktide hold add|list|release`: rows that an operator withholds.
//!
//! The order is signed, recorded and sent over the exchange like the gate's; agents apply it within a few seconds, across
//! restarts and takeovers. A keyed digest, made with the bureau's signing key, identifies a person. Give the number on
//! standard input: every user of the host can see arguments.

pub(super) mod render;

use std::io::Read;

use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::span::Span;
use schemas::control::{self, Action, Control, Hold, Order};
use schemas::name::FeedName;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use schemas::visible;
use social::order::{OrderDraft, issue_order};

use super::control_records::note_high_water;
use super::issued_order::{failed, warn};
use super::operator::{Operator, orders_in_force};
use super::status::facts;
use crate::cli::Config;
use crate::cli::hold::{AddArgs, HoldCommand, HoldOrder};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// Runs a subcommand.
pub(crate) async fn run(command: HoldCommand) -> Outcome {
    match command {
        HoldCommand::Add(args) => add(args).await,
        HoldCommand::List { config, json } => list(&config, json).await,
        HoldCommand::Release { id, order } => release(&id, order).await,
    }
}

async fn add(args: AddArgs) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.order.config.config)?;
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    check_names(file, &args)?;
    let person = match args.person.as_deref() {
        None => None,
        Some(text) => Some(person(text, &args.order)?),
    };
    let mark = person
        .map(|person| {
            Ok::<_, Failure>(
                PersonKey::of(&key)
                    .map_err(|error| Failure::internal(&error))?
                    .token(&person),
            )
        })
        .transpose()?;
    let without_person = if mark.is_some() {
        render::without_person(file, &args.feed)
    } else {
        Vec::new()
    };
    let is_named = |feed: &FeedName| args.feed.contains(feed);
    if let Some(feed) = without_person.iter().find(|feed| is_named(feed)) {
        return Err(Failure::usage(format!(
            "feed {feed} does not define a person column: write `person = \"…\"` in its [[feed]] and restart the \
             agent, or hold the whole feed without --person"
        )));
    }
    let action = Action::Hold(Hold {
        recipients: args.recipient,
        feeds: args.feed,
        person: mark,
    });
    let record = order(&loaded, &key, String::new(), action, &args.order, args.lasts).await?;
    for feed in without_person {
        output::note(&format!(
            "note: feed {feed} names no person column, so this hold withholds none of its rows; if it holds rows of persons, \
             add `hold add --feed {feed}`"
        ));
    }
    output::report(&render::AddedReport::new(&record), args.order.json)?;
    if !args.order.json {
        output::note("agents apply it within 5 s; see `slacktide status`");
    }
    Ok(Exit::Done)
}

/// Refuses unknown names, which would hold nothing.
fn check_names(file: &SocialFile, args: &AddArgs) -> Result<(), Failure> {
    for feed in &args.feed {
        if !file.feeds.iter().any(|one| one.name == *feed) {
            return Err(Failure::usage(format!(
                "there is no feed {feed} in the file; correct the name"
            )));
        }
    }
    for recipient in &args.recipient {
        if !file.feeds.iter().any(|feed| feed.recipients.contains(recipient)) {
            return Err(Failure::usage(format!(
                "no feed is for {recipient} in the file; correct the name"
            )));
        }
    }
    Ok(())
}

/// Returns a person's number from an argument, or from standard input for `-`.
///
/// # Errors
/// It cannot be read, is empty, or contains an invisible character.
pub(super) fn read_person(text: &str) -> Result<String, Failure> {
    let mut number = text.to_owned();
    if text == "-" {
        number.clear();
        let mut input = std::io::stdin().lock().take(4_096);
        input
            .read_to_string(&mut number)
            .map_err(|_| Failure::usage("the person's number could not be read from standard input"))?;
    }
    let number = number.trim().to_owned();
    if number.is_empty() || visible::check_visible("the person's number", &number).is_err() {
        return Err(Failure::usage(
            "the person's number is empty, has several lines, or contains an invisible character",
        ));
    }
    Ok(number)
}

fn person(text: &str, order: &HoldOrder) -> Result<String, Failure> {
    let number = read_person(text)?;
    let actor = order.decision.actor.as_deref().unwrap_or_default();
    if order.decision.reason.contains(&number) || actor.contains(&number) {
        return Err(Failure::usage(
            "the reason or the actor names the person: both are kept permanently and shown; leave the number out",
        ));
    }
    Ok(number)
}

async fn release(id: &str, args: HoldOrder) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let file = &loaded.value;
    let key = file.signing.key(loaded.folder())?;
    let before = orders_in_force(&loaded, &key).await?;
    let holds: Vec<&Order> = before
        .iter()
        .flat_map(|record| control::orders_in_force(record, Timestamp::now()))
        .filter(|order| render::is_hold(order) && order.id.starts_with(id))
        .collect();
    let [hold] = holds.as_slice() else {
        let what = if holds.is_empty() {
            "no hold"
        } else {
            "more than one hold"
        };
        return Err(Failure::usage(format!(
            "{what} in force begins with {id}; run `slacktide hold list`"
        )));
    };
    let record = order(&loaded, &key, hold.scope.clone(), Action::Release, &args, None).await?;
    let facts = facts::collect_for_bureau(&loaded).await;
    let report = render::ReleasedReport::new(&record, hold, &facts, &args.config.config);
    output::report(&report, args.json)?;
    Ok(Exit::Done)
}

async fn list(config: &Config, json: bool) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&config.config)?;
    let key = loaded.value.signing.key(loaded.folder())?;
    let record = orders_in_force(&loaded, &key).await?;
    let facts = facts::collect_for_bureau(&loaded).await;
    let list = render::HoldList::new(record.as_ref(), &facts, &config.config);
    output::report(&list, json)?;
    Ok(Exit::Done)
}

fn trusted(file: &SocialFile, key: &SigningKey) -> Vec<schemas::sign::PublicKey> {
    let mut trusted = file.trust.operators.clone();
    trusted.push(key.public().clone());
    trusted
}

async fn order(
    loaded: &Loaded<SocialFile>,
    key: &SigningKey,
    scope: String,
    action: Action,
    args: &HoldOrder,
    lasts: Option<Span>,
) -> Result<Control, Failure> {
    let file = &loaded.value;
    let actor = args.decision.actor()?;
    let draft = OrderDraft {
        scope,
        action,
        actor,
        reason: args.decision.reason.clone(),
        lasts: lasts.map(Span::get),
    };
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let operator = Operator::new()?;
    let signer = operator.signer(key, &file.trust.operators, &file.social.name);
    let issued = issue_order(&exchange, &signer, &trusted(file, key), &draft, Timestamp::now()).await;
    exchange::Exchange::close(&exchange).await;
    let issued = issued.map_err(failed)?;
    warn(&issued);
    note_high_water(loaded, Some(issued.mark), &issued.before);
    Ok(issued.record)
}
