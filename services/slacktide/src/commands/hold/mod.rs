//! `slacktide hold add|list|release`: rows that an operator keeps back.
//!
//! The order goes over the exchange, signed and noted like the gate's; agents have it in force within a few
//! seconds, across restarts and takeovers. A person is named in it by a keyed mark that only the bureau's
//! signing key can make; give the number on standard input, for arguments are seen by everybody on the host.

pub(super) mod told;

use std::io::Read;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::span::Span;
use schemas::control::{self, Action, Control, Hold, Order};
use schemas::name::{FeedName, RecipientName};
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use schemas::visible;
use social::order::{Wish, give};

use super::gate::order::{failed, warn};
use super::operator::{Operator, actor, orders_in_force};
use super::orders::note_high_water;
use super::status::facts;
use crate::cli::Config;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// The hold commands.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Keeps back a recipient's, a feed's or a person's rows. In force within 5 s, until released.
    #[command(
        after_help = "Examples:\n  slacktide hold add --recipient insurer-b --reason \"contract ended\" --config config/social.toml\n  slacktide hold add --feed setl --for 2h --reason \"audit\" --config config/social.toml\n  printf 31010004711 | slacktide hold add --person - --reason \"objection 17\" --config config/social.toml"
    )]
    Add(AddArgs),
    /// Shows the holds in force, and what they kept back so far.
    #[command(after_help = "Example:\n  slacktide hold list --config config/social.toml")]
    List {
        #[command(flatten)]
        config: Config,
        /// Prints them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Takes a hold back, and says how rows of a person can follow.
    #[command(
        after_help = "Example:\n  slacktide hold release 3fa9c1d2 --reason \"objection withdrawn\" --config config/social.toml"
    )]
    Release {
        /// Its id, or as much of the beginning as tells it from the others.
        id: String,
        #[command(flatten)]
        order: HoldOrder,
    },
}

/// What all orders of holds say.
#[derive(Debug, Args)]
pub(crate) struct HoldOrder {
    #[command(flatten)]
    config: Config,
    /// Why. It is signed and kept; name no person in it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides. Left out: the login name.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Prints what is in force as JSON.
    #[arg(long)]
    json: bool,
}

/// What is to be held.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["recipient", "feed", "person", "all"])))]
pub(crate) struct AddArgs {
    /// From this recipient; may be given several times. Left out: from everybody.
    #[arg(long, value_name = "NAME")]
    recipient: Vec<RecipientName>,
    /// Of this feed; may be given several times. Left out: of all.
    #[arg(long, value_name = "NAME")]
    feed: Vec<FeedName>,
    /// Only the rows of this person; `-` reads the number from standard input, where nobody sees it.
    #[arg(long, value_name = "NUMBER")]
    person: Option<String>,
    /// Everything, from everybody.
    #[arg(long, conflicts_with_all = ["recipient", "feed", "person"])]
    all: bool,
    /// How long it holds, for example 90s, 15m or 2h. Left out: until it is released.
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<Span>,
    #[command(flatten)]
    order: HoldOrder,
}

/// Runs a command to its end.
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
    known(file, &args)?;
    let person = match args.person.as_deref() {
        None => None,
        Some(text) => Some(person(text, &args.order)?),
    };
    let mark = person
        .map(|person| {
            Ok::<_, Failure>(
                PersonKey::of(&key)
                    .map_err(|error| Failure::internal(&error))?
                    .mark(&person),
            )
        })
        .transpose()?;
    let silent = if mark.is_some() {
        told::without_person(file, &args.feed)
    } else {
        Vec::new()
    };
    let named = |feed: &FeedName| args.feed.contains(feed);
    if let Some(feed) = silent.iter().find(|feed| named(feed)) {
        return Err(Failure::usage(format!(
            "feed {feed} does not say which column names a person: write `person = \"…\"` in its [[feed]] and restart the \
             agent, or hold the whole feed without --person"
        )));
    }
    let action = Action::Hold(Hold {
        recipients: args.recipient,
        feeds: args.feed,
        person: mark,
    });
    let record = order(&loaded, &key, String::new(), action, &args.order, args.lasts).await?;
    for feed in silent {
        output::note(&format!(
            "note: feed {feed} names no person column, so this hold keeps nothing of it back; if it holds rows of persons, \
             add `hold add --feed {feed}`"
        ));
    }
    told::given(&record, args.order.json)?;
    Ok(Exit::Done)
}

/// A name that nobody has would hold nothing.
fn known(file: &SocialFile, args: &AddArgs) -> Result<(), Failure> {
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
    if number.is_empty() || visible::check("the person's number", &number).is_err() {
        return Err(Failure::usage(
            "the person's number is empty, not one line, or holds a character that cannot be seen",
        ));
    }
    let actor = order.actor.as_deref().unwrap_or_default();
    if order.reason.contains(&number) || actor.contains(&number) {
        return Err(Failure::usage(
            "the reason or the actor names the person: both are kept for ever and shown; say it without the number",
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
        .flat_map(|record| control::fold(record, Timestamp::now()))
        .filter(|order| told::is_hold(order) && order.id.starts_with(id))
        .collect();
    let [hold] = holds.as_slice() else {
        let what = if holds.is_empty() {
            "no hold"
        } else {
            "more than one hold"
        };
        return Err(Failure::usage(format!(
            "{what} in force begins with {id}; look with `slacktide hold list`"
        )));
    };
    let record = order(&loaded, &key, hold.scope.clone(), Action::Release, &args, None).await?;
    let facts = facts::of_social(&loaded).await;
    told::released(&record, hold, &facts, &args.config.config, args.json)?;
    Ok(Exit::Done)
}

async fn list(config: &Config, json: bool) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&config.config)?;
    let key = loaded.value.signing.key(loaded.folder())?;
    let record = orders_in_force(&loaded, &key).await?;
    let facts = facts::of_social(&loaded).await;
    told::listed(record.as_ref(), &facts, &config.config, json)?;
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
    let wish = Wish {
        scope,
        action,
        actor,
        reason: args.reason.clone(),
        lasts: lasts.map(Span::get),
    };
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let operator = Operator::new()?;
    let who = operator.signs(key, &file.trust.operators, &file.social.name);
    let given = give(&exchange, &who, &trusted(file, key), &wish, Timestamp::now()).await;
    exchange::Exchange::close(&exchange).await;
    let given = given.map_err(failed)?;
    warn(&given);
    note_high_water(loaded, Some(given.mark), &given.before);
    Ok(given.record)
}
