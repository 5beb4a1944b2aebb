//! `slacktide hold add|list|release`: rows that an operator withholds.
//!
//! The order is signed, recorded and sent over the exchange like the gate's; agents apply it within a few seconds, across
//! restarts and takeovers. A keyed digest, made with the bureau's signing key, identifies a person. Give the number on
//! standard input: every user of the host can see arguments.

pub(super) mod render;

use std::io::Read;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::span::Span;
use schemas::control::{self, Action, Control, Hold, Order};
use schemas::name::{FeedName, RecipientName};
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use schemas::visible;
use social::order::{OrderDraft, issue_order};

use super::control_records::note_high_water;
use super::issued_order::{failed, warn};
use super::operator::{Operator, actor, orders_in_force};
use super::status::facts;
use crate::cli::Config;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// The hold commands.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Withhold a recipient's, a feed's or a person's rows. In force within 5 s, until released.
    #[command(
        after_help = "Examples:\n  slacktide hold add --recipient insurer-b --reason \"contract ended\" --config config/social.toml\n  slacktide hold add --feed setl --for 2h --reason \"audit\" --config config/social.toml\n  printf 31010004711 | slacktide hold add --person - --reason \"objection 17\" --config config/social.toml"
    )]
    Add(AddArgs),
    /// List the holds in force, and what they withheld so far.
    #[command(after_help = "Example:\n  slacktide hold list --config config/social.toml")]
    List {
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Release a hold, and show how to send the withheld rows of a person.
    #[command(
        after_help = "Example:\n  slacktide hold release 3fa9c1d2 --reason \"objection withdrawn\" --config config/social.toml"
    )]
    Release {
        /// The hold's id, or a unique prefix.
        id: String,
        #[command(flatten)]
        order: HoldOrder,
    },
}

/// The arguments of all orders about holds.
#[derive(Debug, Args)]
pub(crate) struct HoldOrder {
    #[command(flatten)]
    config: Config,
    /// The reason. It is signed and kept; do not name a person in it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The deciding operator. Default: the login name.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Print the orders in force as JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `hold add`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["recipient", "feed", "person", "all"])))]
pub(crate) struct AddArgs {
    /// Hold for this recipient; may be given several times. Default: all.
    #[arg(long, value_name = "NAME")]
    recipient: Vec<RecipientName>,
    /// Hold this feed; may be given several times. Default: all.
    #[arg(long, value_name = "NAME")]
    feed: Vec<FeedName>,
    /// Hold only the rows of this person; `-` reads the number from standard input, where no other user sees it.
    #[arg(long, value_name = "NUMBER")]
    person: Option<String>,
    /// Hold everything for all recipients.
    #[arg(long, conflicts_with_all = ["recipient", "feed", "person"])]
    all: bool,
    /// Duration, for example 90s, 15m or 2h. Default: until it is released.
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<Span>,
    #[command(flatten)]
    order: HoldOrder,
}

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

fn person(text: &str, order: &HoldOrder) -> Result<String, Failure> {
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
    let actor = order.actor.as_deref().unwrap_or_default();
    if order.reason.contains(&number) || actor.contains(&number) {
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
    let actor = actor(args.actor.clone(), "decides")?;
    let draft = OrderDraft {
        scope,
        action,
        actor,
        reason: args.reason.clone(),
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
