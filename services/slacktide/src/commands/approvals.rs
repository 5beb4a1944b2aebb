//! `slacktide approvals list|grant|refuse`: officers of the bureau decide about requests that wait for them.
//!
//! An officer signs with a key of their own, and the decision stands for ever: the exchange takes one for each officer
//! and request. What they say is for the bureau's records; the recipient learns the outcome only.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Subcommand};
use exchange::port::Stream;
use exchange::{Exchange, Filed, Stored};
use jiff::Timestamp;
use nats::JetStream;
use requests::approval::Standing;
use requests::kind::Kinds;
use runtime::config::{Loaded, Secret};
use runtime::exit::Exit;
use schemas::approval::{Approval, Decision};
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::name::{OfficerName, RecipientName};
use schemas::request::{Request, RequestId};
use schemas::sign::SigningKey;

use crate::cli::Config;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// The approvals commands.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// Shows the requests that wait for officers.
    #[command(after_help = "Example:\n  slacktide approvals list --config config/social.toml")]
    List {
        /// Shows their arguments, too. They are about persons.
        #[arg(long)]
        personal: bool,
        #[command(flatten)]
        config: Config,
        /// Prints them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lets a request be answered. Where the kind asks for two officers, it takes two.
    #[command(
        after_help = "Example:\n  slacktide approvals grant 20260131-x7k2m9q4 --recipient insurer-a --officer li_na --seed-file li_na/sign.seed --reason \"checked the contract\" --config config/social.toml"
    )]
    Grant(Decide),
    /// Refuses a request for good.
    #[command(
        after_help = "Example:\n  slacktide approvals refuse 20260131-x7k2m9q4 --recipient insurer-a --officer li_na --seed-file li_na/sign.seed --reason \"no such contract\" --config config/social.toml"
    )]
    Refuse(Decide),
}

/// A decision's words.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The request's id, or so much of its beginning that no other request of the recipient that waits has it.
    id: String,
    /// Who filed it.
    #[arg(long, value_name = "NAME")]
    recipient: RecipientName,
    /// Who decides; named in `[trust] officers`.
    #[arg(long, value_name = "NAME")]
    officer: OfficerName,
    /// The file of the officer's own signing seed.
    #[arg(long, value_name = "FILE")]
    seed_file: PathBuf,
    /// Why. It is signed and kept; name no person in it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    config: Config,
    /// Prints what was decided as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command to its end.
pub(crate) async fn run(command: ApprovalsCommand) -> Outcome {
    match command {
        ApprovalsCommand::List {
            personal,
            config,
            json,
        } => list(&config, personal, json).await,
        ApprovalsCommand::Grant(decide) => decided(decide, Decision::Grant).await,
        ApprovalsCommand::Refuse(decide) => decided(decide, Decision::Refuse).await,
    }
}

/// Requests read at once.
const PAGE: usize = 500;

async fn list(config: &Config, personal: bool, json: bool) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&config.config)?;
    let file = &loaded.value;
    let kinds = Kinds::new(file.kinds.clone()).map_err(|error| Failure::usage(error.to_string()))?;
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let mut told = Vec::new();
    for stored in &open_requests(&exchange).await? {
        let Some((request, digest)) = read(&stored.bytes) else {
            continue;
        };
        let Some(rule) = kinds
            .get(&request.kind)
            .and_then(|kind| kind.config().approval.clone())
        else {
            continue;
        };
        let said: Vec<Approval> = exchange
            .approvals(&request.recipient, &request.id)
            .await?
            .iter()
            .filter_map(|stored| approval(file, &stored.bytes))
            .filter(|said| said.request == digest)
            .collect();
        // What an officer says is weighed here as the agent weighs it.
        let standing = rule.judge(&request, digest, stored.stored_at, &said, Timestamp::now());
        if let Standing::Waits { granted, needed } = standing {
            told.push(line(
                &request,
                stored.stored_at,
                &said,
                (granted, needed),
                personal,
            ));
        }
    }
    exchange.close().await;
    if json {
        output::json(&told)?;
    } else if told.is_empty() {
        output::line("no request waits for an officer");
    } else {
        for one in &told {
            output::lines(words(one));
        }
    }
    Ok(Exit::Done)
}

/// The requests of all recipients that have no outcome.
async fn open_requests(exchange: &JetStream) -> Result<Vec<Stored>, Failure> {
    let mut open = Vec::new();
    for party in exchange.parties(Stream::Requests).await? {
        let recipient =
            RecipientName::new(party.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
        let mut from = 1;
        loop {
            let page = exchange.fetch_requests(&recipient, from, PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.sequence + 1;
            open.extend(page);
        }
    }
    open.sort_by_key(|request| request.stored_at);
    Ok(open)
}

fn read(bytes: &[u8]) -> Option<(Request, Digest)> {
    let envelope = Envelope::decode(bytes).ok()?;
    Some((envelope.read().ok()?, envelope.digest()))
}

fn approval(file: &SocialFile, bytes: &[u8]) -> Option<Approval> {
    let envelope = Envelope::decode(bytes).ok()?;
    let said: Approval = envelope.read().ok()?;
    envelope.verify(file.trust.officers.get(&said.officer)?).ok()
}

pub(super) fn line(
    request: &Request,
    stored_at: Timestamp,
    said: &[Approval],
    (granted, needed): (u32, u32),
    personal: bool,
) -> serde_json::Value {
    let by: Vec<&OfficerName> = said.iter().map(|one| &one.officer).collect();
    let mut told = serde_json::json!({
        "id": request.id,
        "recipient": request.recipient,
        "kind": request.kind,
        "purpose": request.purpose,
        "basis": request.basis,
        "filed_by": request.filed_by,
        "stored_at": stored_at,
        "deadline": request.deadline,
        "said_by": by,
        "granted": granted,
        "needed": needed,
    });
    if personal && let Some(told) = told.as_object_mut() {
        let arguments: std::collections::BTreeMap<&String, &Scalar> = request.arguments.iter().collect();
        told.insert("arguments".to_owned(), serde_json::json!(arguments));
    }
    told
}

pub(super) fn words(told: &serde_json::Value) -> Vec<String> {
    let text = |name: &str| told[name].as_str().unwrap_or("-").to_owned();
    let by: Vec<&str> = told["said_by"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    let mut words = format!(
        "{}  {}  {}  purpose {} basis {}  by {}  since {}  granted {} of {}",
        text("id"),
        text("recipient"),
        text("kind"),
        text("purpose"),
        text("basis"),
        text("filed_by"),
        text("stored_at"),
        told["granted"],
        told["needed"],
    );
    if !by.is_empty() {
        words.push_str(&format!(" ({})", by.join(", ")));
    }
    let mut lines = vec![words];
    if let Some(arguments) = told.get("arguments") {
        lines.push(format!("    {arguments}"));
    }
    lines
}

async fn decided(decide: Decide, decision: Decision) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&decide.config.config)?;
    let file = &loaded.value;
    let seed =
        Secret::File(std::path::absolute(&decide.seed_file).map_err(|error| Failure::internal(&error))?);
    let key = SigningKey::from_seed(seed.read(loaded.folder())?.expose())
        .map_err(|error| Failure::usage(format!("{}: {error}", decide.seed_file.display())))?;
    let known = file.trust.officers.get(&decide.officer);
    if !known.is_some_and(|keys| keys.contains(key.public())) {
        return Err(Failure::usage(format!(
            "[trust] officers does not name {} with the key {}: the agent would not count the decision",
            decide.officer,
            key.public()
        )));
    }
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let filed = async {
        let id = find(&exchange, &decide.recipient, &decide.id).await?;
        file_decision(&exchange, &decide, &id, decision, &key).await?;
        Ok::<_, Failure>(id)
    };
    let filed = filed.await;
    exchange.close().await;
    let id = filed?;
    let word = match decision {
        Decision::Grant => "granted",
        Decision::Refuse => "refused",
    };
    if decide.json {
        output::json(&serde_json::json!({ "id": id, "officer": decide.officer, "decision": word }))?;
    } else {
        output::line(&format!(
            "{id} is {word} by {}; it stands for ever",
            decide.officer
        ));
    }
    Ok(Exit::Done)
}

/// The request that is meant: by its whole id, or by the beginning of one that has no outcome.
async fn find(exchange: &JetStream, recipient: &RecipientName, text: &str) -> Result<RequestId, Failure> {
    let wrong = |error: slacktide_client::Error| Failure::usage(error.to_string());
    if let Some(id) = slacktide_client::client::whole(text).map_err(wrong)? {
        return Ok(id);
    }
    let (mut ids, mut from) = (Vec::new(), 1);
    loop {
        let page = exchange.fetch_requests(recipient, from, PAGE).await?;
        let Some(last) = page.last() else { break };
        from = last.sequence + 1;
        let id = |stored: &Stored| stored.subject.rsplit('.').next()?.parse().ok();
        ids.extend(page.iter().filter_map(id));
    }
    match (slacktide_client::client::one_of(text, &ids), text.parse()) {
        // It may have its outcome, which is told then.
        (Err(slacktide_client::Error::NoSuch(_)), Ok(id)) => Ok(id),
        (found, _) => found.map_err(wrong),
    }
}

async fn file_decision(
    exchange: &JetStream,
    decide: &Decide,
    id: &RequestId,
    decision: Decision,
    key: &SigningKey,
) -> Result<(), Failure> {
    let (request, reply) = exchange.request_status(&decide.recipient, id).await?;
    let found = request.as_ref().and_then(|stored| read(&stored.bytes));
    let Some((request, digest)) = found else {
        return Err(Failure::usage(format!(
            "there is no request {} of {} at the exchange; look with `slacktide approvals list`",
            id, decide.recipient
        )));
    };
    if reply.is_some() {
        return Err(Failure::usage(format!(
            "{id} has its outcome already; nothing is left to decide"
        )));
    }
    let approval = Approval {
        id: request.id,
        recipient: request.recipient,
        request: digest,
        officer: decide.officer.clone(),
        decision,
        reason: decide.reason.clone(),
        at: Timestamp::now(),
        key: key.public().clone(),
    };
    let bytes = Envelope::seal(&approval, Vec::new(), key)
        .and_then(|envelope| envelope.encode())
        .map_err(|error| Failure::internal(&error))?;
    let filed = exchange
        .approve(&decide.recipient, id, &decide.officer, Bytes::from(bytes))
        .await?;
    match filed {
        Filed::Done { .. } => Ok(()),
        Filed::Already(_) => Err(Failure::usage(format!(
            "{} has decided about {} before, and a decision stands for ever; look with `slacktide approvals list`",
            decide.officer, id
        ))),
    }
}
